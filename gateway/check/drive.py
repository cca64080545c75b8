"""Call an application the way a conformant server does: one request after the other, in process, without a socket.

``gateway check`` uses it for the cases of `gateway.check.cases.requests`. This driver breaks no rule, so each finding
of a `Validator` is the application's.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import traceback
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_to_bytes

from gateway.check.cases.requests import Leaving, RequestCase
from gateway.protocols import ASGIApplication, Environ, Message, Scope, WSGIApplication

__all__ = ["drive_asgi", "drive_wsgi"]

#: Seconds that one request may take.
TIMEOUT = 30.0
_ASGI = {"version": "3.0", "spec_version": "2.4"}


def drive_wsgi(
    app: WSGIApplication,
    paths: Iterable[str],
    cases: Sequence[RequestCase],
    *,
    host: str = "localhost",
    scheme: str = "http",
) -> list[str]:
    """Call a WSGI application for each path with each case, and return the exceptions as text, each once.

    Args:
        app: The application.
        paths: Targets of the requests.
        cases: The requests; cases that only the client of the test kit can send are skipped.
        host: Value of the Host header.
        scheme: ``http`` or ``https``.
    """
    raised: dict[str, str] = {}
    for path in paths:
        for case in (case for case in cases if not case.sizes and not _skipped(case)):
            try:
                _call_wsgi(app, case, case.target(path), host, scheme)
            except Exception as error:
                if case.leaves is None:
                    raised.setdefault(_said(error), f"{case.method} {case.target(path)}: {_said(error)}")
    return list(raised.values())


def _skipped(case: RequestCase) -> bool:
    """Tell whether a case is for the probes, needs a client with a speed, or a server that never sends http.disconnect.

    An application may wait for that event, which servers send.
    """
    return case.probe_only or case.slowly or (case.leaves is not None and case.leaves.how == "oserror")


def _said(error: Exception) -> str:
    """Return the exception in one line, with the place that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{said} ({place.filename}, line {place.lineno})"


class _Input(io.BytesIO):
    """The request body of a client that leaves before its end."""

    def __init__(self, data: bytes, *, leaves: bool) -> None:
        super().__init__(data)
        self._leaves = leaves

    def read(self, size: int | None = -1, /) -> bytes:
        return self._came(super().read(size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._came(super().readline(size))

    def _came(self, data: bytes) -> bytes:
        if self._leaves and not data:
            raise ConnectionResetError("the client has left")
        return data


def _call_wsgi(app: WSGIApplication, case: RequestCase, target: str, host: str, scheme: str) -> None:
    path, _, query = target.partition("?")
    body = b"".join(case.body or ())
    cut = case.leaves is not None and case.leaves.when == "mid_request"
    environ: Environ = {
        "REQUEST_METHOD": case.method,
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
        "wsgi.input": _Input(body[: case.leaves.at] if cut and case.leaves is not None else body, leaves=cut),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    if case.body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in case.headers:
        key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    sent = blocks = 0

    def write(data: bytes) -> None:
        nonlocal sent, blocks
        sent += len(data)
        blocks += bool(data)

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
            if case.leaves is not None and _has_left(case.leaves, sent, blocks):
                break
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def _has_left(leaving: Leaving, sent: int, blocks: int) -> bool:
    """Tell whether the client leaves after so many bytes and blocks of the response."""
    if leaving.when == "after_chunks":
        return blocks >= leaving.at
    return leaving.when == "before_headers" or (leaving.when == "after_bytes" and sent >= leaving.at)


def drive_asgi(
    app: ASGIApplication,
    paths: Iterable[str],
    cases: Sequence[RequestCase],
    *,
    host: str = "localhost",
    scheme: str = "http",
) -> list[str]:
    """Start an ASGI application, call it for each path with each case and with an unknown protocol, and stop it.

    Args:
        app: The application.
        paths: Targets of the requests.
        cases: The requests; cases that only the client of the test kit can send are skipped.
        host: Value of the Host header.
        scheme: ``http`` or ``https``.

    Returns:
        Exceptions, timeouts and failed startups as text, each once. Exceptions for the unknown protocol, or instead of
        a response to the startup event, are not included.
    """
    requests = [(path, case) for path in paths for case in cases if not _skipped(case)]
    return asyncio.run(_drive_asgi(app, requests, host, scheme))


async def _drive_asgi(
    app: ASGIApplication, requests: Sequence[tuple[str, RequestCase]], host: str, scheme: str
) -> list[str]:
    once: set[str] = set()
    hung: set[str] = set()
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
    for path, case in requests:
        if path in hung and case.leaves is None:
            continue  # it would hang for every case
        target = case.target(path)
        limit = asyncio.timeout(TIMEOUT)
        try:
            async with limit:
                await _call_asgi(app, case, target, dict(state), host, scheme)
        except Exception as error:
            said = f"the application did not finish within {TIMEOUT:g} seconds" if limit.expired() else _said(error)
            if said not in once and (case.leaves is None or limit.expired()):
                raised.append(f"{case.method} {target}: {said}")
                once.add(said)
            hung |= {path} if limit.expired() else set()
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
    app: ASGIApplication, case: RequestCase, target: str, state: dict[str, object], host: str, scheme: str
) -> None:
    path, _, query = target.partition("?")
    headers = [(b"host", host.encode("ascii"))]
    headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in case.headers]
    if case.body is not None:
        headers.append((b"content-length", str(sum(map(len, case.body))).encode("ascii")))
    scope: Scope = {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "1.1",
        "method": case.method,
        "scheme": scheme,
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 443 if scheme == "https" else 80),
        "state": state,
        "extensions": {},
    }
    exchange = _Exchange(case)
    await app(scope, exchange.receive, exchange.send)


class _Exchange:
    """The server's side of one request: its events, and the moment at which the client leaves."""

    def __init__(self, case: RequestCase) -> None:
        self._leaving = case.leaves
        pieces = case.pieces()
        self._events: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": place < len(pieces)}
            for place, piece in enumerate(pieces, 1)
        ]
        self._over = asyncio.Event()
        self._left = False
        self._sent = self._chunks = 0
        if self._leaving is not None and self._leaving.when == "before_headers":
            self._leave()
        elif self._leaving is not None and self._leaving.when == "mid_request":
            first = pieces[0][: self._leaving.at]
            self._events = [{"type": "http.request", "body": first, "more_body": True}]
            self._leave()

    def _leave(self) -> None:
        self._left = True
        if self._leaving is None or self._leaving.how != "oserror":
            self._over.set()

    async def receive(self) -> Message:
        if self._events:
            return self._events.pop(0)
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._left:
            if self._leaving is not None and self._leaving.how != "event":
                raise ConnectionResetError("the client has left")
            return
        if message.get("type") != "http.response.body":
            return
        body: object = message.get("body", b"")
        size = len(body) if isinstance(body, bytes) else 0
        self._sent += size
        self._chunks += bool(size)
        if not message.get("more_body"):
            self._over.set()
        if self._leaving is not None and _has_left(self._leaving, self._sent, self._chunks):
            self._leave()
