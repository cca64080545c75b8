"""Read ``haproxy.cfg``: frontends, backends and ``listen`` sections, with the defaults above them.

Sources: HAProxy Configuration Manual, sections 2 (format), 4 (proxies), 5 (server options).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from gateway.check.files.nginx import is_stream
from gateway.check.files.units import millis, number, size, uncommented
from gateway.hazards.facts import Fact, Front, Place, Route

__all__ = ["read_haproxy"]

_SECTIONS = (
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "resolvers",
    "peers",
    "userlist",
    "program",
    "cache",
)
#: Conditions of `retry-on` under which the server may have begun the request.
_STARTED = frozenset(
    [
        *("all-retryable-errors", "response-timeout", "empty-response", "junk-response", "0rtt-rejected"),
        *("500", "502", "504"),
    ]
)


@dataclass
class _Section:
    kind: str
    name: str
    place: Place
    lines: list[tuple[list[str], Place]] = field(default_factory=lambda: list[tuple[list[str], Place]]())
    defaults: _Section | None = None

    def all(self, *words: str) -> list[tuple[list[str], Place]]:
        return [(line, place) for line, place in self.lines if tuple(line[: len(words)]) == words]

    def one(self, *words: str) -> tuple[list[str], Place] | None:
        """Return the last line that begins with the words, here or in the defaults."""
        if self.all("no", *words):
            return None
        found = self.all(*words)
        if found:
            return found[-1]
        return self.defaults.one(*words) if self.defaults is not None else None


def _sections(text: str, file: str) -> list[_Section]:
    found: list[_Section] = []
    defaults: _Section | None = None
    named: dict[str, _Section] = {}
    for index, raw in enumerate(text.splitlines(), 1):
        line = uncommented(raw).strip()
        words = line.split()
        if not words:
            continue
        place = Place(file, index, " ".join(words))
        if words[0] in _SECTIONS and not raw[:1].isspace():
            made = _Section(words[0], words[1] if len(words) > 1 else "", place, defaults=defaults)
            if "from" in words[1:]:  # the section names its defaults
                made.defaults = named.get(words[-1])
            elif words[0] == "defaults":
                made.defaults = None
            if words[0] == "defaults":
                defaults = named[made.name] = made
            elif words[0] == "global":
                made.defaults = None
            found.append(made)
        elif found:
            if words[0] == "server-template" and len(words) > 3:  # several servers, written as one
                words = ["server", words[1], *words[3:]]
            found[-1].lines.append((words, place))
    return found


def read_haproxy(text: str, file: str) -> Front:
    """Return HAProxy with its routes: one for each backend that a frontend uses."""
    sections = _sections(text, file)
    complete = any(section.kind == "global" for section in sections)
    front = Front(kind="haproxy", place=Place(file, 0, "haproxy"), complete=complete)
    backends = {each.name: each for each in sections if each.kind in ("backend", "listen")}
    for section in sections:
        if section.kind == "global":
            _global(front, section)
    for section in sections:
        if section.kind not in ("frontend", "listen") or not _is_http(section) or not section.all("bind"):
            continue
        stats = section.one("stats", "enable") is not None or section.one("stats", "uri") is not None
        if stats and not section.all("default_backend") and not section.all("server"):
            continue
        _frontend(front, section)
        for name, websocket, streams in _used(section):
            backend = backends.get(name)
            if backend is not None and any(line[0] == "server" for line, _ in backend.lines):
                front.routes.append(_route(front, section, backend, websocket, streams))
    return front


def _is_http(section: _Section) -> bool:
    mode = section.one("mode")
    return mode is not None and mode[0][1:] == ["http"]


def _global(front: Front, section: _Section) -> None:
    for words, place in section.lines:
        if words[0] == "hard-stop-after" and len(words) > 1:
            _put(front.numbers, "shutdown", millis(words[1]), place)
        elif words[0] == "tune.bufsize" and len(words) > 1:
            _put(front.numbers, "header_bytes", size(words[1]), place)
        elif words[0] == "maxconn" and len(words) > 1:
            _put(front.numbers, "connections", number(words[1]), place)
        elif words[0] == "ulimit-n" and len(words) > 1:
            _put(front.numbers, "nofile", number(words[1]), place)
        elif words[0] == "user" and len(words) > 1:
            front.texts["user"] = Fact(words[1], place)


def _put(facts: dict[str, Fact[float]], key: str, value: float | None, place: Place) -> None:
    if value is not None:
        facts[key] = Fact(value, place)


def _used(section: _Section) -> Iterator[tuple[str, bool, bool]]:
    """Return the backends of a frontend: name, and whether WebSockets or streams go there only."""
    if section.kind == "listen":
        yield section.name, False, False
    named: dict[str, list[str]] = {}
    acls = {line[1]: " ".join(line[2:]) for line, _ in section.all("acl") if len(line) > 2}
    for line, _ in section.all("use_backend"):
        if len(line) > 1:
            condition = " ".join(line[2:])
            expanded = condition + " " + " ".join(acls.get(word.lstrip("!"), "") for word in line[2:])
            named.setdefault(line[1], []).append(expanded)
    default = section.one("default_backend")
    ordinary = default[0][1] if default is not None and len(default[0]) > 1 else ""
    for name, conditions in named.items():
        if name == ordinary:
            continue
        text = " ".join(conditions)
        paths = [word for word in text.split() if word.startswith("/")]
        sockets = "upgrade" in text.lower() or any(is_stream(path)[1] for path in paths)
        streams = sockets or any(is_stream(path)[0] for path in paths) or is_stream(name)[0]
        yield name, sockets and all(is_stream(path)[1] for path in paths), streams
    if ordinary:
        yield ordinary, False, False


def _frontend(front: Front, section: _Section) -> None:
    for line, place in section.all("bind"):
        if len(line) > 1:
            front.listens.append(line[1].replace("*:", ":"))
            for option, value in pairwise(line[2:]):
                if option == "backlog":
                    _put(front.numbers, "backlog", number(value), place)
    for name, key in (("http-request", "header_timeout"), ("http-keep-alive", "client_idle")):
        given = section.one("timeout", name)
        if given is not None and len(given[0]) > 2:
            _put(front.numbers, key, millis(given[0][2]), given[1])
        elif key == "header_timeout":
            place = Place(front.place.file, 0, "timeout http-request is not set")
            front.numbers.setdefault(key, Fact(0.0, place, False))
    if not _refuses(section) and list(_used(section)):
        front.texts["unknown_hosts"] = Fact(section.name, section.place)
    for line, place in section.all("http-request"):
        text = " ".join(line)
        if line[1:2] in (["deny"], ["return"], ["reject"], ["silent-drop"]) and _says(section, text, "metrics"):
            front.texts["metrics_blocked"] = Fact(text, place)
        if line[1:3] == ["redirect", "scheme"] and "https" in line:
            front.texts["redirect"] = Fact(text, place)
    for line, place in section.all("redirect", "scheme", "https"):
        front.texts["redirect"] = Fact(" ".join(line), place)
    for line, place in [*section.all("http-response"), *section.all("rspadd")]:
        if "strict-transport-security" in " ".join(line).lower():
            front.texts["hsts"] = Fact(" ".join(line), place)
    if list(_used(section)):
        _log(front, section)
    _compression(front, section)


def _says(section: _Section, text: str, word: str) -> bool:
    acls = {line[1]: " ".join(line[2:]) for line, _ in section.all("acl") if len(line) > 2}
    return word in text or any(word in acls.get(each.strip("{}!"), "") for each in text.split())


def _refuses(section: _Section) -> bool:
    """Whether requests for unknown hosts are refused: by a rule, or because every backend has a condition on hosts."""
    hosts = {line[1] for line, _ in section.all("acl") if len(line) > 2 and _host_word(" ".join(line[2:]))}
    for line, _ in section.all("http-request"):
        text = " ".join(line)
        refuses = line[1:2] in (["deny"], ["reject"], ["silent-drop"], ["return"], ["tarpit"])
        if refuses and (_host_word(text) or any(name.strip("{}!") in hosts for name in line[2:])):
            return True
    if section.one("default_backend") is None and section.kind == "frontend":
        used = section.all("use_backend")
        conditions = [(line, " ".join(line)) for line, _ in used]
        if used and all(
            _host_word(text) or "%[" in text or hosts & {w.strip("!") for w in line} for line, text in conditions
        ):
            return True
    return False


def _host_word(text: str) -> bool:
    return bool(
        re.search(r"(hdr|hdr_dom|hdr_end|hdr_beg|hdr_reg|req\.hdr|hdr_str|req\.fhdr)\([Hh]ost\)|ssl_fc_sni", text)
    )


def _log(front: Front, section: _Section) -> None:
    if section.one("log") is None:
        return
    form = section.one("log-format")
    captured = any("x-request-id" in " ".join(line).lower() for line, _ in section.lines if "capture" in line)
    default = section.defaults
    if default is not None:
        captured = captured or any(
            "capture" in line and "x-request-id" in " ".join(line).lower() for line, _ in default.lines
        )
    if form is not None:
        text = " ".join(form[0]).lower()
        source = next(
            (" ".join(line[3:4]) for line, _ in section.all("http-request") if "x-request-id" in map(str.lower, line)),
            "",
        )
        variable = re.search(r"var\(([\w.]+)\)", source)
        words = ["request-id", "request_id", "%id", "unique-id", "uuid", "reqid", "%hr"]
        if not any(word in text for word in [*words, *([variable[1]] if variable else [])]):
            front.texts["log_without_id"] = Fact(" ".join(form[0]), form[1])
    elif not captured:
        plain = section.one("option", "httplog")
        place = plain[1] if plain is not None else section.place
        front.texts["log_without_id"] = Fact("option httplog", place)


def _compression(front: Front, section: _Section) -> None:
    algorithm, types = section.one("compression", "algo"), section.one("compression", "type")
    if algorithm is not None:
        front.texts["gzip"] = Fact("on", algorithm[1])
    if types is not None:
        front.texts["gzip_types"] = Fact(" ".join(types[0][2:]), types[1])


def _route(front: Front, section: _Section, backend: _Section, websocket: bool, streams: bool) -> Route:
    tls = any("ssl" in line for line, _ in section.all("bind"))
    route = Route(front=front, path=backend.name, place=backend.place, tls=tls, plain=not tls)
    route.stream, route.websocket = streams or is_stream(backend.name)[0], websocket
    route.headers = _headers(section, backend)
    route.targets = tuple(_address(line[2]) for line, _ in backend.all("server") if len(line) > 2)
    route.hosts = tuple(_hosts(section))
    for name, key in (("connect", "connect"), ("server", "read")):
        given = backend.one("timeout", name)
        if given is not None and len(given[0]) > 2:
            _put(route.numbers, key, millis(given[0][2]), given[1])
    if route.stream:
        tunnel = backend.one("timeout", "tunnel") or section.one("timeout", "tunnel")
        if tunnel is not None and len(tunnel[0]) > 2 and (route.websocket or "read" not in route.numbers):
            _put(route.numbers, "read", millis(tunnel[0][2]), tunnel[1])
    tunnel = backend.one("timeout", "tunnel")
    if tunnel is not None and len(tunnel[0]) > 2 and not route.stream:
        value = millis(tunnel[0][2])
        if value is not None and value < 60:
            route.numbers["tunnel"] = Fact(value, tunnel[1])
    _servers(front, route, backend)
    _buffering(route, section, backend)
    again = backend.one("retry-on")
    if again is not None:
        once = any("disable-l7-retry" in " ".join(line) for each in (section, backend) for line, _ in each.lines)
        if set(again[0][1:]) & _STARTED and not once:
            route.texts["retried_posts"] = Fact(" ".join(again[0]), again[1])
        if set(again[0][1:]) - {"none", "conn-failure"}:
            route.texts["retries"] = Fact(" ".join(again[0]), again[1])
    return route


def _address(text: str) -> str:
    if text.startswith(("unix@", "/")):
        return f"unix:{text.removeprefix('unix@')}"
    return text.removeprefix("ipv4@")


def _hosts(section: _Section) -> Iterator[Fact[str]]:
    for line, place in section.lines:
        text = " ".join(line)
        if not _host_word(text) or "hdr_reg" in text:
            continue
        inside = re.search(r"\([Hh]ost\)[^\s]*((?:\s+-[if]|\s+-m\s+\w+)*)\s+([^}]*)", text)
        for name in inside[2].split() if inside else ():
            if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", name) and not name.replace(".", "").isdecimal():
                yield Fact(name, place)


def _servers(front: Front, route: Route, backend: _Section) -> None:
    options: dict[str, tuple[str, Place]] = {}
    defaults = backend.defaults
    lines = [*(defaults.all("default-server") if defaults is not None else []), *backend.all("default-server")]
    lines += [(["server", *line[3:]], place) for line, place in backend.all("server")]
    checked: Place | None = None
    for line, place in lines:
        words = line[1:]
        for index, word in enumerate(words):
            value = words[index + 1] if index + 1 < len(words) else ""
            if word == "check":
                checked = place
            if word in ("inter", "fall", "maxconn", "pool-purge-delay", "pool-max-conn"):
                options[word] = (value, place)
    reuse = backend.one("http-reuse")
    closes = backend.one("option", "httpclose") is not None or backend.one("option", "http-server-close") is not None
    if "pool-purge-delay" in options:
        _put(route.numbers, "idle", millis(options["pool-purge-delay"][0]), options["pool-purge-delay"][1])
    elif not closes and (reuse is None or reuse[0][1:] != ["never"]) and options.get("pool-max-conn", ("",))[0] != "0":
        place = Place(route.place.file, 0, "pool-purge-delay is not set: 5 s")
        route.numbers["idle"] = Fact(5.0, place, False)
    if "maxconn" in options:
        _put(route.numbers, "max_conns", number(options["maxconn"][0]), options["maxconn"][1])
    if checked is not None:
        interval = millis(options["inter"][0]) if "inter" in options else 2.0
        fall = number(options["fall"][0]) if "fall" in options else 3.0
        limit = backend.one("timeout", "check")
        waits = millis(limit[0][2]) if limit is not None and len(limit[0]) > 2 else None
        if interval is not None and fall is not None:
            place = options["inter"][1] if "inter" in options else checked
            total = interval * fall + (waits if waits is not None else min(interval, 2.0))
            known = front.numbers.get("check_seconds")
            if known is None or total > known.value:
                front.numbers["check_seconds"] = Fact(total, place)


def _buffering(route: Route, section: _Section, backend: _Section) -> None:
    if backend.one("option", "http-buffer-request") is None and section.one("option", "http-buffer-request") is None:
        place = Place(route.place.file, 0, "option http-buffer-request is not set")
        route.texts["request_buffering"] = Fact("off", place)
    for each in (section, backend):
        for line, place in each.all("http-request"):
            text = " ".join(line)
            limit = re.search(r"req\.body_size[^\d]*?(?:gt|ge|-m int gt)\s+(\d+)", text)
            limit = limit or re.search(
                r"(?:content-length\)|hdr_val\(content-length\)|body_size)[^\d]*?gt\s+(\d+)", text, re.I
            )
            if limit is not None:
                route.numbers["body"] = Fact(float(limit[1]), place)
        for line, place in each.all("acl"):
            text = " ".join(line)
            limit = re.search(r"(?:req\.body_size|content-length\))[^\d]*?gt\s+(\d+)", text, re.I)
            if limit is not None:
                route.numbers["body"] = Fact(float(limit[1]), place)


def _headers(section: _Section, backend: _Section) -> dict[str, Fact[str]]:
    """Return the request headers after the rules of both sections; conditions on the client do not count."""
    found: dict[str, Fact[str]] = {}
    parts = [section] if section is backend else [section, backend]
    for each in parts:
        for line, place in each.all("http-request"):
            action = line[1] if len(line) > 1 else ""
            name = line[2].lower() if len(line) > 2 else ""
            if action in ("set-header", "add-header") and len(line) > 3:
                value = line[3].strip('"')
                copied = re.search(r"\b(?:req\.)?f?hdr\((?!host\b)", value, re.I)
                if copied and name.startswith("x-forwarded-"):  # of another header, which a client can send
                    value = "client"
                if "-m found" in " ".join(line[4:]) and ("unless" in line or "!{" in " ".join(line)):
                    value = "if-none"
                elif action == "add-header" and name not in found:
                    value = "client"
                known = found.get(name)
                if known is not None and name == "x-forwarded-proto" and {known.value, value} == {"http", "https"}:
                    value = "by condition"
                found[name] = Fact(value, place)
            elif action == "del-header" and name:
                found[name] = Fact("", place)
                if "-m" in line and "beg" in line and name.startswith("x-forwarded"):
                    for member in ("for", "proto", "host", "port", "prefix"):
                        found.setdefault(f"x-forwarded-{member}", Fact("", place))
    forward = backend.one("option", "forwardfor") or section.one("option", "forwardfor")
    if forward is not None:
        known = found.get("x-forwarded-for")
        if "if-none" in forward[0] and (known is None or known.value != ""):
            found["x-forwarded-for"] = Fact("if-none", forward[1])
        elif known is None:
            found["x-forwarded-for"] = Fact("append", forward[1])
        elif known.value == "":
            found["x-forwarded-for"] = Fact("client address", forward[1])
    unique = section.one("unique-id-header")
    if unique is not None and len(unique[0]) > 1:
        found.setdefault(unique[0][1].lower(), Fact("unique-id", unique[1]))
    return found
