"""The HTTP library's transports: they turn its requests into calls of the application, and the results into responses.

`Transport` steps a call from a thread, `AsyncTransport` from a task. `_Threaded` steps an ASGI application from a
thread, and `_InThread` steps a WSGI application from a task.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextvars import Context, copy_context
from functools import partial
from types import ModuleType
from typing import TypeVar, cast

import anyio
import anyio.to_thread

from gateway.testing._asgi_call import SteppedAsgiCall
from gateway.testing._body import Source
from gateway.testing._concurrency import ClientLoop
from gateway.testing._http import http
from gateway.testing._record import Record
from gateway.testing._response import AsyncChunks, AsyncResponse, AsyncSteps, Chunks, ReadChunks, Response, SyncSteps
from gateway.testing._stage import Stage
from gateway.testing._verbs import Content, RequestOptions, add_cookies, addressed, encoded
from gateway.testing._wsgi_exchange import SteppedWsgiCall
from gateway.testing.faults import Fault

__all__ = ["AsyncTransport", "Transport", "ended", "nothing", "nothing_async", "prepared", "response_of", "source_of"]

T = TypeVar("T")
R = TypeVar("R", bound=http.Response)
S = TypeVar("S", SyncSteps, AsyncSteps)


def source_of(request: http.Request, library: ModuleType) -> Source:
    """Return the body of a request that a client of this library (httpx2 or httpx) sends."""
    stream = request.stream
    if isinstance(stream, library.ByteStream):
        return b"".join(cast(http.ByteStream, stream))
    if isinstance(stream, library.SyncByteStream):
        return iter(cast(http.SyncByteStream, stream))
    return aiter(cast(http.AsyncByteStream, stream))


def _source(request: http.Request) -> Source:
    given: Source | None = request.extensions.get("gateway.source")
    # A redirect to a GET has another, empty stream.
    if given is not None and not isinstance(request.stream, http.ByteStream):
        if request.extensions.get("gateway.used") and not isinstance(given, list):
            raise http.StreamConsumed
        request.extensions["gateway.used"] = True
        return given
    source = source_of(request, http)
    # The library iterates over a form and over files; their length is known, so they form one chunk.
    return b"".join(source) if isinstance(source, Iterator) else source


def prepared(
    method: str, url: str, options: RequestOptions, placeholder: Callable[[], Content], *, streams: bool = False
) -> dict[str, object]:
    """Return the arguments for the HTTP library's ``request()``, with our options as extensions.

    Chunked content bypasses the library, which would cut it again.
    """
    url, extensions = addressed(method, url)
    given: dict[str, object] = {**options, "method": method, "url": url}
    extensions |= {"gateway.streams": streams, "gateway.method": method}
    for name in ("fault", "timeout", "cookies", "raise_app_exceptions", "environ", "scope"):
        if name in given:
            extensions[f"gateway.{name}"] = given.pop(name)
    if "headers" in options:
        given["headers"] = encoded(options["headers"])
    content = options.get("content")
    if content is not None and not isinstance(content, (str, bytes)):
        if isinstance(content, AsyncIterable):
            extensions["gateway.source"] = aiter(content)
        else:
            extensions["gateway.source"] = list(content) if isinstance(content, (list, tuple)) else iter(content)
        given["content"] = placeholder()
    given["extensions"] = extensions
    return given


def nothing() -> Iterator[bytes]:
    yield from ()


async def nothing_async() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk


def response_of(kind: Callable[..., R], record: Record, stream: object) -> R:
    """Make a response of this class from the client's record."""
    extensions = {
        "http_version": b"HTTP/1.1",
        "reason_phrase": record.reason.encode("latin-1", "replace"),
        # The lists themselves, because they fill while the client reads the body.
        "trailers": record.trailers,
        "early_hints": record.early_hints,
        "gateway.record": record,
    }
    return kind(record.status, headers=record.headers, stream=stream, extensions=extensions)


