"""One call of a WSGI application in steps, each in the thread that calls the step.

``open()`` calls the application and reads its iterable up to the first non-empty block, because a server sends the
headers then. ``next_chunk()`` reads the next chunk; ``close()`` closes the iterable, once. ``complete()`` does all
three. Data that the application passes to ``write()`` becomes chunks in order.

Sources: PEP 3333 "The start_response() Callable", "Handling the Content-Length Header", "Buffering and Streaming",
"Optional Platform-Specific File Handling".
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import IO, TypeAlias

from gateway.errors import ApplicationError
from gateway.protocols import Environ, WSGIApplication
from gateway.testing._asgi_exchange import bodyless
from gateway.testing._failures import is_echo
from gateway.testing._record import CURRENT, Reading, Record, SentFile
from gateway.testing.faults import ClientDisconnected, Fault, Stop

__all__ = ["SentFileWrapper", "SteppedWsgiCall"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class SentFileWrapper:
    """``wsgi.file_wrapper``: an iterable over a file-like object that a server could send without reading it."""

    def __init__(self, filelike: IO[bytes], blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self.blksize):
            yield block

    def sent_file(self) -> SentFile:
        """Return the facts that a server can read from the file."""
        name = getattr(self.filelike, "name", None)
        tell = getattr(self.filelike, "tell", None)
        return SentFile("file_wrapper", name if isinstance(name, str) else None, tell() if tell is not None else None)


class SteppedWsgiCall:
    """A call of a WSGI application in steps; see the module's docstring."""

    def __init__(
        self,
        app: WSGIApplication,
        environ: Environ,
        record: Record,
        fault: Fault,
        timeout: float | None = None,
        *,
        early_hints: bool = True,
    ) -> None:
        self.record = record
        record.interface = "wsgi"
        self._app = app
        self._environ = environ
        self._fault = fault
        self._timeout = timeout
        self._deadline: float | None = None
        self._reading = Reading(fault)
        self._pending: deque[bytes] = deque()
        self._taken: deque[bytes] = deque()
        self._iterable: Iterable[bytes] | None = None
        self._iterator: Iterator[bytes] | None = None
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._committed = False
        self._gone = False
        self._leaves = False
        self._closed = False
        self._drops_body = False
        environ["wsgi.file_wrapper"] = SentFileWrapper
        if early_hints:
            environ["wsgi.early_hints"] = self._early_hints

    # -- the client's side

    def complete(self) -> None:
        """Run the application to the end of its response and close it.

        Between two blocks, an application that takes longer than the timeout fails.
        """
        token = CURRENT.set(self.record)
        self._deadline = None if self._timeout is None else time.monotonic() + self._timeout
        try:
            try:
                self._open()
                while self._next_chunk() is not None:
                    pass
            finally:  # also after an exit, or an outcome of pytest
                self._close()
        finally:
            CURRENT.reset(token)

    def open(self) -> None:
        """Call the application; return when a server would send the headers. An exception goes into the record."""
        token = CURRENT.set(self.record)
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        finally:
            CURRENT.reset(token)

    def next_chunk(self) -> bytes | None:
        """Return the next non-empty chunk that the client reads, or None at the end."""
        token = CURRENT.set(self.record)
        try:
            return self._next_chunk()
        finally:
            CURRENT.reset(token)

    def close(self) -> None:
        """Close the iterable, as a server must in every case. A second call does nothing."""
        token = CURRENT.set(self.record)
        try:
            self._close()
        finally:
            CURRENT.reset(token)

    # -- the application's side

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        self.record.messages.append({"type": "start_response", "status": status, "headers": list(headers)})
        if exc_info is not None and exc_info[1] is not None:
            try:
                if self._committed:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # "to avoid circular references" (PEP 3333)
        elif self._head is not None:
            raise ApplicationError(
                "a second call of start_response needs exc_info, and got none (PEP 3333: The start_response() Callable)"
            )
        self._head = (status, headers)
        return self._write

    def _write(self, data: bytes) -> None:
        self.record.messages.append({"type": "write", "data": data})
        if self._gone:
            if self._fault.tells_by_error:
                self.record.app_saw = self.record.app_saw or "OSError"
                raise ClientDisconnected
            return
        if data:
            self._block(data)
            # write() must not return before the data reaches the client, so the client reads it now.
            while self._pending and not self._leaves:
                self._take()

    def _early_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        links = [value.encode("latin-1") for name, value in headers if name.lower() == "link"]
        self.record.messages.append({"type": "early_hints", "links": links})
        self.record.early_hints.extend(links)

    # -- within

    def _open(self) -> None:
        try:
            self._iterable = self._app(self._environ, self._start_response)
            if isinstance(self._iterable, SentFileWrapper):
                self.record.sent_file = self._iterable.sent_file()
            self._iterator = iter(self._iterable)
            if not self._committed:
                self._advance()
                if not self._committed:  # only empty blocks, or no blocks
                    self._commit()
        except Exception as error:
            self._failed(error)

    def _next_chunk(self) -> bytes | None:
        if not self._taken and self.record.error is None and self._iterator is not None:
            try:
                if self._fault.disconnect == "before_headers":
                    self._leave()
                if not self._pending and not self._gone and not self._leaves:
                    self._advance()
                if self._pending and not self._gone:
                    self._take()
            except Exception as error:
                self._failed(error)
        if not self._taken:
            return None
        chunk = self._taken.popleft()
        self.record.chunks.append(chunk)
        return chunk

    def _take(self) -> None:
        """Let the client read one block, at its speed and up to its limit."""
        chunk, self._leaves = self._reading.take(self._pending.popleft())
        if self._fault.rate is not None:
            time.sleep(len(chunk) / self._fault.rate)
        if chunk:
            self._taken.append(chunk)
        if self._leaves:
            if isinstance(self._fault.reader, Stop):
                time.sleep(self._fault.reader.seconds)
            self._leave()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self.record.complete:
            self.record.disconnected = self.record.disconnected or self.record.error is None
        close = getattr(self._iterable, "close", None)
        if close is None:
            return
        self.record.close_called += 1
        self.record.messages.append({"type": "close"})
        try:
            close()
        except Exception as error:
            self._failed(error)

    def _advance(self) -> None:
        if self._iterator is None:  # pragma: no cover  # open() sets it or fails
            return
        for block in self._iterator:
            self.record.messages.append({"type": "yield", "data": block})
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise ApplicationError(
                    f"the application did not end its response within {self._timeout} seconds; set a larger timeout= "
                    "for the client, or read the response with stream(...)"
                )
            if block:
                self._block(block)
                return
            if self._pending:  # the iterable has called write()
                return
        self._commit()
        self.record.complete = True

    def _block(self, block: bytes) -> None:
        self._commit()
        if not self._drops_body and not self._gone:
            self._pending.append(block)

    def _commit(self) -> None:
        if self._committed:
            return
        if self._head is None:
            raise ApplicationError(
                "start_response must be called before the first block, and it was not (PEP 3333: Specification Details)"
            )
        self._committed = True
        if self._fault.disconnect == "before_headers":
            self._leave()
            return
        status, headers = self._head
        code, _, reason = status.partition(" ")
        try:
            self.record.status = int(code)
        except ValueError:
            raise ApplicationError(
                f"a status must be three digits, a space and a reason, got {status!r} (PEP 3333: start_response)"
            ) from None
        self.record.reason = reason
        self.record.headers.extend((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        self._drops_body = bodyless(self._environ["REQUEST_METHOD"], self.record.status)
        self._leaves = self._reading.ends_at_head
        if self._leaves:
            self._leave()

    def _leave(self) -> None:
        if not self.record.complete:
            self._gone = True
            self.record.disconnected = True

    def _failed(self, error: Exception) -> None:
        if (self._gone or self.record.app_saw is not None) and is_echo(error):
            self.record.echo = None if isinstance(error, ClientDisconnected) else error
        elif self.record.error is None:
            self.record.error = error
        else:
            self.record.failures.append(error)


class ChunkedInput:
    """``wsgi.input`` over chunks: it takes no more chunks than a read needs, and a fault may end it early.

    Without a fault ``read(n)`` returns n bytes, as a server's buffered reader does. With `Fault.request_chunks`, a read
    ends at the end of a chunk.
    """

    def __init__(self, chunks: Iterator[bytes], fault: Fault, record: Record) -> None:
        self._chunks = chunks
        self._fault = fault
        self._record = record
        self._buffer = b""
        self._short = fault.request_chunks is not None
        self._until = fault.at if fault.disconnect == "mid_request" else None
        self._ended = False

    def read(self, size: int | None = -1) -> bytes:
        """Read ``size`` bytes, or all; fewer at the end of the body or of a chunk from the fault."""
        if size is None or size < 0:
            while self._fill():
                pass
            size = len(self._buffer)
        elif self._short:
            while size and not self._buffer and self._fill():
                pass
        else:
            while len(self._buffer) < size and self._fill():
                pass
        return self._take(size)

    def readline(self, size: int | None = -1) -> bytes:
        """Read up to the next newline and include it, at most ``size`` bytes."""
        size = -1 if size is None else size
        while (end := self._buffer.find(b"\n") + 1) == 0 and (size < 0 or len(self._buffer) < size) and self._fill():
            pass
        end = end or len(self._buffer)
        return self._take(end if size < 0 else min(end, size))

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Read the lines, at least until ``hint`` bytes are read."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _fill(self) -> bool:
        if self._until == 0:
            self._record.disconnected = True
            if self._fault.tells_by_error:
                self._record.app_saw = self._record.app_saw or "OSError"
                raise ClientDisconnected
            return False
        if self._ended:
            return False
        if self._fault.request_delay:
            time.sleep(self._fault.request_delay)
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            return False
        if self._until is not None:
            chunk = chunk[: self._until]
            self._until -= len(chunk)
        self._buffer += chunk
        return True
