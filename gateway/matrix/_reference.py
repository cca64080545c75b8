"""The reference responses: an application is called directly, in its own interface, without a server.

This module uses nothing from ``gateway.adapters``, so a fault of an adapter cannot be in both of the compared
responses. It calls an application as the specification says.

Sources: PEP 3333; ASGI HTTP 2.4 "Connection Scope"; RFC 9110 section 5.3 (repeated headers are joined with a comma);
RFC 9112 section 3.2.2 (absolute targets).
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

from gateway.matrix._requests import MatrixRequest
from gateway.protocols import ASGIApplication, Message, Scope

__all__ = ["Answer", "call_asgi", "call_asgi_started", "call_wsgi"]

_STARTUP_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """The compared values: status, every header in order with its name in lower case, and the whole body.

    Attributes:
        status: Status of the response; 500 if the application raised before its headers; 101 for a WebSocket.
        headers: Headers of the response.
        body: Body of the response, or the first message of a WebSocket.
        complete: False if the response ended before its declared end, because the application raised.
        raised: The application raised before its headers, so that the server writes the response.
        at_once: The first chunk arrived before the last was sent.
        interim: Status of an interim response, or 0.
        left_open: The server did not close the connection after the response, although the client asked for it.
        error: The exception that the application raised. It is not compared.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool = True
    raised: bool = False
    at_once: bool = True
    interim: int = 0
    left_open: bool = False
    error: Exception | None = field(default=None, compare=False)


def _target(request: MatrixRequest) -> tuple[str, str]:
    target = request.path.removeprefix("http://localhost")
    path, _, query = target.partition("?")
    return path, query


def call_wsgi(app: WSGIApplication, request: MatrixRequest) -> Answer:
    """Call a WSGI application."""
    path, query = _target(request)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
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
    for name, value in request.sent_headers:
        key = name.upper().replace("-", "_")
        if "_" in name:  # it would overwrite the header with a dash
            continue
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        joined = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{joined}{value}" if key in environ else value
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []
    raised: Exception | None = None

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
        started.append((status, headers))
        return written.append

    try:
        result: Iterable[bytes] = app(environ, start_response)  # type: ignore[arg-type]  # exc_info has one type of PEP 3333
        try:
            for chunk in result:
                written.append(chunk)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
    except Exception as error:
        raised = error
    if not started:
        return Answer(500, (), b"", raised=True, error=raised)
    status, headers = started[-1]
    lower = tuple((name.lower(), value) for name, value in headers)
    body = b"" if request.method == "HEAD" else b"".join(written)
    interim = 100 if request.how == "expect" else 0
    return Answer(int(status[:3]), lower, body, raised is None, interim=interim, error=raised)


def call_asgi(app: ASGIApplication, request: MatrixRequest) -> Answer:
    """Call an ASGI application, on an event loop of its own, without its lifespan."""
    return asyncio.run(_call_asgi(app, request, {}))


def call_asgi_started(
    app: ASGIApplication, requests: Sequence[MatrixRequest], *, started: Callable[[], object] | None = None
) -> list[Answer]:
    """Start an ASGI application, call it for each request, and stop it.

    Args:
        app: The application.
        requests: The requests.
        started: Function to call after the startup.

    Raises:
        RuntimeError: The application's startup failed.
    """

    async def call() -> list[Answer]:
        events: asyncio.Queue[Message] = asyncio.Queue()
        replies: asyncio.Queue[Message] = asyncio.Queue()
        state: dict[str, object] = {}
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}

        async def live() -> None:
            await app(scope, events.get, replies.put)

        lifespan = asyncio.ensure_future(live())
        events.put_nowait({"type": "lifespan.startup"})
        reply = asyncio.ensure_future(replies.get())
        await asyncio.wait([lifespan, reply], timeout=_STARTUP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if reply.done() and reply.result()["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the application's startup failed: {reply.result().get('message', '')}")
        if started is not None:
            started()
        answers = [await _call_asgi(app, request, dict(state)) for request in requests]
        if not lifespan.done():
            events.put_nowait({"type": "lifespan.shutdown"})
            await asyncio.wait([lifespan], timeout=_STARTUP_SECONDS)
        for task in (reply, lifespan):
            task.cancel()
            with suppress(BaseException):  # an application may raise for a protocol that it does not support
                await task
        return answers

    return asyncio.run(call())


async def _call_asgi(app: ASGIApplication, request: MatrixRequest, state: dict[str, object]) -> Answer:
    path, query = _target(request)
    headers = [(b"host", b"localhost")]
    if request.body:
        length = (
            (b"transfer-encoding", b"chunked") if request.chunked else (b"content-length", b"%d" % len(request.body))
        )
        headers.append(length)
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.sent_headers]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version,
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "state": state,
    }
    waiting: list[Message] = [{"type": "http.request", "body": request.body, "more_body": False}]
    last: Message = {"type": "http.disconnect"}
    if request.how == "websocket":
        scope = {**scope, "type": "websocket", "scheme": "ws", "subprotocols": []}
        del scope["method"]
        waiting = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
        last = {"type": "websocket.disconnect", "code": 1000}
    sent: list[Message] = []
    ended = asyncio.Event()

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        if request.how != "websocket":
            await ended.wait()  # the client leaves when it has the response
        return last

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            ended.set()

    raised: Exception | None = None
    try:
        await app(scope, receive, send)
    except Exception as error:
        raised = error
    if request.how == "websocket":
        return _of_websocket(sent)
    if not sent:
        return Answer(500, (), b"", raised=True, error=raised)
    start, *bodies = sent
    decoded = tuple((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in start["headers"])
    body = b"" if request.method == "HEAD" else b"".join(message.get("body", b"") for message in bodies)
    interim = 100 if request.how == "expect" else 0
    return Answer(start["status"], decoded, body, raised is None, interim=interim, error=raised)


def _of_websocket(sent: Sequence[Message]) -> Answer:
    kinds = [message["type"] for message in sent]
    if "websocket.accept" not in kinds:
        return Answer(403, (), b"")
    texts = [str(message.get("text", "")).encode() for message in sent if message["type"] == "websocket.send"]
    return Answer(101, (), texts[0] if texts else b"")
