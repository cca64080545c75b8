"""Sources of a request body, and functions that cut it into chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from random import Random
from typing import TypeAlias

__all__ = ["Source", "cut", "recut"]

#: Known bytes, known chunks, or chunks that are still to come.
Source: TypeAlias = bytes | list[bytes] | Iterator[bytes] | AsyncIterator[bytes]


def cut(body: bytes, how: Sequence[int] | Random) -> list[bytes]:
    """Cut a body into chunks, empty ones included. Joined, they are the body again.

    >>> cut(b"abcdef", [1, 0, 2])
    [b'a', b'', b'bc', b'def']
    """
    chunks: list[bytes] = []
    position = 0
    if isinstance(how, Random):
        while position < len(body):
            size = how.randint(0, max(1, min(len(body) - position, len(body) // 3 + 1)))
            chunks.append(body[position : position + size])
            position += size
        return chunks or [b""]
    for size in how:
        chunks.append(body[position : position + size])
        position += size
    if position < len(body):
        chunks.append(body[position:])
    return chunks or [b""]


def recut(chunks: Iterable[bytes], how: Sequence[int] | Random | None) -> list[bytes]:
    """Cut chunks in other places, or leave them unchanged if ``how`` is None."""
    return list(chunks) if how is None else cut(b"".join(chunks), how)
