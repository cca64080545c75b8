"""The reference responses of ``gateway demo``: each application is called directly, in its own interface.

This module uses nothing from ``gateway.adapters``, so a fault of an adapter cannot be in both of the compared
responses. It calls an application as the specification says, and supports only the demo's requests.
Sources: PEP 3333; ASGI HTTP 2.4 "Connection Scope".
"""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

from gateway.protocols import ASGIApplication, Message, Scope

__all__ = ["Answer", "Request", "call_asgi", "call_wsgi"]


@dataclass(frozen=True)
class Request:
    """One request of the demo.

    Attributes:
        name: Name in the table.
        method: HTTP method.
        path: Percent-encoded path, and query.
        body: Request body.
        chunked: Send the body in chunks, without a length.
    """

    name: str
    method: str = "GET"
    path: str = "/"
    body: bytes = b""
    chunked: bool = False


@dataclass(frozen=True)
class Answer:
    """The compared values: status, every header in order with its name in lower case, and the whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def call_wsgi(app: WSGIApplication, request: Request) -> Answer:
    """Call a WSGI application."""
    path, _, query = request.path.partition("?")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if request.body and not request.chunked:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
        started.append((status, headers))
        return written.append

    result = app(environ, start_response)  # type: ignore[arg-type]  # the demo's applications never pass exc_info
    try:
        written.extend(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    return Answer(int(status[:3]), tuple((name.lower(), value) for name, value in headers), b"".join(written))


def call_asgi(app: ASGIApplication, request: Request) -> Answer:
    """Call an ASGI application, on an event loop of its own."""
    path, _, query = request.path.partition("?")
    headers = [(b"host", b"localhost")]
    if request.body:
        length = (
            (b"transfer-encoding", b"chunked") if request.chunked else (b"content-length", b"%d" % len(request.body))
        )
        headers.append(length)
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8"),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    waiting: list[Message] = [{"type": "http.request", "body": request.body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def call() -> None:
        await app(scope, receive, send)

    asyncio.run(call())
    start, *bodies = sent
    decoded = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    return Answer(start["status"], decoded, b"".join(message.get("body", b"") for message in bodies))
