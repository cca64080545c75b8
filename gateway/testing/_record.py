"""The client's view of one request, for both interfaces of an application. Data only.

Sources: ASGI HTTP 2.5; ASGI "Extensions"; PEP 3333.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import ProtocolViolation
from gateway.protocols import Message
from gateway.testing.faults import Fault

__all__ = ["CURRENT", "NO_ANSWER", "Reading", "Record", "SentFile"]

#: Status of a response whose headers never reached the client, because it left before; 499 is NGINX's convention.
NO_ANSWER = 499

_PIECE = 65536


@dataclass(frozen=True)
class SentFile:
    """A file that the application handed to the server instead of its bytes.

    Attributes:
        how: ``pathsend``, ``zerocopysend`` or ``file_wrapper``.
        path: The file's name, if the application gave it.
        offset: Position of the first byte; None means the file's own position.
        count: Number of bytes; None means all that follow.
    """

    how: str
    path: str | None = None
    offset: int | None = None
    count: int | None = None

    def read_path(self) -> Iterator[bytes]:
        """Read the named file in pieces, as a server sends it."""
        with Path(self.path or "").open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def read_descriptor(self, descriptor: int) -> Iterator[bytes]:
        """Read from an open file, as ``sendfile`` does: with an offset, the descriptor's own position does not move."""
        left = self.count
        position = self.offset
        while left is None or left > 0:
            size = _PIECE if left is None else min(_PIECE, left)
            if position is None:
                piece = os.read(descriptor, size)
            else:
                piece = os.pread(descriptor, size, position)
                position += len(piece)
            if not piece:
                return
            if left is not None:
                left -= len(piece)
            yield piece


@dataclass(slots=True)
class Record:
    """The state of one request so far."""

    interface: str = "asgi"
    status: int = NO_ANSWER
    reason: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    chunks: list[bytes] = field(default_factory=list[bytes])
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    early_hints: list[bytes] = field(default_factory=list[bytes])
    sent_file: SentFile | None = None
    debug: object = None
    messages: list[Message] = field(default_factory=list[Message])
    app_saw: str | None = None
    close_called: int = 0
    complete: bool = False
    disconnected: bool = False
    error: BaseException | None = None
    #: Whether the test gets the application's exceptions raised.
    raises: bool = True
    #: Further exceptions of the application, and those that the package could only log.
    failures: list[BaseException] = field(default_factory=list[BaseException])
    #: Where exceptions go after the test has the response; None until then.
    late: list[BaseException] | None = None
    #: The exception that a framework made of the client's departure.
    echo: BaseException | None = None
    violations: list[ProtocolViolation] = field(default_factory=list[ProtocolViolation])
    warnings: list[ProtocolViolation] = field(default_factory=list[ProtocolViolation])


#: The request that this task or thread works for; a violation goes into the record of the request that made it.
CURRENT: ContextVar[Record | None] = ContextVar("gateway.testing", default=None)


class Reading:
    """How far the client reads the response body under a fault. Pure, because the caller passes in the pieces."""

    def __init__(self, fault: Fault) -> None:
        self._bytes_left = fault.cuts_body_at
        self._chunks_left = fault.at if fault.disconnect == "after_chunks" else None

    @property
    def ends_at_head(self) -> bool:
        """Whether the client leaves as soon as it has the headers."""
        return self._bytes_left == 0 or self._chunks_left == 0

    def take(self, piece: bytes) -> tuple[bytes, bool]:
        """Return the bytes that the client takes from a non-empty piece, and whether it leaves after that."""
        leaves = False
        if self._bytes_left is not None:
            piece = piece[: self._bytes_left]
            self._bytes_left -= len(piece)
            leaves = self._bytes_left == 0
        if self._chunks_left is not None:
            self._chunks_left -= 1
            leaves = leaves or self._chunks_left == 0
        return piece, leaves
