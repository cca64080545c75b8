"""The applications that `gateway.check.measure` serves: each path shows one fact about the server that calls it.

They are written against the specifications alone, and no response depends on the server.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

from gateway.loops import sleep
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope, StartResponse
from gateway.translate.scope_environ import environ_to_scope

__all__ = ["HEADERS", "asgi", "wsgi"]

HEADERS = (("x-b", "1"), ("set-cookie", "a=1"), ("x-a", "2"), ("set-cookie", "b=2"), ("x-latin", "caf\xe9"))
#: Seconds that a response waits for the file in its query, and that a request stays in flight.
_PATIENCE = 10.0
_TOGETHER_SECONDS = 0.5
_TEXT = (("content-type", "text/plain"),)
_lock = threading.Lock()
_now = _most = 0


def _enter() -> None:
    global _now, _most
    with _lock:
        _now += 1
        _most = max(_most, _now)


def _leave() -> None:
    global _now
    with _lock:
        _now -= 1


def _together() -> None:
    """Block the thread, so that as many requests are in flight as the server has threads."""
    _enter()
    time.sleep(_TOGETHER_SECONDS)
    _leave()


def _raw_path(scope: Scope) -> bytes:
    return bytes(scope.get("raw_path") or b"")


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Respond as a WSGI application."""
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    headers = HEADERS if path == "/headers" else _TEXT
    body = b"ok"
    if path == "/length":
        length = environ.get("CONTENT_LENGTH")
        # As applications do: without a length, read() may wait for ever unless the server marks the end (PEP 3333).
        ends = environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING") is not None
        stream = environ["wsgi.input"]
        body = str(len(stream.read(int(length)) if length else stream.read() if ends else b"")).encode()
    elif path.startswith("/raw"):
        body = _raw_path(environ_to_scope(environ))
    elif path == "/offers":
        body = json.dumps(["http.response.early_hint"] if "wsgi.early_hints" in environ else []).encode()
    elif path == "/together":
        _together()
        body = str(_most).encode()
    start_response("200 OK", [(name.title(), value) for name, value in headers])
    return _slowly(unquote(query)) if path == "/slow" else [body]


def _slowly(file: str) -> Iterator[bytes]:
    yield b"begun"
    until = time.monotonic() + _PATIENCE
    while not Path(file).exists() and time.monotonic() < until:
        time.sleep(0.01)
    yield b"ended"


_started = False


async def asgi(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Respond as an ASGI application."""
    global _started
    if scope["type"] == "lifespan":
        await receive()
        _started = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "text": "HELLO"})
        await receive()  # until the client closes
        return
    path = str(scope["path"])
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = bool(message.get("more_body", False))
    body = b"ok"
    if path == "/length":
        body = str(length).encode()
    elif path.startswith("/raw"):
        body = _raw_path(scope)
    elif path == "/offers":
        body = json.dumps([*(scope.get("extensions") or {}), *(["lifespan"] if _started else [])]).encode()
    elif path == "/together":
        _together()
        body = str(_most).encode()
    headers = HEADERS if path == "/headers" else _TEXT
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    if path == "/slow":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        file, until = Path(unquote(scope["query_string"].decode())), time.monotonic() + _PATIENCE
        while not file.exists() and time.monotonic() < until:
            await sleep(0.01)
        body = b"ended"
    await send({"type": "http.response.body", "body": body})
