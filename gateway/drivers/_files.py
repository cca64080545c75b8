"""How a file that a middleware answers with leaves: whole by the server where it can, in blocks where it cannot.

Sources: PEP 3333 "Optional Platform-Specific File Handling"; ASGI extensions "Path Send", "Zero Copy Send".
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, BinaryIO, cast

from gateway.drivers._colour import in_thread

if TYPE_CHECKING:
    from gateway.exchange import FileBody

__all__ = ["BLOCK", "blocks", "blocks_async", "open_at", "whole"]

BLOCK = 128 * 1024


def open_at(body: FileBody) -> BinaryIO:
    """Open the file at its first byte to send, without a buffer, as blocks are large; the caller closes it."""
    # Handed out, and by its name: a Path costs as much as to open the file.
    file = cast("BinaryIO", open(body.path, "rb", buffering=0))  # noqa: SIM115, PTH123  # FileIO has all of its methods
    if body.offset:
        file.seek(body.offset)
    return file


def whole(body: FileBody) -> int | None:
    """Return how many bytes follow the offset if all of them are to be sent, ``None`` if only some are.

    A file wrapper sends to the end of the file; what ends before is sent in blocks.
    """
    return _whole(body, os.stat(body.path).st_size)  # noqa: PTH116  # as above


def open_whole(body: FileBody) -> tuple[BinaryIO, int] | None:
    """Open the file where all that follows the offset is to be sent, else ``None``; the caller closes it.

    Returns:
        The file, and by how many bytes to read it: a block for a large one makes room that a small one does not need.
    """
    file = open_at(body)
    left = _whole(body, os.fstat(file.fileno()).st_size)
    if left is not None:
        return file, min(BLOCK, left + 1)
    file.close()
    return None


def _whole(body: FileBody, size: int) -> int | None:
    left = max(size - body.offset, 0)
    return left if body.count is None or body.count >= left else None


def blocks(body: FileBody) -> Generator[bytes, None, None]:
    """Yield the part of the file in blocks and close it."""
    left = body.count
    with open_at(body) as file:
        while left is None or left > 0:
            block = file.read(BLOCK if left is None else min(BLOCK, left))
            if not block:
                return
            if left is not None:
                left -= len(block)
            yield block


async def blocks_async(body: FileBody) -> AsyncGenerator[bytes, None]:
    """Yield the part of the file in blocks, read in a worker thread, and close it."""
    parts = blocks(body)
    try:
        while (block := await in_thread(next, parts, None)) is not None:
            yield block
    finally:
        parts.close()
