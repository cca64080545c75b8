"""The cost of every parser of client input grows with the length of the input, and no faster.

Each test doubles the length of an input and fails if the CPU time more than triples, three times in a row. Inputs are
made of the pieces that the grammars know, in front of them a good beginning, behind them an end that fits nothing.
Upper bounds are lifted here: they limit what a parser costs, and must not hide how its cost grows.

The table of regular expressions is complete: the source is searched for them.
"""

from __future__ import annotations

import ast
import importlib
import io
import logging
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from string import ascii_uppercase
from time import process_time
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import pytest

from gateway import mount, problems
from gateway._requests import AsgiRequest, WsgiRequest
from gateway.adapters.asgi_to_rsgi import _objects
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.adapters.translation import environ_to_scope, scope_to_environ
from gateway.adapters.websocket import _protocol, _serve
from gateway.contract import BuildContext, Middleware
from gateway.drivers._request_body import declared_length
from gateway.errors import GatewayError
from gateway.exchange import Response
from gateway.headers import Headers
from gateway.middleware import (
    BodyLimit,
    Compression,
    Cors,
    HttpsRedirect,
    ProxyHeaders,
    RequestId,
    SecurityHeaders,
    StaticFiles,
    TrustedHost,
    _codings,
    _forwarded,
    _host,
    _range,
    _static_paths,
    _validators,
    access_log,
    cors,
    edge,
    proxy_headers,
    request_id,
)
from gateway.middleware._log_text import printable
from gateway.middleware.rate_limit import by_client, by_header
from gateway.mount import Mount
from gateway.mount import _host as mount_host
from gateway.problems import preferred_media_type
from gateway.rules import Validator
from gateway.translate import endpoints, fields, paths, status
from tests.middleware.stacks import STACKS, Call, Script, Stack

ROOT = Path(__file__).resolve().parent.parent
LENGTH = 2048
#: A cost below this is not judged: at this length a parser of quadratic cost needs a hundred times as long.
NEGLIGIBLE_SECONDS = 0.004
#: What an input is filled with: white space, separators, quotes, and the elements of the lists.
FILLERS = [
    *' \t,;="\\a1.:[]%/-@?&#*_~',
    *(
        "\xe9",
        '"a",',
        '"a',
        'W/"a" ,',
        "a=b;",
        "for=1.1.1.1,",
        'for="',
        "1.1.1.1,",
        "::1,",
        "..",
        "//",
        "/a",
        "a, ",
        "1-1,",
    ),
    *("%3ftoken%3d", "&token=", "%e9", "gzip;q=1,", "a/b;q=0,", "; ", "//a@", '\\"', '-gzip"', "00-", "::"),
]
ENDS = ("", "x", '"', "\x00")


class Parser(NamedTuple):
    """One parser, its good beginnings, and the bounds that are lifted for it."""

    name: str
    parse: Callable[[str], object]
    beginnings: tuple[str, ...] = ()
    lifted: tuple[tuple[object, str], ...] = ()


def best(parse: Callable[[Any], object], value: Any, times: int = 3) -> float:
    """Return the least CPU time of some calls, in seconds."""
    found = []
    for _ in range(times):
        began = process_time()
        with suppress(GatewayError, ValueError):  # a refusal has a cost too
            parse(value)
        found.append(process_time() - began)
    return min(found)


def grows(parse: Callable[[Any], object], make: Callable[[int], Any], length: int = LENGTH) -> str | None:
    """Return what is wrong if the cost of a doubled input more than triples, each of three times; else None."""
    once, twice = make(length), make(2 * length)
    if best(parse, twice, 1) < NEGLIGIBLE_SECONDS:
        return None
    said = ""
    for _ in range(3):
        single, double = best(parse, once), best(parse, twice)
        if double < NEGLIGIBLE_SECONDS or double <= 3 * single:
            return None
        said = f"{single * 1000:.1f} ms, doubled {double * 1000:.1f} ms"
    return said


