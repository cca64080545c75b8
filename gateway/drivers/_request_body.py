"""The request body on its way to the application: transforms, refusals, bytes counted.

The hooks are asked for transforms when the application first reads some of a body; nothing is read before. Bytes pass
the outermost transform first. A transform that refuses tells the exchange, because frameworks swallow exceptions from
reads: the refusal is then sent in the place of the application's response.

If a transform may change the length, ``CONTENT_LENGTH`` is removed and ``wsgi.input_terminated`` says that the stream
ends by itself. The declared length is kept here: no more than that may be read from the server.

Sources: PEP 3333 "Input and Error Streams"; the ``wsgi.input_terminated`` extension; ASGI HTTP "Request".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from gateway._bounds import BOUNDS
from gateway.client.wsgi import RequestInput
from gateway.contract import Hooks, Refuse, Transform, hook
from gateway.drivers._response_body import require_transform

if TYPE_CHECKING:
    from gateway.exchange import Request
    from gateway.protocols import Environ

__all__ = [
    "InputStream",
    "RequestBody",
    "ServerInput",
    "declared_length",
    "has_input",
]

BLOCK = 64 * 1024


class Receives(Protocol):
    """The part of an exchange that its request body knows."""

    def request_body(self) -> RequestBody: ...
    def body_refused(self, refuse: Refuse, /) -> None: ...


class ReadsInput(Receives, Protocol):
    """An exchange on WSGI, which learns from reads that its client is gone."""

    gone: bool


class RequestBody:
    """The transforms of one request's body.

    Attributes:
        received: Bytes that came from the server.
        refused: The refusal of a transform and its place in the chain, once there was one.
    """

    __slots__ = ("_chain", "_exchange", "_transforms", "received", "refused")

    def __init__(self, chain: Sequence[Hooks], exchange: Receives) -> None:
        self._chain = chain
        self._exchange = exchange
        self._transforms: list[tuple[int, Transform]] | None = None
        self.received: int = 0
        self.refused: tuple[Refuse, int] | None = None

    def push(self, chunk: bytes, last: bool) -> bytes:
        """Take bytes from the server; return the bytes for the application.

        Raises:
            Refuse: A transform refuses, or has refused before.
        """
        if self.refused is not None:
            raise self.refused[0]
        if self._transforms is None:
            if not chunk:  # a request without a body asks for none, whether its interface can tell before or not
                return chunk
            self._transforms = [
                (index, require_transform("on_request_body", change))
                for index, hooks in enumerate(self._chain)
                if hook(hooks, "on_request_body") is not None
                and (change := hooks.on_request_body(cast("Request", self._exchange))) is not None
            ]
        self.received += len(chunk)
        for index, change in self._transforms:
            try:
                if chunk:
                    chunk = change.push(chunk)
                if last:
                    chunk += change.finish()
            except Refuse as refuse:
                self.refused = (refuse, index)
                self._exchange.body_refused(refuse)
                raise
        return chunk

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether an exception of the application is nothing but the refusal that its read raised.

        Frameworks raise it on by itself, as the cause of an error of their own, or in the group of a task group.
        """
        if self.refused is None:
            return False
        if isinstance(error, BaseExceptionGroup):
            return all(self.is_refusal(each) for each in cast("BaseExceptionGroup[BaseException]", error).exceptions)
        return error is self.refused[0] or (error.__cause__ is not None and self.is_refusal(error.__cause__))


_LONGEST_LENGTH = BOUNDS["content-length"].characters


class ServerInput(Protocol):
    """The part of ``wsgi.input`` that is read here."""

    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self, size: int = ..., /) -> bytes: ...


def declared_length(environ: Environ) -> int | None:
    """Return the declared length of the body, ``None`` where the stream ends by itself or nothing is declared."""
    value = environ.get("CONTENT_LENGTH")
    if not isinstance(value, str) or len(value) > _LONGEST_LENGTH or not (value.isascii() and value.isdigit()):
        return None
    return int(value)


def has_input(environ: Environ) -> bool:
    """Return whether a request can have a body.

    One that ends by itself may have one even where no field says so: HTTP/2 needs neither length nor coding, and some
    servers keep the coding to themselves.
    """
    length = declared_length(environ)
    return length != 0 and (length is not None or bool(environ.get("wsgi.input_terminated")))


class InputStream:
    """A ``wsgi.input`` over another: counted, transformed, never read beyond its end.

    Args:
        source: The server's own stream.
        exchange: The exchange, which has the transforms.
        length: The declared length; ``None`` if the stream ends by itself.
    """

    __slots__ = ("_buffer", "_exchange", "_input", "_source")

    def __init__(self, source: ServerInput, exchange: ReadsInput, length: int | None) -> None:
        self._source = source
        self._exchange = exchange
        self._input = RequestInput(length)
        self._buffer = bytearray()

    def _pull(self, size: int, *, line: bool = False) -> None:
        """Read once from the server and let it pass the transforms."""
        exchange, reads = self._exchange, self._input
        body = exchange.request_body()
        try:
            chunk = reads.read(self._source.readline if line else self._source.read, size)
        finally:
            if reads.gone:
                exchange.gone = True
        self._buffer += body.push(chunk, reads.ended)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, fewer at the end only; all of them for ``None`` and below 0."""
        if size is None or size < 0:
            while not self._input.ended:
                self._pull(BLOCK)
            return self._take(len(self._buffer))
        while len(self._buffer) < size and not self._input.ended:
            self._pull(min(BLOCK, size - len(self._buffer)))
        return self._take(size)

    def readline(self, size: int | None = -1) -> bytes:
        """Read to the next line feed, at most ``size`` bytes."""
        limit = None if size is None or size < 0 else size
        searched = 0
        while True:
            found = self._buffer.find(b"\n", searched)
            if found >= 0:
                end = found + 1
                break
            if self._input.ended or (limit is not None and len(self._buffer) >= limit):
                end = len(self._buffer)
                break
            searched = len(self._buffer)
            # By lines: a client that waits for an answer to its line sends no more before.
            self._pull(BLOCK if limit is None else min(BLOCK, limit - len(self._buffer)), line=True)
        return self._take(end if limit is None else min(end, limit))

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Read lines to the end, or until they are ``hint`` bytes together."""
        lines: list[bytes] = []
        total = 0
        while line := self.readline():
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line
