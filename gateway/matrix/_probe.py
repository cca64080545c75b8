"""An application around the user's: it answers the requests of the matrix that carry ``x-gateway-matrix``.

There is one for each interface, so that an adapter is used only where the user's application needs it as well. Both
give the same response to the same facts. They are written against the specifications alone.

Sources: PEP 3333; ASGI HTTP and WebSocket 2.4.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from gateway.loops import sleep
from gateway.matrix._requests import PROBE
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Environ, Scope, StartResponse, WSGIApplication

__all__ = ["PAUSE", "asgi_probe", "wsgi_probe"]

#: Seconds between the two chunks of the timed stream.
PAUSE = 0.4
#: Request headers whose values are facts.
_NAMES = ("host", "content-type", "cookie", "x-dup", "x-under", "x-latin", "x-empty", "x-long")
_TEXT = ("content-type", "text/plain; charset=utf-8")
#: Together larger than an adapter joins, because a server may give a length to a stream that arrives in one piece.
_CHUNKS = [b"%04d" % row * 4096 for row in range(64)]
_LARGE = bytes(range(256)) * 12288
_FIXED: Mapping[str, tuple[int, list[tuple[str, str]], list[bytes]]] = {
    "headers": (
        200,
        [
            _TEXT,
            ("x-b", "1"),
            ("set-cookie", "a=1; Path=/"),
            ("x-a", "2"),
            ("set-cookie", "b=2; Path=/"),
            ("x-latin", "caf\xe9"),
            ("content-length", "2"),
        ],
        [b"ok"],
    ),
    "large": (200, [_TEXT, ("content-length", str(len(_LARGE)))], [_LARGE]),
    "stream": (200, [_TEXT], _CHUNKS),
    "length": (200, [_TEXT, ("content-length", "5")], [b"hello"]),
    "204": (204, [("x-empty", "yes")], []),
    "304": (304, [("etag", '"a"')], []),
    "unread": (413, [_TEXT, ("content-length", "9")], [b"too large"]),
    # A handshake that reaches an application as HTTP.
    "websocket": (200, [_TEXT, ("content-length", "12")], [b"no WebSocket"]),
    "timed": (200, [_TEXT], [b"first", b" last"]),
}


def _body_facts(body: bytes) -> dict[str, str]:
    return {"body length": str(len(body)), "body digest": hashlib.sha1(body, usedforsecurity=False).hexdigest()[:8]}


def _value(name: str, values: list[str]) -> str | None:
    """Join repeated headers as RFC 9110 section 5.3 and RFC 9113 section 8.2.3 do; shorten a long one."""
    if not values:
        return None
    if name != "cookie":  # ", " and "," join repeated headers alike; a cookie cannot be read back from either
        values = [part.strip() for value in values for part in value.split(",")]
    joined = ("; " if name == "cookie" else ",").join(values)
    return joined if len(joined) <= 200 else f"{len(joined)} characters"


def _json(facts: Mapping[str, object]) -> tuple[int, list[tuple[str, str]], list[bytes]]:
    body = json.dumps(facts).encode()
    return 200, [("content-type", "application/json"), ("content-length", str(len(body)))], [body]


def wsgi_probe(app: WSGIApplication) -> WSGIApplication:
    """Put the probe around a WSGI application."""

    def probe(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        wanted = environ.get("HTTP_X_GATEWAY_MATRIX")
        if not wanted:
            return app(environ, start_response)
        if wanted == "error":
            raise RuntimeError("the matrix raises this on purpose")
        if wanted == "cut":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return _cut()
        status, headers, chunks = _json(_wsgi_facts(environ)) if wanted == "facts" else _FIXED[wanted]
        start_response(f"{status} Probe", [(name.title(), value) for name, value in headers])
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return chunks if len(chunks) < 2 else _one_by_one(chunks, pause=PAUSE if wanted == "timed" else 0.0)

    return probe


def _one_by_one(chunks: list[bytes], pause: float) -> Iterator[bytes]:
    for number, chunk in enumerate(chunks):
        if number and pause:
            time.sleep(pause)
        yield chunk


def _cut() -> Iterator[bytes]:
    yield b"x" * 65536
    raise RuntimeError("the matrix raises this on purpose")


def _wsgi_facts(environ: Environ) -> dict[str, Any]:
    def header(name: str) -> str | None:
        key = name.upper().replace("-", "_")
        value = environ.get(key if name == "content-type" else f"HTTP_{key}")
        if value is None or (name == "content-type" and not value):  # PEP 3333: it may be empty or absent
            return None
        return _value(name, [value])

    length = environ.get("CONTENT_LENGTH")
    # A server may give the empty text for no length, and is free to let read() wait for ever then (PEP 3333).
    readable = bool(environ.get("wsgi.input_terminated")) or environ.get("HTTP_TRANSFER_ENCODING") is not None
    stream = environ["wsgi.input"]
    body = first = stream.read(int(length)) if length else stream.read() if readable else b""
    while length and len(body) < int(length) and (more := stream.read(int(length) - len(body))):
        body += more
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return {
        "method": environ["REQUEST_METHOD"],
        "path": path.encode("latin-1").decode("utf-8", "backslashreplace"),
        "query": environ.get("QUERY_STRING", ""),
        "scheme": environ["wsgi.url_scheme"],
        **{name: header(name) for name in _NAMES},
        **_body_facts(body),
        "read(n) gives n bytes": "yes" if len(first) == len(body) else "no",
    }


def asgi_probe(app: ASGIApplication) -> ASGIApplication:
    """Put the probe around an ASGI application."""
    started = False

    async def probe(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        nonlocal started
        if scope["type"] == "lifespan":
            started = True
            await app(scope, receive, send)
            return
        given = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        wanted = next((value for name, value in given if name == PROBE), None)
        if wanted is None:
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _echo(receive, send)
        elif wanted == "error":
            raise RuntimeError("the matrix raises this on purpose")
        else:
            facts = {"started": started} if wanted == "lifespan" else None
            await _respond(scope, receive, send, wanted, given, facts)

    return probe


async def _echo(receive: ASGIReceive, send: ASGISend) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    await send({"type": "websocket.send", "text": str(message.get("text")).upper()})
    await receive()  # until the client closes


async def _respond(
    scope: Scope,
    receive: ASGIReceive,
    send: ASGISend,
    wanted: str,
    given: list[tuple[str, str]],
    facts: dict[str, Any] | None,
) -> None:
    if wanted == "facts":
        facts = await _asgi_facts(scope, receive, given)
    if wanted == "cut":
        status, headers, chunks = 200, [_TEXT], [b"x" * 65536]
    else:
        status, headers, chunks = _FIXED[wanted] if facts is None else _json(facts)
    encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    for number, chunk in enumerate([] if scope["method"] == "HEAD" else chunks):
        if number and wanted == "timed":
            await sleep(PAUSE)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if wanted == "cut":
        raise RuntimeError("the matrix raises this on purpose")
    await send({"type": "http.response.body", "body": b""})


async def _asgi_facts(scope: Scope, receive: ASGIReceive, given: list[tuple[str, str]]) -> dict[str, Any]:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += cast("bytes", message.get("body", b""))
        more = bool(message.get("more_body", False))
    # ASGI keeps the dash and the underscore apart; an application that asks for x-under does not see x_under.
    values = {name: [value for known, value in given if known == name] for name in _NAMES}
    return {
        "method": scope["method"],
        # Its own text has U+DCFF or U+FFFD for a byte that is not UTF-8.
        "path": str(scope["path"]).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        "query": bytes(scope["query_string"]).decode("latin-1"),
        "scheme": scope["scheme"],
        **{name: _value(name, found) for name, found in values.items()},
        **_body_facts(body),
    }
