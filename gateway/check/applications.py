"""The applications that a probe needs in a server: each path shows one behaviour that is rare in real applications.

Both run under a `Validator` that collects; the path ``/report`` returns its findings against the server, and
``/seen`` returns facts about earlier requests. They use the clock of the machine, so the probe has to run on
the same machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.check.expected import ACCEPTED, BYTES, CODING, DIES, HEADERS, LARGE, LEAVING, LIFESPAN, PAUSE, REPORT
from gateway.check.expected import summary as summary_of
from gateway.loops import move_on_after, sleep
from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope
from gateway.rules.observer import ClientObserver
from gateway.rules.validator import Validator

__all__ = ["Broken", "asgi", "asgi_application", "found", "wsgi", "wsgi_application"]

#: Facts about earlier requests: the end of a client that left, the close of a WebSocket.
_SEEN: dict[str, object] = {}


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
    """Return the findings against the server, oldest first."""
    both = [(v, "error") for v in observer.violations] + [(v, "warning") for v in observer.warnings]
    return [
        Broken(violation.rule, violation.found, severity) for violation, severity in both if violation.side == "server"
    ]


def _report(validator: Validator, **more: object) -> str:
    return json.dumps({"found": found(validator), "exercised": sorted(validator.exercised), **more})


def _echo(method: str, path: str, query: str, version: str, body: bytes, headers: object) -> str:
    size, digest = summary_of(body)
    facts = {"method": method, "path": path, "query": query, "version": version, "size": size, "digest": digest}
    return json.dumps({**facts, "headers": headers})


async def _next_event(receive: ASGIReceive, seconds: float) -> str:
    message: Message = {"type": "none"}
    async with move_on_after(seconds):
        message = await receive()
    return str(message["type"])


async def _text(send: ASGISend, text: str | bytes, **start: object) -> None:
    body = text.encode() if isinstance(text, str) else text
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS[:1], **start})
    await send({"type": "http.response.body", "body": body})


async def _begin(send: ASGISend, first: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS[:1]})
    await send({"type": "http.response.body", "body": first, "more_body": True})


async def asgi_application(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """The ASGI application, without its validator."""
    if scope["type"] == "lifespan":
        await _lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await _websocket(scope, receive, send)
    elif scope["type"] == "http":
        await _http(scope, receive, send)
    else:
        raise NotImplementedError(scope["type"])


async def _lifespan(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    wish = os.environ.get(LIFESPAN)
    if wish == "raise":
        raise NotImplementedError("this application does not support lifespan")
    await receive()
    if wish == "fail":
        await send({"type": "lifespan.startup.failed", "message": DIES})
        return
    if isinstance(scope.get("state"), dict):
        scope["state"]["probe"] = _SEEN
    await send({"type": "lifespan.startup.complete"})
    message = await receive()
    if (file := os.environ.get(REPORT)) is not None:
        # The validator has judged the event: whether connections are open, and whether it came at the right time.
        Path(file).write_text(_report(asgi, event=message["type"]), "utf-8")
    await send({"type": "lifespan.shutdown.complete"})


async def _websocket(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await receive()
    path = scope["path"].rpartition("/")[2]
    _SEEN["subprotocols"] = list(scope.get("subprotocols", ()))
    if path == "ws-denied" and "websocket.http.response" in (scope.get("extensions") or {}):
        _SEEN["denied"] = "with a response"
        await send({"type": "websocket.http.response.start", "status": 401, "headers": HEADERS[:1]})
        await send({"type": "websocket.http.response.body", "body": b"denied"})
        return
    if path not in ("ws", "ws-close", "ws-dies"):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": "superchat", "headers": ACCEPTED[1:]})
    if path == "ws-dies":
        raise RuntimeError(DIES)
    if path == "ws-close":
        await send({"type": "websocket.close", "code": 4001})
        return
    while (message := await receive())["type"] == "websocket.receive":
        text: object = message.get("text")
        await send({"type": "websocket.send", **({"bytes": message["bytes"]} if text is None else {"text": text})})
    # Each connection has a key of its own, because the end of an earlier one may come late.
    _SEEN[f"code {scope['query_string'].decode('latin-1')}"] = message.get("code")


async def _body(receive: ASGIReceive) -> bytes:
    parts: list[bytes] = []
    message: Message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


async def _http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    path = scope["path"].rpartition("/")[2]
    if path == "raises":
        raise RuntimeError(DIES)
    body = await _body(receive) if path != "unread" else b""
    answer = _ANSWERS.get(path)
    if answer is not None:
        await answer(scope, receive, send)
        return
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    query = scope["query_string"].decode("latin-1")
    await _text(send, _echo(scope["method"], scope["path"], query, scope["http_version"], body, pairs))


async def _flush(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _begin(send, b"first")
    await sleep(PAUSE)
    await send({"type": "http.response.body", "body": b" %r" % time.monotonic()})


async def _idle(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, await _next_event(receive, PAUSE))


async def _left(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    _SEEN.pop("left", None)
    await _begin(send, b"first")
    event = await _next_event(receive, LEAVING)
    _SEEN["left"] = "no message" if event == "none" else event
    with contextlib.suppress(Exception):  # the client has left
        await send({"type": "http.response.body"})


async def _headers(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, "ok", headers=HEADERS)


async def _coding(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, "ok", headers=CODING)


async def _bytes(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, BYTES)


async def _large(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _begin(send, LARGE[:65536])
    for start in range(65536, len(LARGE), 65536):
        await send({"type": "http.response.body", "body": LARGE[start : start + 65536], "more_body": True})
    await send({"type": "http.response.body"})


async def _empty(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def _cut(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _begin(send, b"begun")
    raise RuntimeError(DIES)


async def _additional(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, "ok", gateway_probe=True)


async def _invalid(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    with contextlib.suppress(Exception):  # the server should raise
        await send({"type": "http.response.start", "status": "200", "headers": []})
    await _text(send, "ok")


async def _trailers(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if "http.response.trailers" not in (scope.get("extensions") or {}):
        await _text(send, "ok")
        return
    headers = [(b"trailer", b"x-end")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    await send({"type": "http.response.body", "body": b"ok"})
    await sleep(PAUSE)
    await send({"type": "http.response.trailers", "headers": [(b"x-end", b"1")]})


async def _extensions(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, json.dumps({"extensions": sorted(scope.get("extensions") or {})}))


async def _interface(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, "asgi")


async def _asgi_report(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, _report(asgi))


async def _asgi_seen(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await _text(send, json.dumps(_SEEN))


_ANSWERS = {
    "additional": _additional,
    "bytes": _bytes,
    "coding": _coding,
    "cut": _cut,
    "empty": _empty,
    "extensions": _extensions,
    "flush": _flush,
    "headers": _headers,
    "idle": _idle,
    "interface": _interface,
    "invalid": _invalid,
    "large": _large,
    "left": _left,
    "report": _asgi_report,
    "seen": _asgi_seen,
    "trailers": _trailers,
}


def wsgi_application(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    """The WSGI application, without its validator."""
    path = environ.get("PATH_INFO", "").rpartition("/")[2]
    if path == "lazy":
        return _lazy(start_response)
    if path == "raises":
        raise RuntimeError(DIES)
    body = b""
    if path != "unread" and (environ.get("CONTENT_LENGTH") or environ.get("wsgi.input_terminated")):
        length = environ.get("CONTENT_LENGTH")
        body = environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read()
    headers = [("Content-Type", "text/plain")]
    if path in ("long", "short"):
        start_response("200 OK", [*headers, ("Content-Length", "10")])
        return iter([b"0123456789", b"surplus"]) if path == "long" else [b"01234"]
    if path == "empty":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", headers)
    if path == "replaced":
        try:
            raise RuntimeError(DIES)
        except RuntimeError:
            start_response("503 Service Unavailable", headers, sys.exc_info())
        return [b"replaced"]
    if path in _BODIES:
        return _BODIES[path]()
    if path == "interface":
        return [b"wsgi"]
    if path == "report":
        return [_report(wsgi).encode()]
    if path == "seen":
        return [json.dumps(_SEEN).encode()]
    names = [name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_")]
    facts = (environ["REQUEST_METHOD"], environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"))
    query, version = environ.get("QUERY_STRING", ""), environ.get("SERVER_PROTOCOL", "")
    return [_echo(*facts, query, version, body, names).encode()]


def _slow(first: bytes) -> Iterator[bytes]:
    yield first
    time.sleep(PAUSE)
    yield b" %r" % time.monotonic()


def _dies() -> Iterator[bytes]:
    yield b"begun"
    raise RuntimeError(DIES)


def _lazy(start_response: Callable[..., object]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"lazy"


class _Leaving:
    """More blocks than a client reads that leaves; records the call of close()."""

    def __init__(self) -> None:
        _SEEN.pop("left", None)
        self._left = 128

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return b"first" * 13000

    def close(self) -> None:
        _SEEN["left"] = "closed"


_BODIES: dict[str, Callable[[], Iterable[bytes]]] = {
    "bytes": lambda: [BYTES[:100], BYTES[100:]],
    "cut": _dies,
    "flush": lambda: _slow(b"first"),
    "large": lambda: [LARGE[start : start + 65536] for start in range(0, len(LARGE), 65536)],
    "left": _Leaving,
    "waits": lambda: _slow(b""),
}

asgi: Validator = Validator(asgi_application, "asgi", "collect")
wsgi: Validator = Validator(wsgi_application, "wsgi", "collect")
