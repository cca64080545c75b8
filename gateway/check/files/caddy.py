"""Read a ``Caddyfile``: sites, matchers, snippets and ``reverse_proxy``.

Sources: Caddy documentation, "Caddyfile Concepts", "reverse_proxy", "Global options".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.check.files.nginx import is_stream
from gateway.check.files.units import number, seconds, size
from gateway.errors import ConfigurationError
from gateway.hazards.facts import Fact, Front, Place, Route

__all__ = ["read_caddy"]

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|\S+')


@dataclass
class _Line:
    words: list[str]
    place: Place
    block: list[_Line] = field(default_factory=lambda: list["_Line"]())


#: Values of Host that are the client's own.
_HOSTS = ("host", "hostport", "http.request.host", "http.request.hostport")


def _parse(text: str, file: str) -> list[_Line]:
    stack: list[list[_Line]] = [[]]
    for index, raw in enumerate(text.splitlines(), 1):
        stripped = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not stripped:
            continue
        words = [match[0] for match in _TOKEN.finditer(stripped)]
        while words and words[0] == "}":
            if len(stack) == 1:
                raise ConfigurationError(f"{file}:{index}: a block is closed that was not opened")
            stack.pop()
            words = words[1:]
        if not words:
            continue
        opens = words[-1] == "{"
        inner = [word.strip('"`') for word in (words[:-1] if opens else words)]
        made = _Line(inner, Place(file, index, " ".join(inner)))
        stack[-1].append(made)
        if opens:
            stack.append(made.block)
    if len(stack) > 1:
        raise ConfigurationError(f"{file}: a block is not closed")
    return stack[0]


def read_caddy(text: str, file: str) -> Front:
    """Return Caddy with its routes.

    Raises:
        ConfigurationError: A block is not closed.
    """
    lines = _parse(text, file)
    front = Front(kind="caddy", place=Place(file, 0, "caddy"))
    snippets = {each.words[0].strip("()"): each.block for each in lines if each.words and each.words[0].startswith("(")}
    sites = [each for each in lines if each.words and not each.words[0].startswith("(")]
    if lines and lines[0].words == [] and lines[0].block:
        _global(front, lines[0].block)
        sites = [each for each in sites if each is not lines[0]]
    if sites and not any(each.block for each in sites):  # one site without braces
        sites = [_Line(sites[0].words, sites[0].place, sites[1:])]
    for site in sites:
        _site(front, site, snippets)
    return front


def _global(front: Front, block: list[_Line]) -> None:
    for line in _walk(block):
        words = line.words
        if words[:2] == ["trusted_proxies", "static"]:
            networks = [word for word in words[2:] if word != "private_ranges"]
            if set(networks) & {"0.0.0.0/0", "::/0"}:
                front.texts["trusted"] = Fact(" ".join(networks), line.place)
            else:
                front.behind = line.place
        elif words[:1] in (["read_header"], ["read_body"]) and len(words) > 1:
            value = seconds(words[1])
            if value is not None:
                front.numbers["header_timeout" if words[0] == "read_header" else "body_timeout"] = Fact(
                    value, line.place
                )
        elif words[:1] == ["grace_period"] and len(words) > 1:
            value = seconds(words[1])
            if value is not None:
                front.numbers["shutdown"] = Fact(value, line.place)


def _walk(block: list[_Line]) -> Iterator[_Line]:
    for line in block:
        yield line
        yield from _walk(line.block)


def _site(front: Front, site: _Line, snippets: Mapping[str, list[_Line]]) -> None:
    addresses = [word.rstrip(",") for word in site.words if word.rstrip(",")]
    block = _imported(site.block, snippets)
    names = [re.sub(r"^https?://", "", address).split("/")[0] for address in addresses]
    hosts = tuple(
        Fact(name.rpartition(":")[0] or name, site.place)
        for name in names
        if re.fullmatch(r"[*A-Za-z0-9.-]+\.[A-Za-z]+(:\d+)?", name)
    )
    for name in names:
        front.listens.append(":" + name.rpartition(":")[2] if ":" in name else ":443")
    before = len(front.routes)
    matchers = {each.words[0]: each for each in block if each.words and each.words[0].startswith("@")}
    plain = any(address.startswith(("http://", ":80", ":8080")) for address in addresses)
    for line, path in _proxies(block, "", matchers):
        route = _route(front, line, path or "/", matchers, snippets)
        route.hosts, route.tls, route.plain = hosts, not plain, plain
        front.routes.append(route)
    body = _body(block)
    for route in front.routes[before:]:
        if body is not None:
            route.numbers["body"] = body
        elif "body" not in route.numbers:
            route.numbers["body"] = Fact(0.0, Place(front.place.file, 0, "request_body max_size is not set"), False)
    everything = [name for name in names if name in (":80", ":443", "", "*", ":443,")]
    by_host = any(
        "host" in each.words or any("host" in line.words for line in each.block) for each in matchers.values()
    )
    if everything and len(front.routes) > before and not by_host:
        front.texts["unknown_hosts"] = Fact(" ".join(site.words), site.place)
    _texts(front, block, matchers)


def _imported(block: list[_Line], snippets: Mapping[str, list[_Line]], depth: int = 0) -> list[_Line]:
    found: list[_Line] = []
    for line in block:
        if line.words[:1] == ["import"] and len(line.words) > 1 and line.words[1] in snippets and depth < 8:
            found += _imported(snippets[line.words[1]], snippets, depth + 1)
        else:
            line.block = _imported(line.block, snippets, depth + 1) if line.block and depth < 8 else line.block
            found.append(line)
    return found


def _matched(words: list[str], matchers: Mapping[str, _Line]) -> str | None:
    """Return the path that the first argument of a directive matches; None if it is no matcher."""
    if len(words) < 2:
        return None
    if words[1].startswith("/") and not words[1].startswith("/run"):
        return words[1]
    matcher = matchers.get(words[1])
    if matcher is None:
        return "*" if words[1] == "*" else None
    lines = [matcher.words[1:], *(each.words for each in matcher.block)]
    paths = [word for line in lines if line and line[0] == "path" for word in line[1:]]
    header = any("upgrade" in " ".join(line).lower() for line in lines)
    return " ".join(paths) if paths else ("/ws" if header else words[1])


def _proxies(block: list[_Line], path: str, matchers: Mapping[str, _Line]) -> Iterator[tuple[_Line, str]]:
    for line in block:
        matched = _matched(line.words, matchers)
        here = matched if matched not in (None, "*") else path
        if line.words[0] == "reverse_proxy":
            yield line, here or ""
        elif line.words[0] in ("handle", "handle_path", "route"):
            yield from _proxies(line.block, here or "", matchers)


def _route(
    front: Front, line: _Line, path: str, matchers: Mapping[str, _Line], snippets: Mapping[str, list[_Line]]
) -> Route:
    streams = [is_stream(part.rstrip("*")) for part in path.split()]
    stream = bool(streams) and all(each[0] for each in streams)
    route = Route(front=front, path=path, place=line.place, stream=stream)
    route.websocket = bool(streams) and all(each[1] for each in streams)
    words = line.words[1:]
    if words and (
        words[0] in matchers or words[0] == "*" or (words[0].startswith("/") and not words[0].startswith("/run"))
    ):
        words = words[1:]
    targets = [_target(word) for word in words]
    for each in _walk(_imported(line.block, snippets)):
        _option(route, each, targets)
    route.targets = tuple(targets)
    return route


def _target(word: str) -> str:
    word = re.sub(r"^(https?|h2c)://", "", word)
    return f"unix:{word.removeprefix('unix/').removeprefix('unix+h2c/')}" if word.startswith("unix") else word


def _option(route: Route, line: _Line, targets: list[str]) -> None:
    name, words = line.words[0], line.words[1:]
    if name == "to":
        targets += [_target(word) for word in words]
    elif name == "header_up" and words:
        header = words[0].lstrip("-+>?").lower()
        value = "" if words[0].startswith("-") else (words[1] if len(words) > 1 else "")
        if value.startswith(("{http.request.header.", "{header.")):
            value = "client"
        elif words[0].startswith("+"):
            value = "append"
        if header == "host" and value.strip("{}") in _HOSTS:
            return
        route.headers[header] = Fact(value if header == "host" else value.strip("{}"), line.place)
        if "http.request.uuid" in value:
            route.headers[header] = Fact("uuid", line.place)
    elif name in ("dial_timeout", "keepalive", "response_header_timeout", "read_timeout", "stream_timeout") and words:
        limit = seconds(words[0])
        key = {"dial_timeout": "connect", "keepalive": "idle", "stream_timeout": "read"}.get(name, "read")
        wanted = not route.stream or name in ("stream_timeout", "read_timeout", "dial_timeout", "keepalive")
        if limit is not None and wanted and not (name == "stream_timeout" and not route.stream):
            route.numbers[key] = Fact(limit, line.place)
    elif name == "flush_interval" and words:
        route.texts["response_buffering"] = Fact("flushed" if words[0] == "-1" else "on", line.place)
    elif name == "lb_retry_match":
        rest = " ".join([*words, *(" ".join(each.words) for each in line.block)])
        if re.search(r"\b(POST|PATCH|PUT|DELETE)\b", rest) or ("path" in rest and "method" not in rest):
            route.texts["retried_posts"] = Fact(line.place.text, line.place)
    elif name in ("lb_retries",) and words:
        count = number(words[0])
        if count:
            route.texts["caddy_retries"] = Fact(line.place.text, line.place)
    elif name == "trusted_proxies" and words:
        if set(words) & {"0.0.0.0/0", "::/0"}:
            route.front.texts["trusted"] = Fact(" ".join(words), line.place)
        else:
            route.front.behind = line.place
    elif name in ("request_buffers",):
        route.texts["request_buffering"] = Fact("on", line.place)


def _body(block: list[_Line]) -> Fact[float] | None:
    for line in _walk(block):
        if line.words[0] == "request_body":
            for each in line.block:
                if each.words[0] == "max_size" and len(each.words) > 1:
                    value = size(each.words[1])
                    if value is not None:
                        return Fact(value, each.place)
    return None


def _texts(front: Front, block: list[_Line], matchers: Mapping[str, _Line]) -> None:
    for line in _walk(block):
        name, text = line.words[0], line.place.text
        if name == "encode":
            front.texts["gzip"] = Fact("on", line.place)
            types = " ".join(
                " ".join(each.words) for each in _walk(line.block) if "Content-Type" in " ".join(each.words)
            )
            inner = next((each.place for each in _walk(line.block) if "Content-Type" in each.place.text), line.place)
            if "text/event-stream" in types or "text/*" in types:
                front.texts["gzip_types"] = Fact(types, inner)
        elif name == "file_server" and any("root" in each.words[0] for each in _walk(block)):
            front.texts["static"] = Fact(text, line.place)
        elif name == "header" and "strict-transport-security" in text.lower():
            front.texts["hsts"] = Fact(text, line.place)
        elif name == "header":
            for each in line.block:
                if "strict-transport-security" in each.place.text.lower():
                    front.texts["hsts"] = Fact(each.place.text, each.place)
        elif name == "redir" and "https://" in text:
            front.texts["redirect"] = Fact(text, line.place)
        matched = _matched(line.words, matchers) or ""
        if "metrics" in matched:
            refused = name in ("respond", "error", "abort") or any(
                each.words[0] in ("respond", "error", "abort") for each in _walk(line.block)
            )
            passed = name == "reverse_proxy" or any(each.words[0] == "reverse_proxy" for each in _walk(line.block))
            if refused:
                front.texts["metrics_blocked"] = Fact(matched, line.place)
            elif passed:
                limited = any("remote_ip" in " ".join(e.words) for m in matchers.values() for e in [m, *m.block])
                front.texts["metrics_blocked" if limited else "metrics_open"] = Fact(matched, line.place)