def inputs(beginnings: tuple[str, ...]) -> Iterator[tuple[str, Callable[[int], str]]]:
    """Yield inputs by length: adversarial ones, and random ones that are the same in every run."""
    for beginning, filler, end in product(("", *beginnings), FILLERS, ENDS):

        def fill(length: int, beginning: str = beginning, filler: str = filler, end: str = end) -> str:
            return beginning + (filler * (length // len(filler) + 1))[:length] + end

        yield f"{beginning!r} + {filler!r} * n + {end!r}", fill
    for seed in range(20):

        def draw(length: int, seed: int = seed) -> str:
            chance = random.Random(seed)
            pieces = chance.sample(FILLERS, k=chance.randint(2, 6))
            return chance.choice(("", *beginnings)) + "".join(chance.choices(pieces, k=length))[:length] + "x"

        yield f"random, seed {seed}", draw


# ------------------------------------------------------------------------------------------------ parsers of one value

TAG = _validators.ETag("a")
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"example.org")],
    "client": ("10.0.0.7", 1),
    "server": ("127.0.0.1", 80),
}
ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "x",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "10.0.0.7",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "example.org",
}


def with_header(name: str, *more: tuple[str, str], method: str = "GET") -> Callable[[str], AsgiRequest]:
    """Return a function that makes a request with one header of a value."""

    def make(value: str) -> AsgiRequest:
        pairs = [(name, value), *more] if name.lower() == "host" else [(name, value), *more, ("host", "example.org")]
        headers = [(key.lower().encode(), text.encode("latin-1")) for key, text in pairs]
        return AsgiRequest({**SCOPE, "method": method, "headers": headers})

    return make


def on_request(middleware: Middleware, make: Callable[[str], Any]) -> Callable[[str], object]:
    """Return a function that calls ``on_request`` of a middleware with a request, as a chain does."""
    hooks: Any = middleware.build(BuildContext())
    return lambda value: hooks.on_request(make(value))


def on_response(middleware: Middleware, make: Callable[[str], Any], status: int = 200) -> Callable[[str], object]:
    """Return a function that calls ``on_request`` and ``on_response`` of a middleware."""
    hooks: Any = middleware.build(BuildContext())

    def call(value: str) -> None:
        request, response = make(value), Response(status, [("etag", '"a"')])
        if hasattr(hooks, "on_request"):
            hooks.on_request(request)
        hooks.on_response(request, response)

    return call


def at(path: bool = True) -> Callable[[str], AsgiRequest]:
    """Return a function that makes a request of a path, or of a query."""

    def make(value: str) -> AsgiRequest:
        octets = quote(value, safe="/%&=;+@").encode()
        target = {"path": "/" + unquote(value), "raw_path": b"/" + octets} if path else {"query_string": octets}
        return AsgiRequest({**SCOPE, **target})

    return make


def environ(key: str) -> Callable[[str], dict[str, Any]]:
    return lambda value: {**ENVIRON, key: value}


def read_frames(data: bytes) -> None:
    session = _protocol.Session(
        {"HTTP_SEC_WEBSOCKET_VERSION": "13", "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ=="}, 2**30
    )
    session.accept({})
    session.output.clear()
    session.received(data)


def hello(environ: Any, start_response: Any) -> list[bytes]:
    raise AssertionError("nobody calls it")


def octets(value: str) -> bytes:
    return value.encode("latin-1")


async def asgi_hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def validated_asgi(value: str) -> None:
    """Send a request with a value in every place through the rules of ASGI; nothing in it waits."""
    validator = Validator(asgi_hello, "asgi", "collect")
    path = unquote(value)
    scope = {**SCOPE, "path": path, "raw_path": octets(value), "query_string": octets(value), "root_path": path}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        pass

    running = validator({**scope, "headers": [(b"x-a", octets(value)), (octets(value), b"x")]}, receive, send)
    with suppress(StopIteration):
        running.send(None)
        raise AssertionError("it waits")


