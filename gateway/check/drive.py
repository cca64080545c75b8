"""Call an application the way a conformant server does: one request, in process, without a socket.

``gateway check`` uses it. This driver breaks no rule, so each finding of a `Validator` is the application's.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import traceback
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from gateway.protocols import ASGIApplication, Environ, Message, Scope, WSGIApplication

__all__ = ["drive_asgi", "drive_wsgi"]

#: Seconds that one request may take.
TIMEOUT = 30.0
_ASGI = {"version": "3.0", "spec_version": "2.4"}


def drive_wsgi(
    app: WSGIApplication, requests: Iterable[tuple[str, str]], *, host: str = "localhost", scheme: str = "http"
) -> list[str]:
    """Call a WSGI application for each request, and return the exceptions as text.

    Args:
        app: The application.
        requests: Method and target of each request.
        host: Value of the Host header.
        scheme: ``http`` or ``https``.
    """
    raised: list[str] = []
    for method, target in requests:
        try:
            _call_wsgi(app, method, target, host, scheme)
        except Exception as error:
            raised.append(f"{method} {target}: {_said(error)}")
    return raised


def _said(error: Exception) -> str:
    """Return the exception in one line, with the place that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{said} ({place.filename}, line {place.lineno})"


def _call_wsgi(app: WSGIApplication, method: str, target: str, host: str, scheme: str) -> None:
    path, _, query = target.partition("?")
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443" if scheme == "https" else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    sent = False

    def write(data: bytes) -> None:
        nonlocal sent
        sent = sent or bool(data)

    def start_response(status: str, headers: object, exc_info: object = None) -> object:
        try:
            if isinstance(exc_info, tuple) and sent:
                raise exc_info[1]  # pyright: ignore[reportUnknownMemberType]
        finally:
            exc_info = None
        return write

    iterable = app(environ, start_response)  # type: ignore[arg-type]  # its protocol has a default of another form
    try:
        for block in iterable:
            write(block)
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def drive_asgi(
    app: ASGIApplication, requests: Iterable[tuple[str, str]], *, host: str = "localhost", scheme: str = "http"
) -> list[str]:
    """Start an ASGI application, call it for each request and with an unknown protocol, and stop it.

    Args:
        app: The application.
        requests: Method and target of each request.
        host: Value of the Host header.
        scheme: ``http`` or ``https``.

    Returns:
        Exceptions, timeouts and failed startups as text. Exceptions for the unknown protocol, or instead of a response
        to the startup event, are not included.
    """
    return asyncio.run(_drive_asgi(app, requests, host, scheme))


async def _drive_asgi(app: ASGIApplication, requests: Iterable[tuple[str, str]], host: str, scheme: str) -> list[str]:
    raised: list[str] = []
    events: asyncio.Queue[Message] = asyncio.Queue()
    replies: asyncio.Queue[Message] = asyncio.Queue()
    state: dict[str, object] = {}

    async def call(scope: Scope) -> None:
        await app(scope, events.get, replies.put)

    lifespan = asyncio.ensure_future(call({"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}))
    events.put_nowait({"type": "lifespan.startup"})
    reply = asyncio.ensure_future(replies.get())
    await asyncio.wait([lifespan, reply], timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
    if reply.done() and (kind := reply.result()["type"]) != "lifespan.startup.complete":
        failed = kind == "lifespan.startup.failed"
        said = (
            f"startup failed: {reply.result().get('message', '')}"
            if failed
            else f"the application answered lifespan.startup with {kind!r}"
        )
        raised.append(f"lifespan: {said}")
        requests = ()
    elif not reply.done() and not lifespan.done():
        raised.append(f"lifespan: no answer to lifespan.startup within {TIMEOUT:g} seconds")
        requests = ()
    for method, target in requests:
        limit = asyncio.timeout(TIMEOUT)
        try:
            async with limit:
                await _call_asgi(app, method, target, dict(state), host, scheme)
        except Exception as error:
            said = f"the application did not finish within {TIMEOUT:g} seconds" if limit.expired() else _said(error)
            raised.append(f"{method} {target}: {said}")
    with contextlib.suppress(Exception):  # an application should raise for an unknown protocol
        await asyncio.wait_for(_call_unknown(app), 1.0)  # it has no reason to wait
    if reply.done() and not lifespan.done():
        events.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait([lifespan], timeout=TIMEOUT)
        if not lifespan.done():
            raised.append(f"lifespan: the application did not return within {TIMEOUT:g} seconds of lifespan.shutdown")
    for task in (reply, lifespan):
        task.cancel()
        with contextlib.suppress(BaseException):
            await task
    return raised


async def _call_unknown(app: ASGIApplication) -> None:
    events: list[Message] = [{"type": "gateway.unknown.event"}]

    async def receive() -> Message:
        if not events:
            await asyncio.sleep(TIMEOUT)
        return events.pop()

    async def send(message: Message) -> None:
        """Ignore the message: the protocol is unknown."""

    await app({"type": "gateway.unknown", "asgi": {"version": "3.0"}}, receive, send)


async def _call_asgi(
    app: ASGIApplication, method: str, target: str, state: dict[str, object], host: str, scheme: str
) -> None:
    path, _, query = target.partition("?")
    scope: Scope = {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(b"host", host.encode("ascii"))],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 443 if scheme == "https" else 80),
        "state": state,
        "extensions": {},
    }
    events: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    answered = asyncio.Event()

    async def receive() -> Message:
        if events:
            return events.pop(0)
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("type") == "http.response.body" and not message.get("more_body"):
            answered.set()

    await app(scope, receive, send)
