"""Parts of a response that an ASGI application hands to a WSGI server: bytes, links for early hints, and files.

Sources: ASGI extensions "Early Hints", "Path Send", "Zero Copy Send".
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, TypeAlias

from gateway.errors import ApplicationError


class EarlyHint:
    """Links to be sent in a 103 response before the headers."""

    __slots__ = ("links",)

    def __init__(self, links: list[bytes]) -> None:
        self.links = links


class FilePart:
    """A file for the server to send: a path, or an open file from its position. ``count`` None sends the rest."""

    __slots__ = ("count", "file", "path", "whole")

    def __init__(self, path: str | None, file: SharedFile | None, count: int | None, whole: bool) -> None:
        self.path = path
        self.file = file
        self.count = count
        self.whole = whole  # this part is the whole body


class SharedFile(io.FileIO):
    """A duplicate of a file descriptor of the application. ``done`` is called when the server has closed it."""

    def __init__(self, file: Any, offset: int | None, done: Callable[[], object]) -> None:
        descriptor = os.dup(file if isinstance(file, int) else file.fileno())
        super().__init__(descriptor, "rb")
        self._done = done
        if offset is not None:
            self.seek(offset)
        elif not isinstance(file, int):
            self.seek(file.tell())  # a buffered file reads ahead, so its position differs from its descriptor's

    def close(self) -> None:
        """Close the duplicate, and tell the application at the first call."""
        if not self.closed:
            super().close()
            self._done()


Part: TypeAlias = bytes | EarlyHint | FilePart


def octets(body: Any) -> bytes:
    """Return the body of a message as bytes, a copy if it is another buffer.

    Raises:
        ApplicationError: The body is not a byte string.
    """
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)  # pyright: ignore[reportUnknownArgumentType]  # a view's item type does not matter
    raise ApplicationError(
        f"the body of http.response.body must be bytes, got {type(body).__name__}; encode it (ASGI HTTP "
        "'Response Body')"
    )
