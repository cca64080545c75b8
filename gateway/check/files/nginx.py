"""Read configuration files of NGINX: the whole of it, or parts of a site.

The reader follows the inheritance of NGINX: a block without its own ``proxy_set_header`` has those of the block around
it, and a block with one has only its own. A file that is included and not given is looked for beside the file that
names it; if it is not there, the headers of that block cannot be seen.

(Above 400 lines: the grammar, the inheritance and the facts of one format are read together.)

Sources: nginx.org, "Configuration file's structure" and the directives' contexts.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gateway.check.files.units import number, seconds, size
from gateway.errors import ConfigurationError
from gateway.hazards.facts import Fact, Front, Place, Route

__all__ = ["Directive", "fronts", "is_stream", "parse"]

#: Names of paths that carry streams.
_STREAM = re.compile(
    r"(^|[/^~_.(|-])(ws|wss|websockets?|socket\.io|sockets?|cable|events?|event-stream|sse|streams?|streaming|live|feed|"
    r"notifications|updates)(/|$|\)|\||\b)"
)
_WEBSOCKET = re.compile(r"(^|[/^~_.(|-])(ws|wss|websockets?|socket\.io|sockets?|cable)(/|$|\)|\||\b)")
#: `proxy_params` of Debian's packages, which sites include without having it.
_KNOWN = {
    "proxy_params": "proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr; "
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;"
}
_NOT_FOUND = ("400", "401", "403", "404", "410", "421", "444")
_MODULES = (
    "mime.types",
    "modules-enabled",
    "fastcgi_params",
    "uwsgi_params",
    "fastcgi.conf",
    "ssl",
    "letsencrypt",
    "tls",
)


@dataclass
class Directive:
    """One directive: its words, its line, and its block."""

    name: str
    words: list[str]
    file: str
    line: int
    block: list[Directive] | None = None
    unseen: bool = False

    @property
    def text(self) -> str:
        return " ".join([self.name, *self.words])

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.text)


@dataclass
class _Scope:
    """The blocks around a directive, innermost first."""

    blocks: list[list[Directive]] = field(default_factory=lambda: list[list[Directive]]())

    def inside(self, block: list[Directive]) -> _Scope:
        return _Scope([block, *self.blocks])

    def all(self, name: str) -> list[Directive]:
        """Return the directives of a name of the nearest block that has any."""
        for block in self.blocks:
            found = [each for each in block if each.name == name]
            if found:
                return found
        return []

    def one(self, name: str) -> Directive | None:
        found = self.all(name)
        return found[-1] if found else None

    def unseen(self) -> bool:
        """Whether a file that cannot be seen may set headers here."""
        for block in self.blocks:
            if any(each.name == "include" and each.unseen for each in block):
                return True
            if any(each.name == "proxy_set_header" for each in block):
                return False
        return False


_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|(?:\$\{[^}]*\}|\\.|[^\s{};"'])+""", re.DOTALL
)


def parse(text: str, file: str) -> list[Directive]:
    """Return the directives of a file.

    Raises:
        ConfigurationError: A block or a directive is not closed.
    """
    stack: list[list[Directive]] = [[]]
    words: list[str] = []
    line, begin, position = 1, 0, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ConfigurationError(f"{file}:{line}: a quote is not closed")
        token, position = match[0], match.end()
        if token == ";":
            if words:
                stack[-1].append(Directive(words[0], words[1:], file, begin))
            words = []
        elif token == "{":
            made = Directive(words[0] if words else "", words[1:], file, begin or line, [])
            stack[-1].append(made)
            stack.append(made.block or [])
            made.block = stack[-1]
            words = []
        elif token == "}":
            if len(stack) == 1:
                raise ConfigurationError(f"{file}:{line}: a block is closed that was not opened")
            stack.pop()
            words = []
        elif not token.isspace() and not token.startswith("#"):
            if not words:
                begin = line
            words.append(token[1:-1] if token[0] in "\"'" and token[-1] == token[0] else token)
        line += token.count("\n")
    if len(stack) > 1 or words:
        raise ConfigurationError(f"{file}:{line}: a block or a directive is not closed")
    return stack[0]


