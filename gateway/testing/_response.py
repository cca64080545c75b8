"""The responses of the clients: the HTTP library's own, with data that only a client inside the process has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Protocol

from gateway.errors import ProtocolViolation
from gateway.protocols import Message
from gateway.testing._http import http
from gateway.testing._record import Record, SentFile

__all__ = ["AsyncChunks", "AsyncResponse", "AsyncSteps", "Chunks", "ReadChunks", "Response", "SyncSteps"]


class SyncSteps(Protocol):
    """The steps of one request, called from a thread."""

    record: Record

    def complete(self) -> None: ...
    def open(self) -> None: ...
    def next_chunk(self) -> bytes | None: ...
    def close(self) -> None: ...


class AsyncSteps(Protocol):
    """The steps of one request, called from a task."""

    record: Record

    async def complete(self) -> None: ...
    async def open(self) -> None: ...
    async def next_chunk(self) -> bytes | None: ...
    async def close(self) -> None: ...


class _Seen:
    """Data of a request that a client inside the process sees, in addition to HTTP."""

    record: Record

    @property
    def reason(self) -> str:
        """The reason phrase of the application, or else the standard phrase of the status."""
        return self.record.reason

    @property
    def chunks(self) -> list[bytes]:
        """The non-empty chunks of the body, exactly as the application sent them."""
        return self.record.chunks

    @property
    def trailers(self) -> http.Headers:
        """The trailers (ASGI extension ``http.response.trailers``)."""
        return http.Headers(self.record.trailers)

    @property
    def early_hints(self) -> list[bytes]:
        """The ``Link`` values of the 103 responses before the headers."""
        return self.record.early_hints

    @property
    def sent_file(self) -> SentFile | None:
        """The file that the application handed over instead of its bytes; the body holds the bytes nevertheless."""
        return self.record.sent_file

    @property
    def debug(self) -> object:
        """The ``info`` that the application sent in ``http.response.debug``, or None."""
        return self.record.debug

    @property
    def messages(self) -> Sequence[Message]:
        """All messages between client and application, in order, as dictionaries."""
        return self.record.messages

    @property
    def violations(self) -> list[ProtocolViolation]:
        """The validator's errors in this request; ``validate="raise"`` has raised the first error."""
        return self.record.violations

    @property
    def warnings(self) -> list[ProtocolViolation]:
        """The validator's findings against a *should* of a specification; never raised."""
        return self.record.warnings

    @property
    def app_saw(self) -> str | None:
        """The first sign to the application that the client had left, or None.

        ``http.disconnect``, ``OSError``, or ``cancelled`` if the application looked at neither.
        """
        return self.record.app_saw

    @property
    def close_called(self) -> int:
        """Number of times that the client closed the WSGI iterable: once, if it has a ``close()``."""
        return self.record.close_called

    @property
    def disconnected(self) -> bool:
        """Whether the client left before the response was complete."""
        return self.record.disconnected

    @property
    def complete(self) -> bool:
        """Whether the application finished the response."""
        return self.record.complete

    @property
    def app_error(self) -> BaseException | None:
        """The exception of the application (with ``raise_app_exceptions=False``), or None.

        After the client has left, also the exception that the framework raised because of that; it is never raised.
        """
        return self.record.error or self.record.echo


class Response(_Seen, http.Response):
    """A response of `Client`."""

    steps: SyncSteps | None = None

    def iter_chunks(self) -> Iterator[bytes]:
        """Iterate over the chunks as the application sends them, neither decoded nor cut in other places."""
        return iter(self.record.chunks) if self.steps is None else _SyncIterator(self, self.steps)


class AsyncResponse(_Seen, http.Response):
    """A response of `AsyncClient`."""

    steps: AsyncSteps | None = None

    def iter_chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the chunks as the application sends them, neither decoded nor cut in other places."""
        return _ReadIterator(self.record.chunks) if self.steps is None else _AsyncIterator(self, self.steps)


# These are iterators, not generators: a test may stop half-way, and an abandoned asynchronous generator is an error.


class _SyncIterator(Iterator[bytes]):
    def __init__(self, response: Response, steps: SyncSteps) -> None:
        self._response = response
        self._steps = steps

    def __next__(self) -> bytes:
        if (chunk := self._steps.next_chunk()) is not None:
            return chunk
        self._response.close()
        raise StopIteration


class _AsyncIterator(AsyncIterator[bytes]):
    def __init__(self, response: AsyncResponse, steps: AsyncSteps) -> None:
        self._response = response
        self._steps = steps

    async def __anext__(self) -> bytes:
        if (chunk := await self._steps.next_chunk()) is not None:
            return chunk
        await self._response.aclose()
        raise StopAsyncIteration


class _ReadIterator(AsyncIterator[bytes]):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


class Chunks(Iterator[bytes], http.SyncByteStream):
    """The body of a response that the client reads in steps. Its end, or the first ``close()``, calls ``ended``."""

    def __init__(self, steps: SyncSteps, ended: Callable[[], None]) -> None:
        self._steps = steps
        self._ended: Callable[[], None] | None = ended

    def __next__(self) -> bytes:
        if self._ended is not None and (chunk := self._steps.next_chunk()) is not None:
            return chunk
        self.close()
        raise StopIteration

    def close(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            self._steps.close()
            ended()


class AsyncChunks(AsyncIterator[bytes], http.AsyncByteStream):
    """The body of a response that the client reads in steps. Its end, or the first ``aclose()``, calls ``ended``."""

    def __init__(self, steps: AsyncSteps, ended: Callable[[], None]) -> None:
        self._steps = steps
        self._ended: Callable[[], None] | None = ended

    async def __anext__(self) -> bytes:
        if self._ended is not None and (chunk := await self._steps.next_chunk()) is not None:
            return chunk
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            await self._steps.close()
            ended()


class ReadChunks(http.SyncByteStream, http.AsyncByteStream):
    """The body of a complete response, in the application's chunks."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _ReadIterator(self._chunks)