class Transport(http.BaseTransport):
    """Carries the HTTP library's requests to the stage, in the calling thread."""

    def __init__(
        self, stage: Stage, still_open: list[SyncSteps], loop: ClientLoop, start: weakref.WeakMethod[Callable[[], None]]
    ) -> None:
        self._stage = stage
        self._open = still_open
        self._loop = loop
        self._start = start  # weak, so that a client that is never closed ends with its last reference

    def handle_request(self, request: http.Request) -> Response:
        stage = self._stage
        extensions = request.extensions
        fault: Fault = extensions.get("gateway.fault") or stage.fault
        timeout: float | None = extensions.get("gateway.timeout", stage.timeout)
        stage.check_host(request)
        request.extensions.setdefault("gateway.host", request.url.host)
        add_cookies(request)
        source = _source(request)
        start = self._start()
        if start is not None:
            start()
        if stage.interface == "wsgi":
            steps: SyncSteps = stage.wsgi_call(request, source, fault, timeout)
        else:
            steps = _Threaded(stage.asgi_call(request, source, fault, timeout), self._loop, timeout)
        streams = bool(extensions.get("gateway.streams"))
        if streams:
            steps.open()
            if steps.record.error is not None:
                steps.close()
            else:
                self._open.append(steps)
            stream: http.SyncByteStream = Chunks(steps, partial(ended, self._open, stage, steps))
        else:
            steps.complete()
            stream = ReadChunks(steps.record.chunks)
        stage.settle(steps.record, ends=not streams)
        response = response_of(Response, steps.record, stream)
        response.record = steps.record
        response.steps = steps if streams else None
        return response


class AsyncTransport(http.AsyncBaseTransport):
    """Carries the HTTP library's requests to the stage, in the calling task."""

    def __init__(self, stage: Stage, still_open: list[AsyncSteps], start: Callable[[], Awaitable[None]]) -> None:
        self._stage = stage
        self._open = still_open
        self._start = start

    async def handle_async_request(self, request: http.Request) -> AsyncResponse:
        stage = self._stage
        extensions = request.extensions
        fault: Fault = extensions.get("gateway.fault") or stage.fault
        timeout: float | None = extensions.get("gateway.timeout", stage.timeout)
        stage.check_host(request)
        request.extensions.setdefault("gateway.host", request.url.host)
        add_cookies(request)
        source = _source(request)
        await self._start()
        if stage.interface == "wsgi":
            steps: AsyncSteps = _InThread(stage.wsgi_call(request, source, fault, timeout))
        else:
            steps = stage.asgi_call(request, source, fault, timeout)
        streams = bool(extensions.get("gateway.streams"))
        if streams:
            await steps.open()
            if steps.record.error is not None:
                await steps.close()
            else:
                self._open.append(steps)
            stream: http.AsyncByteStream = AsyncChunks(steps, partial(ended, self._open, stage, steps))
        else:
            await steps.complete()
            stream = ReadChunks(steps.record.chunks)
        stage.settle(steps.record, ends=not streams)
        response = response_of(AsyncResponse, steps.record, stream)
        response.record = steps.record
        response.steps = steps if streams else None
        return response


def ended(still_open: list[S], stage: Stage, steps: S) -> None:
    """Settle a response that was read in steps, once."""
    if steps in still_open:
        still_open.remove(steps)
        stage.settle(steps.record)


class _Threaded:
    """An ASGI call, stepped from a thread."""

    def __init__(self, call: SteppedAsgiCall, loop: ClientLoop, timeout: float | None) -> None:
        self.record = call.record
        self._call = call
        self._loop = loop
        self._timeout = timeout

    def complete(self) -> None:
        self._loop.run(self._call.complete, self._timeout)

    def open(self) -> None:
        self._loop.run(self._call.open, self._timeout)

    def next_chunk(self) -> bytes | None:
        return self._loop.run(self._call.next_chunk, self._timeout)

    def close(self) -> None:
        self._loop.run(self._call.close, self._timeout)


class _InThread:
    """A WSGI call, stepped from a task: each step runs in a worker thread, all steps in one context."""

    def __init__(self, call: SteppedWsgiCall) -> None:
        self.record = call.record
        self._call = call
        self._context: Context = copy_context()

    async def complete(self) -> None:
        await self._run(self._call.complete)

    async def open(self) -> None:
        await self._run(self._call.open)

    async def next_chunk(self) -> bytes | None:
        return await self._run(self._call.next_chunk)

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._run(self._call.close)

    async def _run(self, step: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(self._context.run, step)
