"""``wsgi.file_wrapper``, and the choice between handing a file to the server and reading it.

An ASGI server with ``http.response.zerocopysend`` sends from an open file, from any offset. A server with
``http.response.pathsend`` opens a path itself and sends the whole file. Every other file is read in blocks.

Sources: PEP 3333 "Optional Platform-Specific File Handling"; ASGI extensions "Path Send", "Zero Copy Send".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator
from typing import Protocol

from gateway.protocols import Message

#: Smaller blocks cost more in hand-offs than they save. PEP 3333 calls the application's block size a suggestion.
BLOCK_BYTES = 64 * 1024

PATHSEND = "http.response.pathsend"
ZEROCOPYSEND = "http.response.zerocopysend"


class Readable(Protocol):
    """The object that a file wrapper wraps."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        ...


class FileWrapper:
    """The ``wsgi.file_wrapper`` of this package: an iterable over the blocks of a file. Closing it closes the file."""

    def __init__(self, filelike: Readable, blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = max(blksize, BLOCK_BYTES)

    def close(self) -> None:
        """Close the file, if it can be closed."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()

    def __iter__(self) -> Iterator[bytes]:
        read, size = self.filelike.read, self.blksize
        while block := read(size):
            yield block


def file_message(wrapper: FileWrapper, length: int | None, extensions: Container[str]) -> Message | None:
    """Return the ASGI message that sends a file from its current position, or None if the file must be read.

    Args:
        wrapper: The file wrapper that the application returned.
        length: The Content-Length: the number of bytes to send (a range), or None for the rest of the file.
        extensions: Names of the server's extensions.

    Returns:
        A message without ``more_body``, because it is the whole body. The file must stay open until it was sent.
    """
    if ZEROCOPYSEND not in extensions and PATHSEND not in extensions:
        return None
    file = wrapper.filelike
    try:
        status = os.fstat(file.fileno())  # type: ignore[attr-defined]  # without the method, the handler returns None
        offset = file.tell()  # type: ignore[attr-defined]  # as above
    except (AttributeError, OSError, ValueError):  # not a real file, or a closed one, whose read() will raise
        return None
    if not stat.S_ISREG(status.st_mode) or not isinstance(offset, int):
        return None
    rest = status.st_size - offset
    if rest <= 0 or (length is not None and length > rest):
        return None  # nothing to send, or a wrong length, which the run detects when it reads the file
    count = rest if length is None else length
    if ZEROCOPYSEND in extensions:
        return {"type": ZEROCOPYSEND, "file": file, "offset": offset, "count": count}
    try:
        path = os.fsdecode(getattr(file, "name", None))  # type: ignore[arg-type]  # raises TypeError for a non-path
    except TypeError:
        return None
    if count != status.st_size or not _same_file(path, status):
        return None
    return {"type": PATHSEND, "path": os.path.abspath(path)}  # noqa: PTH100  # links stay: the server may have rules for them


def _same_file(path: str, status: os.stat_result) -> bool:
    """Tell whether a path still names the open file: not deleted, not replaced."""
    try:
        return os.path.samestat(os.stat(path), status)  # noqa: PTH116  # a stat result is compared
    except (OSError, ValueError):
        return False
