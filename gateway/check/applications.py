"""The applications that a probe needs in a server: each path shows one behaviour that is rare in real applications.

Both run under a `Validator` that collects; the path ``/report`` returns its findings against the server. They use the
clock of the machine, so the probe has to run on the same machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gateway.loops import move_on_after, sleep
from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope
from gateway.rules.observer import ClientObserver
from gateway.rules.validator import Validator

__all__ = [
    "ACCEPTED",
    "BYTES",
    "CODING",
    "DIES",
    "HEADERS",
    "LIFESPAN",
    "Broken",
    "asgi",
    "asgi_application",
    "found",
    "wsgi",
    "wsgi_application",
]

#: Environment variable that makes the application refuse the lifespan protocol, if its value is "raise".
LIFESPAN = "GATEWAY_PROBE_LIFESPAN"
#: Seconds that the application waits between two parts of a response. A client on the same machine has the first part
#: long before.
PAUSE = 0.5
HEADERS = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"x-a", b"1"), (b"set-cookie", b"b=2; Path=/")]
#: A Transfer-Encoding of the application, which servers ignore.
CODING = [(b"content-type", b"text/plain"), (b"transfer-encoding", b"x-gateway-probe")]
#: A body that a conversion of line ends or of characters would change.
BYTES = bytes(range(256)) + b"\r\n\n\r\r\n"
#: The subprotocol and the headers of the application's websocket.accept, as a client sees them.
ACCEPTED = [(b"sec-websocket-protocol", b"superchat"), (b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]
#: The error of an application that dies on purpose: a server logs it.
DIES = "the probe raises on purpose"


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


def found(observer: Validator | ClientObserver) -> list[Broken]:
    """Return the findings against the server."""
    both = [(v, "error") for v in observer.violations] + [(v, "warning") for v in observer.warnings]
    return [
        Broken(violation.rule, violation.found, severity) for violation, severity in both if violation.side == "server"
    ]


async def _next_event(receive: ASGIReceive, seconds: float) -> str:
    message: Message = {"type": "none"}
    async with move_on_after(seconds):
        message = await receive()
    return str(message["type"])


async def _text(send: ASGISend, text: str | bytes, **start: object) -> None:
    body = text.encode() if isinstance(text, str) else text
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS[:1], **start})
    await send({"type": "http.response.body", "body": body})


async def asgi_application(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """The ASGI application, without its validator."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _websocket(scope, receive, send)
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


async def _websocket(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await receive()
    path = scope["path"].rpartition("/")[2]
    if path not in ("ws", "ws-close", "ws-dies"):
        await send({"type": "websocket.close"})
        return
    headers = ACCEPTED[1:]
    await send({"type": "websocket.accept", "subprotocol": "superchat", "headers": headers})
    if path == "ws-dies":
        raise RuntimeError(DIES)
    if path == "ws-close":
        await send({"type": "websocket.close", "code": 4001})
        return
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        data = text.encode() if text is not None else message["bytes"]
        await send({"type": "websocket.send", "bytes": data})


async def _http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    size = 0
    message: Message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        size += len(message.get("body", b""))
    path = scope["path"].rpartition("/")[2]
    if path == "flush":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS[:1]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await sleep(PAUSE)
        await send({"type": "http.response.body", "body": b" %r" % time.monotonic()})
    elif path == "idle":
        await _text(send, await _next_event(receive, PAUSE))
    elif path == "headers":
        await _text(send, "ok", headers=HEADERS)
    elif path == "coding":
        await _text(send, "ok", headers=CODING)
    elif path == "bytes":
        await _text(send, BYTES)
    elif path == "cut":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS[:1]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise RuntimeError(DIES)
    elif path == "additional":
        await _text(send, "ok", gateway_probe=True)
    elif path == "invalid":
        with contextlib.suppress(Exception):  # the server should raise
            await send({"type": "http.response.start", "status": "200", "headers": []})
        await _text(send, "ok")
    elif path == "trailers" and "http.response.trailers" in (scope.get("extensions") or {}):
        start = {"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-end")], "trailers": True}
        await send(start)
        await send({"type": "http.response.body", "body": b"ok"})
        await sleep(PAUSE)
        await send({"type": "http.response.trailers", "headers": [(b"x-end", b"1")]})
    elif path == "extensions":
        await _text(send, json.dumps({"extensions": sorted(scope.get("extensions") or {})}))
    elif path == "interface":
        await _text(send, "asgi")
    elif path == "report":
        await _text(send, json.dumps({"found": found(asgi), "exercised": sorted(asgi.exercised)}))
    else:
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        await _text(
            send, json.dumps({"query": scope["query_string"].decode("latin-1"), "size": size, "headers": pairs})
        )


def wsgi_application(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    """The WSGI application, without its validator."""
    path = environ.get("PATH_INFO", "").rpartition("/")[2]
    if path == "lazy":
        return _lazy(start_response)
    size = 0
    if environ.get("CONTENT_LENGTH") or environ.get("wsgi.input_terminated"):
        length = environ.get("CONTENT_LENGTH")
        size = len(environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read())
    headers = [("Content-Type", "text/plain")]
    if path in ("long", "short"):
        start_response("200 OK", [*headers, ("Content-Length", "10")])
        return iter([b"0123456789", b"surplus"]) if path == "long" else [b"01234"]
    start_response("200 OK", headers)
    if path == "flush":
        return _slow(b"first")
    if path == "waits":
        return _slow(b"")
    if path == "bytes":
        return [BYTES[:100], BYTES[100:]]
    if path == "replaced":
        try:
            raise RuntimeError(DIES)
        except RuntimeError:
            start_response("503 Service Unavailable", headers, sys.exc_info())
        return [b"replaced"]
    if path == "interface":
        return [b"wsgi"]
    if path == "report":
        return [json.dumps({"found": found(wsgi), "exercised": sorted(wsgi.exercised)}).encode()]
    names = [name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_")]
    return [json.dumps({"query": environ.get("QUERY_STRING", ""), "size": size, "headers": names}).encode()]


def _slow(first: bytes) -> Iterator[bytes]:
    yield first
    time.sleep(PAUSE)
    yield b" %r" % time.monotonic()


def _lazy(start_response: Callable[..., object]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"lazy"


asgi: Validator = Validator(asgi_application, "asgi", "collect")
wsgi: Validator = Validator(wsgi_application, "wsgi", "collect")
