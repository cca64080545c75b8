"""Each parsed header is parsed up to its bound, and one character or element more has the documented effect."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway._bounds import BOUNDS
from gateway._requests import WsgiRequest
from gateway.adapters.websocket._protocol import HandshakeError, Session
from gateway.adapters.websocket._serve import is_handshake
from gateway.errors import ConfigurationError
from gateway.middleware import (
    AccessLog,
    BodyLimit,
    Cors,
    ProxyHeaders,
    RequestId,
    TrustedHost,
)
from gateway.middleware._codings import choose_coding
from gateway.middleware._forwarded import parse_address, parse_forwarded
from gateway.middleware._host import parse_host
from gateway.middleware._range import select_range
from gateway.middleware._validators import (
    ETag,
    Preconditions,
    evaluate,
    if_range_holds,
    parse_etags,
    parse_http_date,
)
from gateway.middleware.rate_limit import by_header
from gateway.problems import preferred_media_type
from tests.middleware.stacks import Stack

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "limits.md"
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
TAG = ETag("a")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def padded(value: str, length: int) -> str:
    """Fill a value up to a length with blanks, which every list and every value may end with."""
    return value + " " * (length - len(value))


def ask(*middleware: Any, **call: Any) -> Any:
    stack = Stack("asgi", middleware)
    try:
        return stack.request(**call)
    finally:
        stack.close()


def preflight(asked: str) -> bool:
    headers = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")]
    cors = Cors(origins=("*",), headers=("*",))
    answer = ask(cors, method="OPTIONS", headers=[*headers, ("Access-Control-Request-Headers", asked)])
    return answer.get("access-control-allow-headers") is not None


def session(**fields: str) -> bool:
    environ = {"HTTP_SEC_WEBSOCKET_VERSION": "13", "HTTP_SEC_WEBSOCKET_KEY": KEY, **fields}
    try:
        Session(environ, 100)
    except HandshakeError:
        return False
    return True


def logged(value: str) -> bool:
    found: list[Any] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.entry)  # type: ignore[attr-defined]

    logger, handler = logging.getLogger("site.bounds"), Collecting()
    logger.addHandler(handler)
    try:
        headers = [("User-Agent", value), ("Referer", value)]
        ask(AccessLog(logger="site.bounds"), method=value, target=f"/{value[1:]}?{value}", headers=headers)
    finally:
        logger.removeHandler(handler)
    [entry] = found
    values = [entry.user_agent, entry.referer, entry.query, entry.path, entry.method]
    assert all(len(text) <= BOUNDS["log"].characters + 3 for text in values)
    whole = [len(text) == len(value) and not text.endswith("...") for text in values]
    assert len(set(whole)) == 1
    return whole[0]


def is_whole_key(value: str) -> bool:
    return by_header("X-Key")(WsgiRequest({"HTTP_X_KEY": value})) == f"x-key:{value}"


def takes_id(value: str) -> bool:
    answer = ask(RequestId(valid=".*", accept="valid"), headers=[("X-Request-ID", value)])
    return bool(answer.get("x-request-id") == value)


def takes_trace(length: int) -> bool:
    value = f"01-{'a' * 32}-{'b' * 16}-01-"
    seen = ask(RequestId(), headers=[("traceparent", value + "x" * (length - len(value)))]).seen[0]
    assert ("traceparent" in seen.headers) is ("trace_id" in seen.state)
    return "trace_id" in seen.state


def takes_origin(length: int) -> bool:
    origin = "https://" + "a" * (length - 8)
    answer = ask(Cors(origin_regex="https://a+"), headers=[("Origin", origin)])
    return bool(answer.get("access-control-allow-origin") == origin)


def takes_length(length: int) -> bool:
    status = ask(BodyLimit(max_bytes=10), method="GET", headers=[("Content-Length", "0" * length)]).status
    assert status in (200, 413)
    return bool(status == 200)


def takes_prefix(length: int) -> bool:
    options = ProxyHeaders(trust=("10.0.0.0/8",), prefix=True)
    prefix = "/" + "a" * (length - 1)
    answer = ask(options, headers=[("X-Forwarded-Prefix", prefix)], client=("10.0.0.1", 1))
    return bool(answer.seen[0].root_path == prefix)


def takes_host(length: int) -> bool:
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    host = f"{name}.:{'123456'[: length - 255]}"
    assert len(host) == length
    assert (parse_host(host) is not None) is (ask(TrustedHost(allowed=("*",)), headers=[("Host", host)]).status == 200)
    return parse_host(host) is not None


def handshake(name: str, length: int) -> bool:
    tokens = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "upgrade"}
    tokens[name] = padded(tokens[name], length)
    return is_handshake({"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", **tokens})


#: Of each bound, whether a value of so many characters is parsed.
CHARACTERS: list[tuple[str, Callable[[int], bool]]] = [
    ("accept", lambda n: preferred_media_type(padded("text/plain,", n)) == "text/plain"),
    ("accept-encoding", lambda n: choose_coding(padded("gzip,", n), ["gzip"]) == "gzip"),
    ("authorization", lambda n: is_whole_key("x" * n)),
    ("connection", lambda n: handshake("HTTP_CONNECTION", n)),
    ("connection", lambda n: handshake("HTTP_UPGRADE", n)),
    ("content-length", takes_length),
    ("date", lambda n: parse_http_date(padded(DATE, n)) is not None),
    ("forwarded", lambda n: parse_forwarded(padded("for=192.0.2.1", n)) is not None),
    ("host", takes_host),
    ("if-match", lambda n: parse_etags(padded('"a"', n)) is not None),
    ("if-match", lambda n: parse_etags(padded("*", n)) == "*"),
    ("if-none-match", lambda n: parse_etags(padded('"a"', n)) is not None),
    ("if-range", lambda n: if_range_holds(padded('"a"', n), etag=TAG, last_modified=None)),
    ("log", lambda n: logged("x" * n)),
    ("origin", takes_origin),
    ("preflight", lambda n: preflight("x" * n)),
    ("range", lambda n: select_range(padded("bytes=0-0", n), 10) == (0, 1)),
    ("request-id", lambda n: takes_id("x" * n)),
    ("subprotocols", lambda n: session(HTTP_SEC_WEBSOCKET_PROTOCOL=padded("chat", n))),
    ("traceparent", takes_trace),
    ("websocket-key", lambda n: session(HTTP_SEC_WEBSOCKET_KEY=KEY + "A" * (n - len(KEY)))),
    ("x-forwarded", lambda n: parse_address("192.0.2.1:_" + "x" * (n - 11)) is not None),
    ("x-forwarded-prefix", takes_prefix),
]


def client_of(trusted: int) -> str | None:
    """Find the client in front of so many trusted hops."""
    value = ", ".join(["203.0.113.9", *["10.0.0.7"] * trusted])
    call = {"headers": [("X-Forwarded-For", value)], "client": ("10.0.0.1", 1)}
    found: str | None = ask(ProxyHeaders(trust=("10.0.0.0/8",)), **call).seen[0].client
    return found


#: Of each bound, whether a list of so many elements is parsed.
ELEMENTS: list[tuple[str, Callable[[int], bool]]] = [
    ("forwarded", lambda n: parse_forwarded(", ".join(["for=192.0.2.1"] * n)) is not None),
    ("if-match", lambda n: parse_etags(", ".join(['"a"'] * n)) is not None),
    ("if-none-match", lambda n: parse_etags(", ".join(['"a"'] * n)) is not None),
    ("preflight", lambda n: preflight(", ".join(["x"] * n))),
    ("subprotocols", lambda n: session(HTTP_SEC_WEBSOCKET_PROTOCOL=", ".join(f"p{i}" for i in range(n)))),
    ("x-forwarded", lambda n: client_of(n - 1) == "203.0.113.9"),
]


@pytest.mark.parametrize(("name", "is_parsed"), CHARACTERS, ids=[name for name, _ in CHARACTERS])
def test_a_value_is_parsed_up_to_its_bound(name: str, is_parsed: Callable[[int], bool]) -> None:
    bound = BOUNDS[name].characters
    assert (is_parsed(bound), is_parsed(bound + 1)) == (True, False)


@pytest.mark.parametrize(("name", "is_parsed"), ELEMENTS, ids=[name for name, _ in ELEMENTS])
def test_a_list_is_parsed_up_to_its_bound(name: str, is_parsed: Callable[[int], bool]) -> None:
    bound = BOUNDS[name].elements
    assert bound is not None
    assert (is_parsed(bound), is_parsed(bound + 1)) == (True, False)


def test_every_bound_is_tried() -> None:
    assert {name for name, _ in CHARACTERS} == set(BOUNDS)
    assert {name for name, _ in ELEMENTS} == {name for name, bound in BOUNDS.items() if bound.elements is not None}


def test_a_list_of_tags_above_its_bound_matches_nothing() -> None:
    long = '"a", ' * 300
    assert evaluate(Preconditions(if_none_match=long), method="GET", etag=TAG, last_modified=None) == 200
    assert evaluate(Preconditions(if_match=long), method="GET", etag=TAG, last_modified=None) == 412


def test_what_a_client_writes_in_front_of_64_hops_is_never_read() -> None:
    forged = ", ".join(["6.6.6.6"] * 1000)
    headers = [("X-Forwarded-For", f"{forged}, 203.0.113.9, 10.0.0.7"), ("X-Forwarded-Proto", "http," * 99 + "https")]
    seen = ask(ProxyHeaders(trust=("10.0.0.0/8",)), headers=headers, client=("10.0.0.1", 1)).seen[0]
    assert (seen.client, seen.scheme) == ("203.0.113.9", "http")
    assert client_of(64) == "10.0.0.7"


def test_more_hops_than_are_read_are_refused_when_built() -> None:
    ProxyHeaders(trust=("*",), hops=64)
    with pytest.raises(ConfigurationError, match="from 1 to 64"):
        ProxyHeaders(trust=("*",), hops=65)


def test_a_forwarded_header_above_its_bound_is_refused() -> None:
    options = ProxyHeaders(trust=("10.0.0.0/8",), mode="forwarded")
    answer = ask(options, headers=[("Forwarded", "for=192.0.2.1, " * 65)], client=("10.0.0.1", 1))
    assert (answer.status, answer.seen) == (400, [])


def test_a_secret_at_the_place_of_the_cut_is_hidden() -> None:
    found: list[str] = []
    log = AccessLog(logger="site.bounds", format=lambda entry: found.append(repr(entry)) or "")
    secret = "x" * (BOUNDS["log"].characters - 10) + "&token=SECRETSECRET"
    ask(log, target=f"/?{secret}", headers=[("Referer", f"https://user:{'SECRET' * 500}@example.org/?{secret}")])
    assert len(found) == 1
    assert "SECRET" not in found[0]


@pytest.mark.parametrize("name", ["VERSION", "KEY", "PROTOCOL"])
def test_a_refused_handshake_repeats_no_long_value(name: str) -> None:
    environ = {"HTTP_SEC_WEBSOCKET_VERSION": "13", "HTTP_SEC_WEBSOCKET_KEY": KEY}
    environ[f"HTTP_SEC_WEBSOCKET_{name}"] = "x" * 10_000
    with pytest.raises(HandshakeError) as caught:
        Session(environ, 100)
    assert len(str(caught.value)) < 300


def test_the_page_has_the_table_of_the_bounds() -> None:
    rows = re.findall(
        r"^\| (`.+?|the .+?) \| ([\d,]+) \| ([\d,–]+) \| (.+?) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert rows == table()


def table() -> list[tuple[str, str, str, str]]:
    """Write the bounds as the page shows them."""
    return [
        (
            ", ".join(name if " " in name else f"`{name}`" for name in bound.headers),
            f"{bound.characters:,}",
            "–" if bound.elements is None else str(bound.elements),
            bound.beyond,
        )
        for bound in sorted(BOUNDS.values(), key=lambda bound: bound.headers[0].strip("`").lower())
    ]


if __name__ == "__main__":
    for row in table():
        print("|", " | ".join(row), "|")
