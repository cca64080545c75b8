"""Cases for every server: requests and responses, connections, large bodies, clients that leave, failures.

Sources: PEP 3333; ASGI HTTP 2.5; RFC 9110, 9112.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from gateway.check.cases.visit import PATIENCE, SHORT, Cases, Visit, echo_of
from gateway.check.expected import BYTES, LARGE, LEAVING, summary
from gateway.check.wire import HttpConnection, ProbeResponse, fetch, leave, request

__all__ = ["CASES", "ECHOED"]

CASES = Cases()
#: Headers that the application has to see as they are.
ECHOED = [("x-two", "1"), ("x-two", "2"), ("x-empty", ""), ("x-one", "a, b"), ("x-latin", "caf\xe9")]
_REQUEST = {"wsgi": "P72", "asgi": "H19"}
_UPLOAD = {"wsgi": "P74", "asgi": "E28"}


def _facts(response: ProbeResponse, *keys: str) -> list[object]:
    echo = echo_of(response)
    return [echo.get(key, "no response") for key in keys]


def _received(visit: Visit, method: str, target: str, path: str, query: str) -> None:
    response = visit.send(request(method, target, b"", "X-Two: 1", "X-Two: 2", "Cookie: a=1"))
    visit.sees(_REQUEST, (method, path, query), _facts(response, "method", "path", "query"))


@CASES.case("query")
def query(visit: Visit) -> None:
    _received(visit, "GET", "/echo?x=1&y=%C3%A9", "/echo", "x=1&y=%C3%A9")


@CASES.case("percent-encoded-path")
def percent_encoded_path(visit: Visit) -> None:
    _received(visit, "GET", "/a%20b/%C3%A9/%252F;v=1/?x", "/a b/\xe9/%2F;v=1/", "x")


@CASES.case("unknown-method")
def unknown_method(visit: Visit) -> None:
    _received(visit, "PROPFIND", "/echo", "/echo", "")


@CASES.case("request-headers")
def request_headers(visit: Visit) -> None:
    response = visit.get("/echo", *(f"{name}: {value}" for name, value in ECHOED))
    visit.sees("P66", response.headers)
    seen = echo_of(response).get("headers", [])
    if visit.interface == "wsgi":
        visit.sees("P63", {name for name, _ in ECHOED}, seen)
    else:
        visit.sees("H17", ECHOED, seen)


@CASES.case("head")
def head(visit: Visit) -> None:
    # The application sends a body, because it does not look at the method; servers drop it.
    response = visit.send(request("HEAD", "/echo"), SHORT, drain=True)
    visit.sees("N06", response.body)


@CASES.case("no-content")
def no_content(visit: Visit) -> None:
    response = visit.get("/empty")
    if response.status == 204:
        visit.sees("N07", response.headers, response.body)


@CASES.case("bytes")
def unchanged_bytes(visit: Visit) -> None:
    visit.sees("P61", BYTES, visit.get("/bytes").body)


def _uploaded(visit: Visit, body: bytes, response: ProbeResponse) -> None:
    if response.status not in (411, 413, 501):  # the server does not take such a body, and says so
        visit.sees(_UPLOAD, summary(body), tuple(_facts(response, "size", "digest")))


@CASES.case("post")
def post(visit: Visit) -> None:
    _uploaded(visit, BYTES, visit.send(request("POST", "/echo", BYTES, f"Content-Length: {len(BYTES)}")))


@CASES.case("post-empty")
def post_empty(visit: Visit) -> None:
    _uploaded(visit, b"", visit.send(request("POST", "/echo", b"", "Content-Length: 0")))


def _chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@CASES.case("post-chunks")
def post_chunks(visit: Visit) -> None:
    response = visit.send(request("POST", "/echo", _chunked(BYTES, 100), "Transfer-Encoding: chunked"))
    # PEP 3333 gives an application no way to read a body without a length. Servers may offer one, and need not.
    if visit.interface == "asgi" or echo_of(response).get("size") != 0:
        _uploaded(visit, BYTES, response)


@CASES.case("large-request")
def large_request(visit: Visit) -> None:
    _uploaded(visit, LARGE, visit.send(request("POST", "/echo", LARGE, f"Content-Length: {len(LARGE)}")))


@CASES.case("large-response")
def large_response(visit: Visit) -> None:
    visit.sees("P61", LARGE, visit.get("/large").body)


@CASES.case("expect-continue")
def expect_continue(visit: Visit) -> None:
    expecting = request("POST", "/echo", b"", "Content-Length: 3", "Expect: 100-continue")
    expected = fetch(visit.address, expecting, PATIENCE, rest=b"abc", after=SHORT)
    visit.sees("P62", expected.status, echo_of(expected).get("size", 0), 3)


@CASES.case("flush")
def flush(visit: Visit) -> None:
    response = visit.get("/flush")
    _, _, moment = response.body.partition(b" ")
    if response.body.startswith(b"first") and moment:
        seen = 5 if response.first and response.first < float(moment) else 0
        visit.observer.flushed(visit.interface, sent=5, seen=seen)


@CASES.case("http-1.0")
def http_1_0(visit: Visit) -> None:
    response = visit.send(request("GET", "/echo", version="1.0"))
    visit.sees("N01", *_of(response))
    if response.status != 200:
        return  # the server refuses the version
    (version,) = _facts(response, "version")
    if visit.interface == "wsgi":
        visit.sees("P73", "HTTP/1.0", version)
    else:
        visit.sees("H20", "1.0", version)
    visit.sees("N01", *_of(visit.send(request("GET", "/large", version="1.0"))))


def _of(response: ProbeResponse) -> tuple[int, Sequence[tuple[bytes, bytes]], bytes]:
    return response.status, response.headers, response.body


@CASES.case("keep-alive")
def keep_alive(visit: Visit) -> None:
    with HttpConnection(visit.address, PATIENCE) as connection:
        connection.send(request("GET", "/first", b"", "Connection: keep-alive"))
        first = connection.response()
        connection.send(request("GET", "/second"))
        second = connection.response()
    visit.sees("N02", first.last, second.status)
    if second.status:
        visit.sees(_REQUEST, ("GET", "/second", ""), _facts(second, "method", "path", "query"))


@CASES.case("pipelining")
def pipelining(visit: Visit) -> None:
    sent = ["/first", "/second", "/third"]
    with HttpConnection(visit.address, PATIENCE) as connection:
        requests = [request("GET", path, b"", "Connection: keep-alive") for path in sent[:2]]
        connection.send(b"".join([*requests, request("GET", sent[2])]))
        seen: list[str] = []
        for _ in sent:
            response = connection.response()
            if not response.status:
                break
            seen.append(cast(str, _facts(response, "path")[0]))
        visit.sees("N03", sent, seen, connection.closed)


@CASES.case("unread-body")
def unread_body(visit: Visit) -> None:
    # The body looks like a request, so that a server that forgets it takes it for one.
    smuggled = request("GET", "/smuggled", b"", "Connection: keep-alive")
    with HttpConnection(visit.address, SHORT) as connection:
        kept = ("Connection: keep-alive", f"Content-Length: {len(smuggled)}")
        connection.send(request("POST", "/unread", smuggled, *kept))
        connection.response()
        connection.send(request("GET", "/second"))
        second = connection.response()
    visit.sees("N04", second.status, echo_of(second).get("path", ""))


@CASES.case("client-leaves")
def client_leaves(visit: Visit) -> None:
    if not leave(visit.address, request("GET", "/left"), PATIENCE, b"first"):
        return  # the server sends nothing before the response is complete: another case reports that
    left = visit.seen("left", LEAVING + 1.0)
    if visit.interface == "wsgi":
        visit.sees("P75", left == "closed")
    else:
        visit.sees("E29", left or "no message")


@CASES.case("raises")
def raises(visit: Visit) -> None:
    visit.sees("N05", visit.get("/raises").status)


@CASES.case("cut")
def cut(visit: Visit) -> None:
    response = visit.get("/cut")
    if response.body != b"begun":
        return
    if visit.interface == "wsgi":
        visit.sees("P76", response.complete and response.framed)
    else:
        visit.observer.response_cut(complete=response.complete and response.framed)