def _included(block: list[Directive], files: Mapping[str, str], used: set[str], depth: int = 0) -> list[Directive]:
    """Return a block with its included files in their places."""
    result: list[Directive] = []
    for each in block:
        if each.name == "include" and each.words and depth < 8:
            result += _include(each, files, used, depth)
            continue
        if each.block is not None:
            each.block = _included(each.block, files, used, depth)
        result.append(each)
    return result


def _include(each: Directive, files: Mapping[str, str], used: set[str], depth: int) -> list[Directive]:
    pattern = each.words[0]
    name = PurePosixPath(pattern).name
    folder = PurePosixPath(pattern).parent.name
    found: dict[str, str] = {}
    for path, text in files.items():
        pure = PurePosixPath(path)
        if path == each.file or not fnmatch.fnmatch(pure.name, name):
            continue
        if (
            "*" not in name
            or pure.parent.name == folder
            or folder in ("", ".")
            or pure.parent.name
            not in (
                "sites-enabled",
                "sites-available",
                "conf.d",
                "snippets",
            )
        ):
            found[path] = text
    if not found and not Path(pattern).is_absolute():
        beside = Path(each.file).parent
        found = {str(path): path.read_text("utf-8") for path in sorted(beside.glob(pattern)) if path.is_file()}
    if not found and name in _KNOWN:
        found = {str(Path(each.file).parent / name): _KNOWN[name]}
    if not found:
        each.unseen = "*" not in name and not any(known in pattern for known in _MODULES)
        return [each]
    inside: list[Directive] = []
    for path, text in sorted(found.items()):
        used.add(path)
        inside += _included(parse(text, path), files, used, depth + 1)
    return inside


def fronts(files: Mapping[str, str]) -> list[Front]:
    """Return the NGINX that the files describe; several files are one NGINX.

    Args:
        files: Text of each file by its path.

    Raises:
        ConfigurationError: A file cannot be read as NGINX's configuration.
    """
    mains = [path for path, text in files.items() if re.search(r"^\s*http\s*\{", text, re.M)]
    if len(mains) > 1 and not any("include" in files[path] for path in mains):
        return [front for path in mains for front in _front({path: files[path]}, [path])]
    return _front(files, mains[:1])


def _front(files: Mapping[str, str], mains: Sequence[str]) -> list[Front]:
    used: set[str] = set(mains)
    main: list[Directive] = []
    for path in mains:
        main += _included(parse(files[path], path), files, used)
    https = [each for each in main if each.name == "http" and each.block is not None]
    inside: list[Directive] = [each for http in https for each in http.block or []]
    for path, text in files.items():
        if path in used:
            continue
        directives = _included(parse(text, path), files, used)
        if not any(each.name in ("server", "upstream", "map", "geo") or each.block for each in directives) and mains:
            continue  # a snippet that another file includes, perhaps by another name
        used.add(path)
        inside += directives
    if not any(each.name == "server" for each in inside):
        return []
    first = mains[0] if mains else next(path for path in files if path in used)
    front = Front(kind="nginx", place=Place(first, 0, "nginx"), complete=bool(mains))
    _globals(front, main, inside)
    upstreams = {each.words[0]: each for each in inside if each.name == "upstream" and each.words}
    http = _Scope([inside])
    servers = [each for each in inside if each.name == "server" and each.block is not None]
    for server in servers:
        _server(front, server, http, upstreams)
    _unknown_hosts(front, servers)
    return [front]


def _globals(front: Front, main: list[Directive], inside: list[Directive]) -> None:
    outside = _Scope([main])
    user = outside.one("user")
    if user is not None and user.words:
        front.texts["user"] = Fact(user.words[0], user.place)
    for name, key in (("worker_shutdown_timeout", "shutdown"), ("worker_rlimit_nofile", "nofile")):
        directive = outside.one(name)
        if directive is not None and directive.words:
            _put(
                front.numbers,
                key,
                seconds(directive.words[0]) if key == "shutdown" else number(directive.words[0]),
                directive,
            )
    for events in main:
        for each in events.block or [] if events.name == "events" else ():
            if each.name == "worker_connections" and each.words:
                _put(front.numbers, "connections", number(each.words[0]), each)
    _logs(front, inside)


def _put(facts: dict[str, Fact[float]], key: str, value: float | None, directive: Directive) -> None:
    if value is not None:
        facts[key] = Fact(value, directive.place)


