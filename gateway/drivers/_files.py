"""How a file that a middleware answers with leaves: whole by the server where it can, in blocks where it cannot.

Sources: PEP 3333 "Optional Platform-Specific File Handling"; ASGI extensions "Path Send", "Zero Copy Send".
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING, BinaryIO

from gateway.drivers._colour import in_thread

if TYPE_CHECKING:
    from gateway.exchange import FileBody

__all__ = ["BLOCK", "blocks", "blocks_async", "open_at", "whole"]

BLOCK = 128 * 1024


def open_at(body: FileBody) -> BinaryIO:
    """Open the file at its first byte to send; the caller closes it."""
    file = open(body.path, "rb")  # noqa: SIM115, PTH123  # handed out; a Path costs as much as to open the file
    if body.offset:
        file.seek(body.offset)
    return file


def whole(body: FileBody) -> int | None:
    """Return how many bytes follow the offset if all of them are to be sent, ``None`` if only some are.

    A file wrapper sends to the end of the file; what ends before is sent in blocks.
    """
    left = max(os.stat(body.path).st_size - body.offset, 0)  # noqa: PTH116  # as above
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


async def blocks_async(body: FileBody) -> AsyncIterator[bytes]:
    """Yield the part of the file in blocks, read in a worker thread, and close it."""
    parts = blocks(body)
    try:
        while (block := await in_thread(next, parts, None)) is not None:
            yield block
    finally:
        parts.close()
