"""Send a file that a middleware responds with: the server sends it if it can, otherwise it goes in blocks.

Sources: PEP 3333 "Optional Platform-Specific File Handling"; ASGI extensions "Path Send", "Zero Copy Send".
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, BinaryIO, cast

from gateway.loops import in_thread

if TYPE_CHECKING:
    from gateway.exchange import FileBody

__all__ = ["BLOCK", "blocks", "blocks_async", "open_at", "open_whole", "whole", "whole_at_path"]

BLOCK = 128 * 1024
#: On ASGI each block is read in a thread, and the way there and back costs as much as reading 256 KiB.
BLOCK_ASYNC = 256 * 1024


def open_at(body: FileBody) -> BinaryIO:
    """Return the file at its first byte to send; open it if the middleware has not. The caller closes it."""
    # Unbuffered, because blocks are large; by name, because a Path costs as much as opening the file.
    opened = body.file if body.file is not None else open(body.path, "rb", buffering=0)  # noqa: SIM115, PTH123
    file = cast("BinaryIO", opened)  # FileIO has all of its methods
    if body.offset:
        file.seek(body.offset)
    return file


def whole(body: FileBody) -> int | None:
    """Return the number of bytes after the offset if all of them are to be sent, ``None`` if only some are.

    ``wsgi.file_wrapper`` always sends to the end of the file, so a shorter range is sent in blocks instead.
    """
    if body.file is not None:
        return _whole(body, os.fstat(body.file.fileno()).st_size)
    return _whole(body, os.stat(body.path).st_size)  # noqa: PTH116  # as above


def whole_at_path(body: FileBody) -> int | None:
    """Return the same, but ``None`` also if the path no longer names the file that the middleware has opened.

    A server that gets the path opens it itself.
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
    """Open the file if all bytes after the offset are to be sent; the caller closes it.

    A file that came with the body stays open if this returns ``None``.

    Returns:
        The file and the number of bytes after the offset, or ``None``.
    """
    file = open_at(body)
    left = _whole(body, os.fstat(file.fileno()).st_size)
    if left is not None:
        return file, left
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
        # If the size is known, no thread is asked for the end.
        while left != 0 and (block := await in_thread(next, parts, None)) is not None:
            if left is not None:
                left -= len(block)
            yield block
    finally:
        parts.close()