def _logs(front: Front, inside: list[Directive]) -> None:
    formats = {each.words[0]: each for each in inside if each.name == "log_format" and each.words}
    servers = [each.block or [] for each in inside if each.name == "server"]
    logs = [each for block in [inside, *servers] for each in block if each.name == "access_log"]
    used = [log for log in logs if log.words and log.words[0] != "off"]
    for log in used:
        named = formats.get(log.words[1]) if len(log.words) > 1 else None
        text = "" if named is None else named.text
        if named is None and (len(log.words) > 1 or not front.complete):
            if len(log.words) > 1 and log.words[1] in ("combined",) and front.complete:
                front.texts["log_without_id"] = Fact(log.text, log.place)
            continue
        if "request_id" not in text:
            front.texts["log_without_id"] = Fact(log.text, (named or log).place)
    if not logs and front.complete:
        front.texts["log_without_id"] = Fact("combined", Place(front.place.file, 0, "access_log has no log_format"))


def _http_numbers(front: Front, scope: _Scope) -> None:
    for name, key, read in (
        ("client_header_timeout", "header_timeout", seconds),
        ("client_body_timeout", "body_timeout", seconds),
        ("keepalive_timeout", "keep_alive", seconds),
    ):
        directive = scope.one(name)
        if directive is not None and directive.words:
            value = read(directive.words[0])
            known = front.numbers.get(key)
            worse = (
                known is None or value is None or (value < known.value if key == "keep_alive" else value > known.value)
            )
            if worse:
                _put(front.numbers, key, value, directive)
    buffers = scope.one("large_client_header_buffers")
    if buffers is not None and len(buffers.words) > 1:
        _put(front.numbers, "header_bytes", size(buffers.words[1]), buffers)
    elif front.complete:
        front.numbers.setdefault(
            "header_bytes",
            Fact(8192.0, Place(front.place.file, 0, "large_client_header_buffers is not set: 8k"), False),
        )
    for name in ("gzip", "gzip_vary"):
        directive = scope.one(name)
        if directive is not None and directive.words and (name == "gzip_vary" or directive.words[0] == "on"):
            front.texts[name] = Fact(directive.words[0], directive.place)
    types = scope.one("gzip_types")
    if types is not None and "gzip" in front.texts:
        front.texts["gzip_types"] = Fact(" ".join(types.words), types.place)
    for real in scope.all("set_real_ip_from"):
        if real.words[:1] in (["0.0.0.0/0"], ["::/0"]):
            front.texts["trusted"] = Fact(real.words[0], real.place)
        elif real.words[:1] != ["unix:"]:
            front.behind = front.behind or real.place
    for header in scope.all("add_header"):
        if header.words[:1] and header.words[0].lower() == "strict-transport-security":
            front.texts["hsts"] = Fact(header.words[1] if len(header.words) > 1 else "", header.place)


def _server(front: Front, server: Directive, http: _Scope, upstreams: Mapping[str, Directive]) -> None:
    block = server.block or []
    scope = http.inside(block)
    listens = [each for each in block if each.name == "listen" and each.words]
    for listen in listens:
        front.listens.append(listen.words[0].removeprefix("[::]:"))
        for word in listen.words[1:]:
            if word.startswith("backlog="):
                _put(front.numbers, "backlog", number(word.partition("=")[2]), listen)
    tls = any("ssl" in each.words[1:] or "quic" in each.words[1:] for each in listens)
    plain = any("ssl" not in each.words[1:] and "quic" not in each.words[1:] for each in listens) or not listens
    hosts = tuple(
        Fact(name, each.place)
        for each in block
        if each.name == "server_name"
        for name in each.words
        if re.fullmatch(r"[*.]?[A-Za-z0-9][A-Za-z0-9.-]*|\*\.[A-Za-z0-9.-]+", name) and name != "localhost"
    )
    _http_numbers(front, scope)
    _redirects(front, block, plain and not tls)
    _static_and_metrics(front, block)
    for location, around in _locations(block, scope):
        passed = around.blocks[0]
        by = next((each for each in passed if each.name in ("proxy_pass", "uwsgi_pass") and each.words), None)
        if by is None:
            continue
        route = _route(front, location, by, around, upstreams)
        route.hosts, route.tls, route.plain = hosts, tls, plain
        front.routes.append(route)
        real = around.one("gzip")
        if real is not None and route.stream and real.words == ["off"]:
            continue
        _http_numbers(front, around) if location is not None else None


