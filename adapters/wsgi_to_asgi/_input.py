"""The request body on its way from the loop to a worker: ``wsgi.input``.

A small body is received before a worker is taken (`WholeInput`). A larger body goes through an `Inbox`, a buffer
bounded in bytes. The loop feeds it; the worker takes from it and sleeps only while it is empty. `RequestStream` makes
it a raw stream, and `StreamedInput` adds lines, hints and exact reads at C speed.

Sources: PEP 3333 "Input and Error Streams"; ASGI HTTP 2.4 "Request".
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gateway.client import ClientGone

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Inbox:
    """Bytes between one feeding loop and one reading worker: fewer than ``high``, plus one message.

    Args:
        high: Number of bytes at which the loop should pause.
        low: Number of bytes at which a paused loop should continue.
        ask: Called by the worker when it wants data: once to begin, then whenever a paused loop may continue.
    """

    __slots__ = (
        "_ask",
        "_asked",
        "_chunks",
        "_ended",
        "_failed",
        "_gate",
        "_high",
        "_lock",
        "_low",
        "_paused",
        "_size",
        "_starving",
    )

    def __init__(self, high: int, low: int, ask: Callable[[], None]) -> None:
        self._high = high
        self._low = low
        self._ask = ask
        self._lock = threading.Lock()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._chunks: deque[memoryview] = deque()
        self._size = 0
        self._asked = False
        self._ended = False
        self._failed = False
        self._paused = False
        self._starving = False

    def feed(self, body: bytes) -> bool:
        """Add bytes; return False if the loop should pause until ``ask`` is called. Loop thread only."""
        with self._lock:
            if body:
                self._chunks.append(memoryview(body))
                self._size += len(body)
                self._feed_the_starving()
            self._paused = self._size >= self._high
            return not self._paused

    def end(self) -> None:
        """Mark the body as complete."""
        with self._lock:
            self._ended = True
            self._ask = _nothing  # break the reference cycle; no more data will be requested
            self._feed_the_starving()

    def fail(self) -> None:
        """Mark the rest of the body as lost. Reads raise `ClientGone` once the buffer is empty."""
        with self._lock:
            self._failed = not self._ended
            self._ask = _nothing
            self._feed_the_starving()

    def _feed_the_starving(self) -> None:
        if self._starving:
            self._starving = False
            self._gate.release()

    def take(self, size: int) -> memoryview:
        """Return 1 to ``size`` bytes, or an empty view at the end. Sleeps while the buffer is empty. Worker only.

        Raises:
            ClientGone: The client left before the body was complete.
        """
        while True:
            ask = False
            with self._lock:
                if self._chunks:
                    chunk = self._chunks.popleft()
                    if len(chunk) > size:
                        self._chunks.appendleft(chunk[size:])
                        chunk = chunk[:size]
                    self._size -= len(chunk)
                    if self._paused and self._size <= self._low:
                        self._paused = False
                        ask = True
                else:
                    chunk = None
                    if self._ended:
                        return memoryview(b"")
                    if self._failed:
                        raise ClientGone("before its request body was complete")
                    self._starving = True
                    if not self._asked:
                        self._asked = ask = True
            if ask:
                self._ask()
            if chunk is not None:
                return chunk
            self._gate.acquire()

    def take_all(self) -> bytes:
        """Return everything up to the end of the body. Worker only."""
        chunks: list[memoryview] = []
        while chunk := self.take(1 << 62):
            chunks.append(chunk)
        return b"".join(chunks)


def _nothing() -> None:
    pass


class RequestStream(io.RawIOBase):
    """A raw stream over an `Inbox`; `StreamedInput` wraps it."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        chunk = self._inbox.take(len(view))
        size = len(chunk)
        view[:size] = chunk
        return size

    def readall(self) -> bytes:
        return self._inbox.take_all()


#: Size of the reads that `io.BufferedReader` makes.
BUFFER_BYTES = 64 * 1024


# The two classes below exist for their keyword arguments. The methods of `io.BytesIO` and `io.BufferedReader` take
# positional arguments only, but the inputs of gunicorn and other servers also accept `read(size=...)`.


class WholeInput(io.BytesIO):
    """``wsgi.input`` of a body that was received before the application starts."""

    def read(self, size: int | None = -1) -> bytes:
        """Read at most ``size`` bytes; everything if it is None or negative."""
        return io.BytesIO.read(self, size)

    def readline(self, size: int | None = -1) -> bytes:
        """Read one line of at most ``size`` bytes."""
        return io.BytesIO.readline(self, size)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Read lines until they have ``hint`` bytes together."""
        return io.BytesIO.readlines(self, hint)


class StreamedInput(io.BufferedReader):
    """``wsgi.input`` of a body that arrives while the application runs."""

    def __init__(self, inbox: Inbox) -> None:
        """Read from an inbox."""
        super().__init__(RequestStream(inbox), BUFFER_BYTES)

    def read(self, size: int | None = -1) -> bytes:
        """Read ``size`` bytes, fewer only at the end; everything if it is None or negative."""
        return io.BufferedReader.read(self, size)

    def readline(self, size: int | None = -1) -> bytes:
        """Read one line of at most ``size`` bytes."""
        return io.BufferedReader.readline(self, size)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Read lines until they have ``hint`` bytes together."""
        return io.BufferedReader.readlines(self, -1 if hint is None else hint)


class LazyInput:
    """``wsgi.input`` of a request that announced no body. It calls the server's ``receive()`` only if it is read.

    Most requests are of this kind and their input is never read, so this is one small object. The first use of any
    method makes the stream. An unannounced body (HTTP/2, or a header that a server dropped) can still be read.
    """

    __slots__ = ("_open", "_stream")

    def __init__(self, open_: Callable[[], StreamedInput]) -> None:
        self._open = open_
        self._stream: StreamedInput | None = None

    def _opened(self) -> StreamedInput:
        stream = self._stream
        if stream is None:
            stream = self._stream = self._open()
        return stream

    def read(self, size: int | None = -1) -> bytes:
        return self._opened().read(size)

    def readline(self, size: int | None = -1) -> bytes:
        return self._opened().readline(size)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        return self._opened().readlines(hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._opened())

    def __next__(self) -> bytes:
        return self._opened().__next__()

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # copy and pickle look up such names, and must not open the stream
            raise AttributeError(name)
        return getattr(self._opened(), name)
