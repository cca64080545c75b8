"""The two applications of ``gateway demo``, written against the specifications alone, and the objects that serve them.

Both give every kind of response that the demo compares: fixed, streamed, uploads, several cookies, bytes beyond ASCII.
No response depends on the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import cast
from urllib.parse import parse_qsl
from wsgiref.types import InputStream, StartResponse, WSGIEnvironment

from gateway.application import Gateway
from gateway.protocols import ASGIReceive, ASGISend, Scope

__all__ = ["asgi_application", "wsgi", "wsgi_application"]

Headers = list[tuple[str, str]]

_TEXT = ("content-type", "text/plain; charset=utf-8")
#: Together larger than an adapter joins, because a server may give a length to a stream that arrives in one piece.
_CHUNKS = [b"%04d" % row * 4096 for row in range(64)]


def _fixed(status: str, body: bytes, *more: tuple[str, str]) -> tuple[str, Headers, list[bytes]]:
    return status, [_TEXT, *more, ("content-length", str(len(body)))], [body]


def _answer(method: str, path: str, query: str, body: bytes) -> tuple[str, Headers, list[bytes]]:
    """Return the response of both applications: status, headers in this order, chunks."""
    if path == "/":
        return _fixed("200 OK", b"hello", ("x-second", "2"), ("x-first", "1"))
    if path == "/upload" and method == "POST":
        return _fixed("201 Created", f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())
    if path == "/stream":
        return "200 OK", [_TEXT, ("x-chunks", str(len(_CHUNKS)))], _CHUNKS
    if path == "/cookies":
        cookies = [("set-cookie", f"{name}=1; Path=/; HttpOnly") for name in "abc"]
        return _fixed("200 OK", b"three cookies", *cookies)
    if path.startswith("/echo/"):
        said = f"{path.removeprefix('/echo/')} {parse_qsl(query)}"
        return _fixed("200 OK", said.encode(), ("x-latin", "caf\xe9"))
    if path == "/nothing":
        return "204 No Content", [("x-empty", "yes")], []
    if path == "/elsewhere":
        return _fixed("303 See Other", b"", ("location", "/echo/caf%C3%A9"))
    return _fixed("404 Not Found", b"there is nothing here")


def wsgi_application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Respond as a WSGI application: streams are iterators, fixed responses are lists."""
    length = environ.get("CONTENT_LENGTH") or "0"
    stream = cast("InputStream", environ["wsgi.input"])
    body = stream.read() if environ.get("wsgi.input_terminated") else stream.read(int(length))
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    status, headers, chunks = _answer(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), body)
    if environ["REQUEST_METHOD"] == "HEAD":
        chunks = []
    start_response(status, [(name.title(), value) for name, value in headers])
    return _one_by_one(chunks) if len(chunks) > 1 else chunks


def _one_by_one(chunks: list[bytes]) -> Iterator[bytes]:
    yield from chunks


async def asgi_application(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Respond as an ASGI application: streams are messages."""
    if scope["type"] != "http":
        raise NotImplementedError(f"the demo does not support {scope['type']}")
    body = b""
    more = True
    while more:
        message = await receive()
        body += cast("bytes", message.get("body", b""))
        more = bool(message.get("more_body", False))
    query = cast("bytes", scope["query_string"]).decode("latin-1")
    status, headers, chunks = _answer(cast("str", scope["method"]), cast("str", scope["path"]), query, body)
    if scope["method"] == "HEAD":
        chunks = []
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": encoded})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


#: The object that servers import. `_demo_asgi` has the other one, because gevent's servers refuse to import it.
wsgi = Gateway(wsgi_application, "wsgi")