def _locations(block: list[Directive], scope: _Scope) -> Iterator[tuple[Directive | None, _Scope]]:
    """Return each location with its scope; `if` blocks count as part of the block around them."""
    for each in block:
        if each.block is None:
            continue
        if each.name == "location":
            inside = scope.inside(each.block)
            yield each, inside
            yield from _locations(each.block, inside)
        elif each.name == "if":
            yield from ((place, inner) for place, inner in _locations(each.block, scope))


def _route(
    front: Front, location: Directive | None, by: Directive, scope: _Scope, upstreams: Mapping[str, Directive]
) -> Route:
    words = [] if location is None else location.words
    path = words[-1] if words else "/"
    own = [] if location is None else (location.block or [])
    headers = _headers(scope)
    upgrades = any(each.name == "proxy_set_header" and each.words[:1] == ["Upgrade"] for each in own)
    off = any(each.name == "proxy_buffering" and each.words == ["off"] for each in own)
    everything = path in ("/", "@app", "@proxy", "@backend", "@django", "@proxy_to_app") or path.startswith("@")
    stream = not everything and (bool(_STREAM.search(path)) or upgrades or off)
    socket = not everything and (bool(_WEBSOCKET.search(path)) or upgrades)
    route = Route(front=front, path=path, place=by.place, stream=stream, websocket=socket, headers=headers)
    route.unknown = scope.unseen() or by.name != "proxy_pass"
    target = re.sub(r"^https?://", "", by.words[0])
    for given in scope.all("set") if target.startswith("$") else ():  # set $backend shop; proxy_pass http://$backend;
        if len(given.words) > 1 and given.words[0] == re.sub(r"[/:].*", "", target):
            target = re.sub(r"^https?://", "", given.words[1])
    if target.startswith("unix:"):
        target = ":".join(target.split(":")[:2])
    else:
        target = target.split("/")[0]
    upstream = upstreams.get(target)
    if upstream is None:
        route.targets = (target,)
    else:
        block = upstream.block or []
        route.targets = tuple(each.words[0].rstrip("/") for each in block if each.name == "server" and each.words)
        _upstream(route, upstream)
    _limits(front, route, scope)
    return route


def _headers(scope: _Scope) -> dict[str, Fact[str]]:
    found: dict[str, Fact[str]] = {}
    for each in scope.all("proxy_set_header"):
        if each.words:
            found[each.words[0].lower()] = Fact(each.words[1] if len(each.words) > 1 else "", each.place)
    return found


def _upstream(route: Route, upstream: Directive) -> None:
    block = upstream.block or []
    kept = next((each for each in block if each.name == "keepalive" and each.words), None)
    limit = next((each for each in block if each.name == "keepalive_timeout" and each.words), None)
    if kept is not None and number(kept.words[0]):
        if limit is not None:
            _put(route.numbers, "idle", seconds(limit.words[0]), limit)
        else:
            place = Place(kept.file, kept.line, f"{kept.text}, without keepalive_timeout: 60 s")
            route.numbers["idle"] = Fact(60.0, place, False)
    for each in block:
        for word in each.words[1:] if each.name == "server" else ():
            if word.startswith("max_conns="):
                _put(route.numbers, "max_conns", number(word.partition("=")[2]), each)


def _limits(front: Front, route: Route, scope: _Scope) -> None:
    for name, key in (("proxy_connect_timeout", "connect"), ("proxy_read_timeout", "read")):
        each = scope.one(name)
        if each is not None and each.words:
            _put(route.numbers, key, seconds(each.words[0]), each)
        elif key == "read" and not route.unknown:
            place = Place(route.place.file, 0, "proxy_read_timeout is not set: 60 s")
            route.numbers["read"] = Fact(60.0, place, False)
    body = scope.one("client_max_body_size")
    if body is not None and body.words:
        _put(route.numbers, "body", size(body.words[0]), body)
    elif front.complete:
        place = Place(route.place.file, 0, "client_max_body_size is not set: 1 MiB")
        route.numbers["body"] = Fact(float(2**20), place, False)
    for name, key in (("proxy_request_buffering", "request_buffering"), ("proxy_buffering", "response_buffering")):
        each = scope.one(name)
        if each is not None and each.words:
            route.texts[key] = Fact(each.words[0], each.place)
    for each in scope.all("proxy_ignore_headers"):
        if "x-accel-buffering" in map(str.lower, each.words):
            route.texts["accel_ignored"] = Fact(each.text, each.place)
    again = scope.one("proxy_next_upstream")
    if again is not None and again.words != ["off"]:
        if any(word.startswith("http_") for word in again.words):
            route.texts["retries"] = Fact(again.text, again.place)
        if "non_idempotent" in again.words:
            route.texts["retried_posts"] = Fact(again.text, again.place)


