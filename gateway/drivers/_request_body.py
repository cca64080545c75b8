"""The request body on its way to the application: transforms, remembered refusals, bytes counted.

Transforms are asked for when the application first reads some of a body; nothing is read before. What comes in passes
the outermost one first. A transform that refuses is remembered with its place, because frameworks swallow exceptions
from reads: the driver asks :attr:`RequestBody.refused` before it lets the application's answer pass.

Where a transform may change the length, ``CONTENT_LENGTH`` goes and ``wsgi.input_terminated`` says that the stream
ends by itself; the declared length is kept here as the bound of what may be read from the server.

Sources: PEP 3333 "Input and Error Streams"; the ``wsgi.input_terminated`` extension; ASGI HTTP "Request".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from gateway._bounds import BOUNDS
from gateway.contract import Hooks, Refuse, Transform, hook
from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.exchange import Request
    from gateway.protocols import Environ

__all__ = [
    "InputStream",
    "RequestBody",
    "ServerInput",
    "declared_length",
    "hand_in",
    "has_input",
    "require_transform",
    "wrap_input",
]

BLOCK = 64 * 1024


def require_transform(name: str, change: object) -> Transform:
    """Return what a hook gave, if it is a transform.

    Raises:
        ConfigurationError: It lacks ``push`` or ``finish``.
    """
    if not (hasattr(change, "push") and hasattr(change, "finish")):
        raise ConfigurationError(f"{name} must return a Transform (push and finish) or None, got {change!r}")
    return cast("Transform", change)  # it has both methods


class RequestBody:
    """The transforms of one request's body.

    Attributes:
        received: Bytes that came from the server.
        source: The server's stream on WSGI, once some of it was read.
        refused: The refusal of a transform and its place in the chain, once there was one.
        gone: Whether a WSGI server's input said that the client went away: it raised, or ended too early.
    """

    def __init__(self, chain: Sequence[Hooks], request: Request) -> None:
        self._chain = chain
        self._request = request
        self._transforms: list[tuple[int, Transform]] | None = None
        self.received: int = 0
        self.source: ServerInput | None = None
        self.refused: tuple[Refuse, int] | None = None
        self.gone: bool = False

    def push(self, chunk: bytes, last: bool) -> bytes:
        """Take bytes from the server; return what the application reads.

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
                and (change := hooks.on_request_body(self._request)) is not None
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


def hand_in(environ: Environ, stream: object, *, keeps_length: bool) -> None:
    """Put a stream of ours before the application."""
    environ["wsgi.input"] = stream
    if not keeps_length:
        environ.pop("CONTENT_LENGTH", None)
        environ["wsgi.input_terminated"] = True


def wrap_input(environ: Environ, body: RequestBody, *, keeps_length: bool) -> None:
    """Put the transforms between the application and ``wsgi.input``; one that cannot be there stays as it is."""
    if has_input(environ):
        stream = InputStream(environ["wsgi.input"], body, declared_length(environ))
        hand_in(environ, stream, keeps_length=keeps_length)


class InputStream:
    """A ``wsgi.input`` over another: counted, transformed, never read beyond its end."""

    def __init__(self, source: ServerInput, body: RequestBody, length: int | None) -> None:
        self._source = body.source = source
        self._body = body
        self._left = length
        self._buffer = bytearray()
        self._ended = False

    def _pull(self, size: int, *, line: bool = False) -> None:
        """Read once from the server and let it pass the transforms."""
        if self._left is not None:
            size = min(size, self._left)
        read = self._source.readline if line else self._source.read
        try:
            chunk = read(size) if size else b""
        except OSError:
            self._body.gone = True
            raise
        if self._left is not None:
            self._left -= len(chunk)
            if not chunk and self._left:
                self._body.gone = True
        last = not chunk or self._left == 0
        self._buffer += self._body.push(chunk, last)
        self._ended = last

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, fewer at the end only; all of them for ``None`` and below 0."""
        if size is None or size < 0:
            while not self._ended:
                self._pull(BLOCK)
            return self._take(len(self._buffer))
        while len(self._buffer) < size and not self._ended:
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
            if self._ended or (limit is not None and len(self._buffer) >= limit):
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