def validated_wsgi(value: str) -> None:
    """Send a request with a value in every place through the rules of WSGI."""

    def application(given: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-A", value), ("ETag", value)])
        return [b"hello"]

    given = {**ENVIRON, "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0)}
    given |= {"wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}
    given |= dict.fromkeys(("PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "HTTP_X_A", "CONTENT_LENGTH"), value)
    result = Validator(application, "wsgi", "collect")(given, lambda *_: print)
    list(result)
    result.close()


ALWAYS = 10**9
SECRETS = access_log._Secrets(access_log.AccessLog().redact)
TRUSTED = _forwarded.Trust.parse(["10.0.0.0/8"])
BEHIND = ProxyHeaders(trust=("10.0.0.0/8",), host=True, port=True, prefix=True)
FORWARDED = ProxyHeaders(trust=("10.0.0.0/8",), host=True, mode="forwarded")
NO_TAG_BOUNDS = ((_validators, "_LONGEST_LIST"), (_validators, "_MOST_TAGS"), (_validators, "_LONGEST_DATE"))
NO_HOP_BOUNDS = (
    (_forwarded, "MOST_HOPS"),
    (_forwarded, "_LONGEST_NODE"),
    (_forwarded, "_LONGEST_FORWARDED"),
    (_forwarded, "_MOST_FORWARDED"),
    (proxy_headers, "_LONGEST_PREFIX"),
)
PARSERS = [
    Parser("entity tags", _validators.parse_etags, ('"a",', 'W/"'), NO_TAG_BOUNDS),
    Parser("entity tag", _validators.parse_etag, ('"', 'W/"')),
    Parser("date", _validators.parse_http_date, (DATE, "Sun, 06 Nov", "Sunday, 06-Nov-"), NO_TAG_BOUNDS),
    Parser(
        "conditions",
        lambda value: _validators.evaluate(
            _validators.Preconditions(if_none_match=value, if_unmodified_since=value),
            method="GET",
            etag=TAG,
            last_modified=1,
        ),
        ('"a",',),
        NO_TAG_BOUNDS,
    ),
    Parser(
        "If-Range",
        lambda value: _validators.if_range_holds(value, etag=TAG, last_modified=1),
        ('"', DATE),
        ((_validators, "_LONGEST_IF_RANGE"), *NO_TAG_BOUNDS),
    ),
    Parser("Range", lambda value: _range.select_range(value, 10), ("bytes=", "bytes=1-"), ((_range, "_LONGEST"),)),
    Parser(
        "Accept-Encoding",
        lambda value: _codings._choose.__wrapped__(value, ("gzip", "br")),
        ("gzip", "gzip;q=0."),
    ),
    Parser("Accept", preferred_media_type, ("a/b;q=", "*/*;"), ((problems, "_LONGEST_ACCEPT"),)),
    Parser("forwarded node", _forwarded._parse_address.__wrapped__, ("[::1", "1.1.1.1:_", "[::1]:")),
    Parser("Forwarded", _forwarded.parse_forwarded, ("for=a;", 'for="', "a="), NO_HOP_BOUNDS),
    Parser("hops", _forwarded.last_elements, ("1.1.1.1,",), NO_HOP_BOUNDS),
    Parser("peer", lambda value: (TRUSTED.holds(value), _forwarded.parse_peer(value)), ("::", "1.")),
    Parser("Host", _host._parse_host.__wrapped__, ("[::1", "a.", "a:"), ((_host, "_LONGEST_NAME"),)),
    Parser("port", _host.parse_port, ("8",)),
    *(
        Parser(name, on_request(BEHIND, with_header(name, *more)), ("10.0.0.1,", "/a", "https,", "a.b"), NO_HOP_BOUNDS)
        for name, *more in (
            ("X-Forwarded-For",),
            ("X-Forwarded-Proto", ("X-Forwarded-For", "1.1.1.1, 10.0.0.1")),
            ("X-Forwarded-Host",),
            ("X-Forwarded-Port",),
            ("X-Forwarded-Prefix",),
        )
    ),
    Parser("Forwarded of a chain", on_request(FORWARDED, with_header("Forwarded")), ("for=",), NO_HOP_BOUNDS),
    Parser("trusted host", on_request(TrustedHost(allowed=("example.org",)), with_header("Host")), ("a.", "[")),
    Parser(
        "Origin",
        on_request(Cors(origins=("https://a.example",), refuse=True), with_header("Origin")),
        ("https://", "https://[", "http://a@"),
        ((cors, "_LONGEST_ORIGIN"), (_host, "LONGEST_HOST")),
    ),
    Parser(
        "Access-Control-Request-Headers",
        on_request(
            Cors(origins=("*",), headers=("*",)),
            with_header(
                "Access-Control-Request-Headers",
                ("Origin", "https://a.example"),
                ("Access-Control-Request-Method", "PUT"),
                method="OPTIONS",
            ),
        ),
        ("x-a,",),
        ((cors, "_LONGEST_ASKED"), (cors, "_MOST_ASKED")),
    ),
    Parser(
        "traceparent",
        on_request(RequestId(), with_header("traceparent")),
        (f"01-{'a' * 32}-{'b' * 16}-01-", "00-", "00-" + "a" * 32),
        ((request_id, "_LONGEST_TRACE"),),
    ),
    Parser(
        "X-Request-ID",
        on_request(RequestId(accept="valid", keep="X-A"), with_header("X-Request-ID")),
        ("a" * 8,),
        ((request_id, "_LONGEST_ID"),),
    ),
    Parser("Content-Length", on_request(BodyLimit(max_bytes=1), with_header("Content-Length")), ("1", "0")),
    Parser("declared length", lambda value: declared_length({"CONTENT_LENGTH": value}), ("1", "0")),
    Parser("API key", lambda value: by_header("X-Key")(with_header("X-Key")(value)), ("Bearer ",)),
    Parser(
        "rate of a client", lambda value: by_client(AsgiRequest({**SCOPE, "client": (value, 1)})), ("::", "fe80::1%")
    ),
    Parser(
        "suffixes of entity tags",
        on_response(Compression(etag="suffix"), with_header("If-None-Match"), 304),
        ('"a-gzip",', '"'),
        NO_TAG_BOUNDS,
    ),
    Parser(
        "weakened entity tags", on_response(Compression(), with_header("If-None-Match"), 304), ('"a",',), NO_TAG_BOUNDS
    ),
    Parser("redirected path", on_request(HttpsRedirect(host="example.org"), at()), ("a/",)),
    Parser("redirected query", on_request(HttpsRedirect(host="example.org"), at(path=False)), ("a=b&",)),
    Parser("path of a file", _static_paths.safe_segments, ("a/", ".well-known/")),
    Parser(
        "path below a folder",
        on_request(StaticFiles(folders={"/": ROOT / "docs"}, autorefresh=True, index_file="index.html"), at()),
        ("a/", "how-to/"),
    ),
    Parser("path with headers of its own", on_response(SecurityHeaders(paths={"/a": {}}), at()), ("a/",)),
    Parser("secrets of a log line", SECRETS.hide, ("token=", "a?", "https://a@")),
    Parser("user of a Referer", lambda value: access_log._USER_INFORMATION.sub("", value), ("https://", "https://a@")),
    Parser("escaped log value", printable, ("a",)),
    Parser("Vary", lambda value: Headers([("vary", value.strip())]).add_vary("a", "b"), ("Accept,",)),
    Parser("written header", lambda value: Headers().set("x", value), ("a",)),
    Parser("name of a header", lambda value: Headers().set(value, "x"), ("a",)),
    Parser("host of a mount", mount_host, ("[", "a."), ((mount, "_LONGEST_HOST"),)),
    Parser(
        "path of a mount",
        lambda value: Mount({"/a": hello, "/a/b": hello, "*.b.example/a": hello})._find("a.b.example", f"/{value}"),
        ("a/",),
    ),
    Parser("tokens of Connection", _serve._tokens, ("upgrade,",), ((_serve, "_LONGEST_TOKENS"),)),
    *(
        Parser(
            f"Sec-WebSocket-{name}",
            lambda value, name=name: _protocol.Session(
                {
                    "HTTP_SEC_WEBSOCKET_VERSION": "13",
                    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
                    f"HTTP_SEC_WEBSOCKET_{name.upper()}": value,
                },
                100,
            ),
            ("chat,", "dGhl", "13"),
        )
        for name in ("Protocol", "Key", "Version")
    ),
    *(
        Parser(
            f"{key} to a scope", lambda value, key=key: environ_to_scope(environ(key)(value)), ("/a", "http://", "/%")
        )
        for key in (
            "PATH_INFO",
            "SCRIPT_NAME",
            "RAW_URI",
            "QUERY_STRING",
            "CONTENT_LENGTH",
            "HTTP_COOKIE",
            "REMOTE_ADDR",
        )
    ),
    *(
        Parser(
            f"{key} to an environ",
            lambda value, key=key: scope_to_environ(
                {**SCOPE, key: value if key == "path" else value.encode("latin-1")}
            ),
            ("/a", "/%"),
        )
        for key in ("path", "raw_path", "query_string")
    ),
    Parser(
        "headers to an environ",
        lambda value: scope_to_environ({**SCOPE, "headers": [(b"content-length", value.encode("latin-1"))]}),
        ("1,",),
    ),
    Parser("name to an environ", lambda value: fields.environ_key(value.encode("latin-1")), ("x-",)),
    Parser("name of an environ", lambda value: fields.field_name("HTTP_" + value), ("X_",)),
    Parser("mount point", lambda value: paths.split_mount(f"/{value}", f"/{value}"), ("a/",)),
    Parser("bytes of a path", lambda value: paths.path_octets(unquote(value), value.encode("latin-1")), ("/%",)),
    Parser("target", paths.raw_target_path, ("http://", "/")),
    Parser("version", endpoints.http_version, ("HTTP/",)),
    Parser("rules of ASGI", validated_asgi, ("/a", "/%")),
    Parser("rules of WSGI", validated_wsgi, ("/a", '"')),
    Parser("status line", status.status_code, ("200 ",)),
    Parser("address of granian", _objects.address, ("[::1]:", "1:")),
    *(
        Parser(
            f"{name} of a WSGI request",
            lambda value, k=key, n=name: getattr(WsgiRequest(environ(k)(value)), n),
            ("/a", "http://"),
        )
        for key, name in (
            ("PATH_INFO", "path"),
            ("PATH_INFO", "local_path"),
            ("RAW_URI", "raw_path"),
            ("QUERY_STRING", "query_string"),
            ("SERVER_PROTOCOL", "http_version"),
            ("REMOTE_PORT", "client"),
        )
    ),
]


@pytest.fixture(scope="module", autouse=True)
def no_application_stays() -> Iterator[None]:
    """Stop the loops of the adapters that the chains of this module have started."""
    yield
    close_all()


@pytest.fixture
def lifted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Parser:
    """Give a parser whose upper bounds are out of the way."""
    parser: Parser = request.param
    for module, name in parser.lifted:
        monkeypatch.setattr(module, name, ALWAYS)
    return parser


@pytest.mark.parametrize("lifted", PARSERS, ids=[parser.name for parser in PARSERS], indirect=True)
def test_a_parser_costs_no_more_than_three_times_as_much_for_twice_the_input(lifted: Parser) -> None:
    for said, make in inputs(lifted.beginnings):
        wrong = grows(lifted.parse, make)
        assert wrong is None, f"{lifted.name}: {said}: {wrong}"


FRAMES = {
    "small messages": b"\x81\x81\x00\x00\x00\x00a",
    "empty messages": b"\x82\x80\x00\x00\x00\x00",
    "fragments": b"\x00\x81\x00\x00\x00\x00a",
    "empty fragments": b"\x00\x80\x00\x00\x00\x00",
    "pings": b"\x89\x81\x00\x00\x00\x00a",
    "pongs": b"\x8a\x80\x00\x00\x00\x00",
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_a_websocket_cost_no_more_than_three_times_as_much_for_twice_as_many(name: str) -> None:
    start = b"\x01\x80\x00\x00\x00\x00" if "fragment" in name else b""
    assert grows(read_frames, lambda count: start + FRAMES[name] * count) is None


# ------------------------------------------------------------------------------------------------ many lines of headers

LINES = [
    *("Host", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID", "traceparent", "Origin", "Accept"),
    *("Accept-Encoding", "Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "Cookie", "Upgrade"),
    *("Connection", "User-Agent", "Referer", "Access-Control-Request-Headers", "Sec-WebSocket-Protocol", "X-Other"),
]


def chain() -> list[Any]:
    """Make the chain that reads the most, and believes who asks."""
    return list(
        edge(
            hosts=("example.org",),
            proxy_headers=ProxyHeaders(trust=("203.0.113.0/24",), host=True, port=True, prefix=True),
            request_id=RequestId(accept="valid", keep="X-Kept"),
            cors=Cors(origins=("https://a.example",), refuse=True, credentials=True),
            static_files=StaticFiles(folders={"/static": ROOT / "docs"}, autorefresh=True),
            access_log=access_log.AccessLog(logger="site.cost"),
        )
    )


@pytest.fixture(params=STACKS)
def whole(request: pytest.FixtureRequest) -> Iterator[Callable[[list[tuple[str, str]]], object]]:
    """Give a function that sends a request with these headers through a whole chain."""
    logging.getLogger("site.cost").addHandler(logging.NullHandler())
    stack = Stack(request.param, chain(), Script(headers=(("ETag", '"a"'), ("Content-Type", "text/plain"))))
    application = stack.application
    stack.application = lambda *arguments: application(*arguments)  # without the validator that stands outside
    yield lambda headers: stack.request(Call(target="/static/index.md", headers=headers, scheme="https"))
    stack.close()


@pytest.mark.parametrize("name", LINES)
def test_many_lines_of_one_header_cost_no_more_than_three_times_as_much_for_twice_as_many(
    whole: Callable[[list[tuple[str, str]]], object], name: str
) -> None:
    wrong = grows(whole, lambda count: [("Host", "example.org"), *[(name, "a, b")] * count], 2000)
    assert wrong is None, wrong


def test_many_different_headers_cost_no_more_than_three_times_as_much_for_twice_as_many(
    whole: Callable[[list[tuple[str, str]]], object],
) -> None:
    def make(count: int) -> list[tuple[str, str]]:
        return [("Host", "example.org"), *((f"X-{'n' * (number % 7)}{number}", "v") for number in range(count))]

    wrong = grows(whole, make, 2000)
    assert wrong is None, wrong


# ------------------------------------------------------------------------------------------- every regular expression

#: Regular expressions that the tests above reach, by the parser that does.
REACHED = {
    "middleware/access_log.py:_Secrets.__init__": "secrets of a log line",
}
#: Regular expressions that no client feeds, with the reason.
NOT_OF_A_CLIENT = {
    "gateway/check/files/hypercorn_conf.py:re.match": "a line of the operator's own file",
    "gateway/hazards/facts.py:re.fullmatch": "the path of a socket in a unit, with a name in place of %i",
    "gateway/mount.py:_HOST": "a key of Mount(...), read when it is built",
    "gateway/plugins.py:_CAPITAL": "the name of a class",
    "gateway/servers/_server.py:re.split": "a requirement of ours",
    "gateway/testing/pytest_plugin.py:re.sub": "the name of a test",
    "middleware/cors.py:Cors.__post_init__": "compiled to be checked only",
    "middleware/cors.py:_Sharing.__init__": "origin_regex=: the operator's own, of an Origin within its bound",
    "middleware/https_redirect.py:HttpsRedirect.__post_init__": "compiled to be checked only",
    "middleware/https_redirect.py:_Redirecting.__init__": "exempt=: the operator's own",
    "middleware/static_files.py:StaticFiles.__post_init__": "immutable=: the operator's own, tried when built",
    "middleware/static_files.py:_immutable": "immutable=: the operator's own, asked about names of files",
    "middleware/request_id.py:RequestId.__post_init__": "compiled to be checked only",
    "middleware/request_id.py:_Naming.__init__": "valid=: the operator's own, of an id within its bound",
}
_DIRECT = {"sub", "subn", "match", "search", "fullmatch", "split", "findall", "finditer"}


class Found(NamedTuple):
    """A regular expression of the source: where, and how it is used there."""

    place: str
    patterns: tuple[re.Pattern[Any], ...]
    methods: frozenset[str]


def sources() -> list[Path]:
    return sorted(path for folder in ("gateway", "adapters", "middleware") for path in (ROOT / folder).rglob("*.py"))


def expressions() -> list[Found]:
    """Find every regular expression: in a constant of a module, in a function, or given to a function of ``re``."""
    trees = {
        path: ast.parse(path.read_text("utf-8"))
        for path in sources()
        if not {"adapters", "middleware"} & set(path.relative_to(ROOT).parts[1:])  # the links
    }
    used: dict[str, set[str]] = {}
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            used.setdefault(name, set()).add(node.func.attr)
    found = []
    for path, tree in trees.items():
        where = path.relative_to(ROOT).as_posix()
        module = "gateway." + where.removeprefix("gateway/").removesuffix(".py").replace("/", ".")
        for names, node in _compiled(tree):
            if len(names) == 1 and names[0][:1] in ("_", *ascii_uppercase) and names[0].isupper():
                value = getattr(importlib.import_module(module), names[0])
                patterns = value if isinstance(value, tuple) else (value,)
                methods = used.get(names[0], set()) & _DIRECT
                found.append(Found(f"{where}:{names[0]}", patterns, frozenset(methods or {"fullmatch"})))
            else:
                found.append(Found(f"{where}:{'.'.join(names) or node}", (), frozenset()))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            function = call.func
            if (
                isinstance(function, ast.Attribute)
                and isinstance(function.value, ast.Name)
                and (function.value.id, function.attr in _DIRECT) == ("re", True)
            ):
                pattern = call.args[0]
                text = pattern.value if isinstance(pattern, ast.Constant) else None
                patterns = (re.compile(text),) if isinstance(text, str) else ()
                found.append(Found(f"{where}:re.{function.attr}", patterns, frozenset({function.attr})))
    return found


def _compiled(tree: ast.Module) -> Iterator[tuple[list[str], str]]:
    """Yield the names around each ``re.compile``: of the constant, or of class and function."""

    def visit(node: ast.AST, names: list[str]) -> Iterator[tuple[list[str], str]]:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [*names, node.name]
        elif not names and isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            names = [target.id] if isinstance(target, ast.Name) else names
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "compile"
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            yield names, f"line {node.lineno}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, names)

    yield from visit(tree, [])


EXPRESSIONS = {found.place: found for found in expressions()}
TRIED = [found for found in EXPRESSIONS.values() if found.patterns and found.place not in NOT_OF_A_CLIENT]


def test_every_regular_expression_is_tried_or_has_a_reason_not_to_be() -> None:
    known = {found.place for found in TRIED} | set(REACHED) | set(NOT_OF_A_CLIENT)
    assert set(EXPRESSIONS) - known == set(), "no row covers these"
    assert known - set(EXPRESSIONS) == set(), "these are no longer there"
    assert set(REACHED.values()) <= {parser.name for parser in PARSERS}
    assert len(TRIED) > 15


def characters(pattern: re.Pattern[Any]) -> list[str]:
    """Return the characters that an expression tells apart: its literals, and one of each set."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    return sorted({*re.sub(r"[^ -~]", "", text)} | {"a", "1", " ", "\t", "\xe9", "\n"})


@pytest.mark.parametrize("found", TRIED, ids=[found.place for found in TRIED])
def test_an_expression_costs_no_more_than_three_times_as_much_for_twice_the_input(found: Found) -> None:
    for pattern, method in product(found.patterns, sorted(found.methods)):
        arguments = [""] if method in ("sub", "subn") else []
        octets = isinstance(pattern.pattern, bytes)

        def parse(value: str, pattern: Any = pattern, method: str = method, arguments: Any = arguments) -> object:
            subject = value.encode("latin-1") if isinstance(pattern.pattern, bytes) else value
            given = [each.encode() for each in arguments] if isinstance(pattern.pattern, bytes) else arguments
            return getattr(pattern, method)(*given, subject)

        for first, second in product(characters(pattern), repeat=2):
            for end in ("", "\x00"):
                # Short ones first: a cost that doubles with each character would never end with the long ones.
                for length in (12, 16, 20, 24, 28, 64, 512):
                    began = process_time()
                    parse((first + second) * (length // 2) + end)
                    assert process_time() - began < 0.2, (found.place, method, first + second, length)
                wrong = grows(parse, lambda n, a=first, b=second, e=end: (a + b) * (n // 2) + e)
                assert wrong is None, (found.place, method, octets, first + second, wrong)


def test_a_parser_of_quadratic_cost_is_found() -> None:
    old = re.compile(r'[ \t]*(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*)")?[ \t]*(?:,|\Z)')
    assert grows(old.match, lambda length: " " * length + "x", 1000) is not None
    assert grows(old.match, lambda length: '"' + "a" * length + '"') is None
