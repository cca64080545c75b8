"""Find the rules that a running server keeps: an application with rare behaviour, and a client that observes.

The application runs inside the server under a `Validator` that collects. The client speaks raw HTTP/1.1 over a socket.
It fetches the validator's findings and adds those that only a client can see. ``gateway check --server`` starts the
server.

One worker process has to serve the application: ``gateway.check.probe:asgi`` or ``gateway.check.probe:wsgi``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from gateway.loops import move_on_after, sleep
from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope
from gateway.rules.observer import ClientObserver
from gateway.rules.validator import Validator

__all__ = ["CODING", "LIFESPAN", "Broken", "ProbeResponse", "asgi", "fetch", "probe", "wsgi"]

#: Environment variable that makes the application refuse the lifespan protocol, if its value is "raise".
LIFESPAN = "GATEWAY_PROBE_LIFESPAN"
#: Seconds that the application waits between two parts of a response. A client on the same machine has the first part
#: long before.
PAUSE = 0.5
_HEADERS = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"x-a", b"1"), (b"set-cookie", b"b=2; Path=/")]


#: A Transfer-Encoding of the application, which servers ignore.
CODING = [(b"content-type", b"text/plain"), (b"transfer-encoding", b"x-gateway-probe")]


async def _next_event(receive: ASGIReceive, seconds: float) -> str:
    message: Message = {"type": "none"}
    async with move_on_after(seconds):
        message = await receive()
    return str(message["type"])


async def _text(send: ASGISend, text: str, **start: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS[:1], **start})
    await send({"type": "http.response.body", "body": text.encode()})


async def _application(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        await _http(scope, receive, send)
    else:
        raise NotImplementedError(scope["type"])


async def _lifespan(receive: ASGIReceive, send: ASGISend) -> None:
    if os.environ.get(LIFESPAN) == "raise":
        raise NotImplementedError("this application does not support lifespan")
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    size = 0
    message: Message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        size += len(message.get("body", b""))
    path = scope["path"].rpartition("/")[2]
    if path == "flush":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS[:1]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await sleep(PAUSE)
        await send({"type": "http.response.body", "body": b" %r" % time.monotonic()})
    elif path == "idle":
        await _text(send, await _next_event(receive, PAUSE))
    elif path == "headers":
        await _text(send, "ok", headers=_HEADERS)
    elif path == "coding":
        await _text(send, "ok", headers=CODING)
    elif path == "cut":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS[:1]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise RuntimeError("the probe aborts this response on purpose")
    elif path == "additional":
        await _text(send, "ok", gateway_probe=True)
    elif path == "invalid":
        with contextlib.suppress(Exception):  # the server should raise
            await send({"type": "http.response.start", "status": "200", "headers": []})
        await _text(send, "ok")
    elif path == "trailers" and "http.response.trailers" in (scope.get("extensions") or {}):
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-end")], "trailers": True}
        )
        await send({"type": "http.response.body", "body": b"ok"})
        await send({"type": "http.response.trailers", "headers": [(b"x-end", b"1")]})
    elif path == "extensions":
        await _text(send, json.dumps(sorted(scope.get("extensions") or {})))
    elif path == "report":
        await _text(send, json.dumps(_found(asgi)))
    else:
        await _text(send, json.dumps({"query": scope["query_string"].decode("latin-1"), "size": size}))


def _wsgi_application(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    path = environ.get("PATH_INFO", "").rpartition("/")[2]
    size = 0
    if environ.get("CONTENT_LENGTH") or environ.get("wsgi.input_terminated"):
        length = environ.get("CONTENT_LENGTH")
        size = len(environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "flush":
        return _slow()
    if path == "report":
        return [json.dumps(_found(wsgi)).encode()]
    return [json.dumps({"query": environ.get("QUERY_STRING", ""), "size": size}).encode()]


def _slow() -> Iterator[bytes]:
    yield b"first"
    time.sleep(PAUSE)
    yield b" %r" % time.monotonic()


asgi: Validator = Validator(_application, "asgi", "collect")
wsgi: Validator = Validator(_wsgi_application, "wsgi", "collect")


class Broken(NamedTuple):
    """A rule that a server breaks.

    Attributes:
        rule: The rule's id.
        found: Value or behaviour that the probe found instead.
        severity: ``"error"`` or ``"warning"``.
    """

    rule: str
    found: str
    severity: str


def _found(observer: Validator | ClientObserver) -> list[Broken]:
    """Return the findings against the server."""
    both = [(v, "error") for v in observer.violations] + [(v, "warning") for v in observer.warnings]
    return [
        Broken(violation.rule, violation.found, severity) for violation, severity in both if violation.side == "server"
    ]


#: Seconds that a probe waits for a response; the slowest correct response takes one second.
_PATIENCE = 8.0


@dataclass
class ProbeResponse:
    """A response as the client received it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    body: bytes = b""
    #: True if the framing was correct to the end: the last chunk came, or as many bytes as declared.
    complete: bool = False
    trailers: bool = False
    #: Time of the first byte of the body, by `time.monotonic`.
    first: float = 0.0


