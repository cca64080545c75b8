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

__all__ = ["BLOCK", "blocks", "blocks_async", "open_at", "open_whole", "whole", "whole_at_path"]

BLOCK = 128 * 1024
#: On ASGI each block is a hand-over to a thread and back, which costs as much as to read 256 KiB.
BLOCK_ASYNC = 256 * 1024


def open_at(body: FileBody) -> BinaryIO:
    """Return the file at its first byte to send, opened here if it is not yet; the caller closes it."""
    # Without a buffer, as blocks are large. Handed out, and by its name: a Path costs as much as to open the file.
    opened = body.file if body.file is not None else open(body.path, "rb", buffering=0)  # noqa: SIM115, PTH123
    file = cast("BinaryIO", opened)  # FileIO has all of its methods
    if body.offset:
        file.seek(body.offset)
    return file


def whole(body: FileBody) -> int | None:
    """Return how many bytes follow the offset if all of them are to be sent, ``None`` if only some are.

    A file wrapper sends to the end of the file; what ends before is sent in blocks.
    """
    if body.file is not None:
        return _whole(body, os.fstat(body.file.fileno()).st_size)
    return _whole(body, os.stat(body.path).st_size)  # noqa: PTH116  # as above


def whole_at_path(body: FileBody) -> int | None:
    """Return the same, and ``None`` too if the path no longer names the file that the middleware has opened.

    A server that is given the path opens it by itself.
    """
    if body.offset:
        return None
    if body.file is None:
        return whole(body)
    status = os.fstat(body.file.fileno())
    try:
        same = os.path.samestat(os.stat(body.path), status)  # noqa: PTH116  # as above
    except OSError:
        return None
    return _whole(body, status.st_size) if same else None


def open_whole(body: FileBody) -> tuple[BinaryIO, int] | None:
    """Open the file where all that follows the offset is to be sent, else ``None``; the caller closes it.

    A file that came with the body stays open where this returns ``None``.

    Returns:
        The file, and by how many bytes to read it: a block for a large one makes room that a small one does not need.
    """
    file = open_at(body)
    left = _whole(body, os.fstat(file.fileno()).st_size)
    if left is not None:
        return file, min(BLOCK, left + 1)
    if body.file is None:
        file.close()
    return None


def _whole(body: FileBody, size: int) -> int | None:
    left = max(size - body.offset, 0)
    return left if body.count is None or body.count >= left else None


def blocks(body: FileBody, size: int = BLOCK) -> Generator[bytes, None, None]:
    """Yield the part of the file in blocks and close it."""
    left = body.count
    with open_at(body) as file:
        while left is None or left > 0:
            block = file.read(size if left is None else min(size, left))
            if not block:
                return
            if left is not None:
                left -= len(block)
            yield block


async def blocks_async(body: FileBody) -> AsyncGenerator[bytes, None]:
    """Yield the part of the file in blocks, read in a worker thread, and close it."""
    parts = blocks(body, BLOCK_ASYNC)
    left = body.count
    try:
        # A thread is not asked for the end of a part whose size is known.
        while left != 0 and (block := await in_thread(next, parts, None)) is not None:
            if left is not None:
                left -= len(block)
            yield block
    finally:
        parts.close()
