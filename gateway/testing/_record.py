"""What the client saw of one exchange, whichever interface the application speaks. Data only.

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

#: The status of a response whose head never reached the client, because it had left before: the convention of NGINX.
NO_ANSWER = 499

_PIECE = 65536


@dataclass(frozen=True)
class SentFile:
    """A file that the application handed to the server instead of its bytes.

    Attributes:
        how: ``pathsend``, ``zerocopysend`` or ``file_wrapper``.
        path: The file's name, where the application gave one.
        offset: Where the first byte stands; None: the file's own position.
        count: How many bytes; None: all that follow.
    """

    how: str
    path: str | None = None
    offset: int | None = None
    count: int | None = None

    def read_path(self) -> Iterator[bytes]:
        """Read the named file piece by piece, as a server sends it."""
        with Path(self.path or "").open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def read_descriptor(self, descriptor: int) -> Iterator[bytes]:
        """Read from an open file, as ``sendfile`` does: the descriptor's own position moves only without an offset."""
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
    """What one exchange has come to so far."""

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
    violations: list[ProtocolViolation] = field(default_factory=list[ProtocolViolation])
    warnings: list[ProtocolViolation] = field(default_factory=list[ProtocolViolation])


#: The exchange that this task or thread works for: a violation is told to the exchange that made it.
CURRENT: ContextVar[Record | None] = ContextVar("gateway.testing", default=None)


class Reading:
    """How far the client reads the response body under a fault: pure, fed by pieces."""

    def __init__(self, fault: Fault) -> None:
        self._bytes_left = fault.cuts_body_at
        self._chunks_left = fault.at if fault.disconnect == "after_chunks" else None

    @property
    def ends_at_head(self) -> bool:
        """Whether the client leaves as soon as it has the head."""
        return self._bytes_left == 0 or self._chunks_left == 0

    def take(self, piece: bytes) -> tuple[bytes, bool]:
        """Return what the client takes of a non-empty piece, and whether it leaves after that."""
        leaves = False
        if self._bytes_left is not None:
            piece = piece[: self._bytes_left]
            self._bytes_left -= len(piece)
            leaves = self._bytes_left == 0
        if self._chunks_left is not None:
            self._chunks_left -= 1
            leaves = leaves or self._chunks_left == 0
        return piece, leaves