def fetch(address: tuple[str, int] | str, request: bytes, timeout: float = 30.0) -> ProbeResponse:
    """Send the bytes of a request, and read until the response is complete or the server closes the connection."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    raw = b""
    first = 0.0
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        connection.sendall(request)
        with contextlib.suppress(OSError):  # keep the bytes that came before a reset
            while data := connection.recv(65536):
                raw += data
                if not first and len(raw.partition(b"\r\n\r\n")[2]) >= 5:
                    first = time.monotonic()
                if _framed(raw):
                    break  # a server that keeps the connection open despite "Connection: close"
    return _parse(raw, first)


def _framed(raw: bytes) -> bool:
    """Tell whether a response has reached the end that its own framing declares."""
    answer = _parse(raw, 0.0)
    return answer.complete and any(name in (b"content-length", b"transfer-encoding") for name, _ in answer.headers)


def _parse(raw: bytes, first: float) -> ProbeResponse:
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[1].isdigit():
        return ProbeResponse()
    pairs = [line.partition(b":") for line in lines[1:]]
    answer = ProbeResponse(
        int(words[1]), [(name.strip().lower(), value.strip()) for name, _, value in pairs], first=first
    )
    fields = dict(answer.headers)
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            digits = size.partition(b";")[0].strip()
            if not digits:
                break
            length = int(digits, 16)
            if not length:
                answer.trailers = rest.strip(b"\r\n") != b""
                answer.complete = rest.endswith(b"\r\n")
                break
            answer.body += rest[:length]
            rest = rest[length + 2 :]
    else:
        answer.body = rest
        declared = fields.get(b"content-length")
        answer.complete = declared is None or len(rest) == int(declared)
        if declared is None and words[0] == b"HTTP/1.0":
            answer.complete = False  # only the close ends it, so a client cannot know whether it is complete
    return answer


def _request(method: str, target: str, body: bytes = b"", *lines: str) -> bytes:
    persistence = [] if any(line.startswith("Connection:") for line in lines) else ["Connection: close"]
    head = [f"{method} {target} HTTP/1.1", "Host: testserver", *persistence, *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def probe(address: tuple[str, int] | str, interface: str) -> list[Broken]:
    """Test a server that serves the probe application, and return its violations, sorted, one for each rule.

    Args:
        address: Host and port, or the path of a unix socket.
        interface: Interface in which the server calls the application.
    """
    observer = ClientObserver()
    extra: list[Broken] = []

    def get(path: str, *lines: str) -> ProbeResponse:
        # After an application's error, for example, a server may neither respond nor close: do not wait long.
        return fetch(address, _request("GET", path, b"", *lines), timeout=_PATIENCE)

    echoed = get("/echo?x=1&y=%C3%A9")
    query = _query(echoed)
    if query not in ("x=1&y=%C3%A9", None):
        extra.append(Broken("P37" if interface == "wsgi" else "H06", f"{query!r} for ?x=1&y=%C3%A9", "error"))
    get("/a%20b/%C3%A9?x", "X-Two: 1", "X-Two: 2", "Cookie: a=1")
    fetch(address, _request("POST", "/echo", b"0123456789", "Content-Length: 10"))
    fetch(address, _request("POST", "/echo", b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    fetch(address, _request("HEAD", "/echo"))
    flushed = get("/flush")
    _, _, moment = flushed.body.partition(b" ")
    if flushed.body.startswith(b"first") and moment:
        seen = 5 if flushed.first and flushed.first < float(moment) else 0
        observer.flushed(interface, sent=5, seen=seen)
    if interface != "wsgi":
        _probe_asgi(observer, get)
        denied = get("/deny", "Upgrade: websocket", *_HANDSHAKE)
        if denied.status not in (0, 200, 426):  # else the server does not support websockets
            observer.handshake_denied(denied.status)
    report = get("/report")
    extra += [Broken(rule, found, severity) for rule, found, severity in json.loads(report.body or b"[]")]
    extra += _found(observer)
    return sorted({broken.rule: broken for broken in sorted(extra, reverse=True)}.values())


_HANDSHAKE = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Connection: Upgrade")


def _query(answer: ProbeResponse) -> str | None:
    try:
        value: object = json.loads(answer.body)["query"]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _probe_asgi(observer: ClientObserver, get: Callable[..., ProbeResponse]) -> None:
    if get("/idle").body == b"http.disconnect":
        observer.disconnect_given(client_left=False, complete=False)
    observer.headers_delivered(_HEADERS, get("/headers").headers)
    observer.headers_delivered(CODING, get("/coding").headers)
    cut = get("/cut")
    if cut.body == b"begun":
        observer.response_cut(complete=cut.complete)
    get("/additional")
    get("/invalid")
    observer.trailers_delivered(te=False, trailers=get("/trailers").trailers)
    offered = cast("list[str]", json.loads(get("/extensions").body or b"[]"))  # the probe application wrote this JSON
    observer.extensions_offered(offered)