def _redirects(front: Front, block: list[Directive], plain: bool) -> None:
    for each in block:
        inside = [each] if each.block is None else (each.block if each.name in ("location", "if") else [])
        for done in inside:
            if done.name in ("return", "rewrite") and any(word.startswith("https://") for word in done.words) and plain:
                front.texts.setdefault("redirect", Fact(done.text, done.place))


def _static_and_metrics(front: Front, block: list[Directive]) -> None:
    for each in block:
        if each.name != "location" or not each.words:
            continue
        inside, path = each.block or [], each.words[-1]
        passes = any(part.name in ("proxy_pass", "uwsgi_pass") for part in inside)
        files = next((part for part in inside if part.name in ("alias", "root")), None)
        if files is not None and not passes and re.search(r"static|assets", path):
            front.texts.setdefault("static", Fact(path, each.place))
        if "metrics" in path:
            refused = any(part.name == "return" and part.words[:1] and part.words[0] in _NOT_FOUND for part in inside)
            limited = any(part.name == "deny" and part.words == ["all"] for part in inside)
            limited = limited or any(part.name == "auth_basic" for part in inside)
            limited = limited or any(part.name == "internal" for part in inside)
            front.texts["metrics_blocked" if refused or limited else "metrics_open"] = Fact(path, each.place)


def _unknown_hosts(front: Front, servers: Sequence[Directive]) -> None:
    """Note a server that passes requests for every host on."""
    by_port: dict[str, list[Directive]] = {}
    for server in servers:
        block = server.block or []
        listens = [each for each in block if each.name == "listen" and each.words]
        for port in {each.words[0].rpartition(":")[2] for each in listens} or {"80"}:
            by_port.setdefault(port, []).append(server)
    for port, group in by_port.items():
        chosen = next((s for s in group if any(_is_default(each, port) for each in s.block or [])), None)
        explicit = chosen is not None
        if chosen is None:
            named = [s for s in group if _catches_all(s)]
            chosen = next(iter(named), group[0] if front.complete else None)
        if chosen is None or not _passes(chosen) or _refuses(chosen):
            continue
        if not front.complete and not explicit and not _catches_all(chosen):
            continue
        name = next((each for each in chosen.block or [] if each.name in ("server_name", "listen")), chosen)
        front.texts["unknown_hosts"] = Fact(name.text, name.place)


def _is_default(each: Directive, port: str) -> bool:
    here = each.name == "listen" and each.words[:1] and each.words[0].rpartition(":")[2] == port
    return bool(here) and ("default_server" in each.words or "default" in each.words)


def _catches_all(server: Directive) -> bool:
    names = [word for each in server.block or [] if each.name == "server_name" for word in each.words]
    return not names or set(names) <= {"_", "", "~^", "~.*"}


def _passes(server: Directive) -> bool:
    scope = _Scope([server.block or []])
    return any(
        each.name in ("proxy_pass", "uwsgi_pass")
        for _, inside in _locations(server.block or [], scope)
        for each in inside.blocks[0]
    )


def _refuses(server: Directive) -> bool:
    for each in server.block or []:
        if each.name == "ssl_reject_handshake" and each.words == ["on"]:
            return True
        if each.name == "return" and each.words[:1] and each.words[0] in _NOT_FOUND:
            return True
        refused = any(part.name == "return" and part.words[0] in _NOT_FOUND for part in each.block or [])
        if each.name == "if" and refused and ("$host" in each.text or "$http_host" in each.text):
            return True
    return False


def is_stream(path: str) -> tuple[bool, bool]:
    """Return whether a path carries streams, and whether it carries WebSockets."""
    return bool(_STREAM.search(path)), bool(_WEBSOCKET.search(path))
