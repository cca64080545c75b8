"""The iterable that a WSGI server gets: the parts of a response as the ASGI application sends them.

Parts that wait together are joined up to `JOIN_BYTES`, so that a burst of small messages is one write of the server. No
part waits in order to be joined. A file goes to the server's own ``wsgi.file_wrapper`` if the server would send exactly
the right bytes of it. Otherwise it is read piece by piece.

Sources: PEP 3333 "Buffering and Streaming", "Optional Platform-Specific File Handling"; ASGI "Path Send", "Zero Copy
Send", "Early Hints", "Trailers".
"""

from __future__ import annotations

import io
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

from gateway._sign_off import SignedOff
from gateway.adapters.asgi_to_wsgi._call import AsgiCall
from gateway.adapters.asgi_to_wsgi._parts import EarlyHint, FilePart
from gateway.client import ClientGone
from gateway.client.wsgi import for_server
from gateway.protocols import Environ
from gateway.translate.fields import wsgi_response_headers
from gateway.translate.status import status_line

#: Chunks that wait together are joined up to this many bytes.
JOIN_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024


def respond(call: AsgiCall, environ: Environ, start_response: Callable[..., object], coalesce: bool) -> Iterable[bytes]:
    """Wait for the headers and the first part of the body, start the response and return its body.

    If the application sends its headers and nothing more for a while, they go to the server alone.

    Raises:
        Exception: The application raised it before any of its body was sent. The response was not started, so that the
            server can respond with an error of its own.
    """
    parts = call.parts
    # A fast path for a complete response of one part, as most are by now.
    if call.finished and len(parts) == 1 and type(parts[0]) is bytes and call.error is None and not call.trailers:
        try:
            start_response(status_line(call.status), call.headers)
        except BaseException:
            call.abandon()
            raise
        return [parts[0]]
    try:
        while call.pull_head():
            hint = call.parts[0]
            if not isinstance(hint, EarlyHint):
                break
            call.parts.popleft()
            environ["wsgi.early_hints"]([("Link", link.decode("latin-1")) for link in hint.links])
        call.head_due = False
        if call.finished:
            if call.error is None:
                body = _whole(call, coalesce)
                if body is not None:
                    start_response(status_line(call.status), call.headers)
                    return body
            elif not call.parts:
                raise _raisable(call, environ)
            # Else a part of the body was sent before the error. As on an ASGI server, send the headers and that part.
        first = call.parts[0] if call.parts else b""
        if isinstance(first, FilePart) and first.whole:
            wrapped = _wrapped(call, first, environ)
            start_response(status_line(call.status), call.headers)
            return wrapped
        write = start_response(status_line(call.status), call.headers)
        if not call.parts and not call.finished and callable(write):
            # A server keeps the headers until the first bytes of the body, or until the first call of `write` (PEP 3333
            # "The start_response() Callable"). A server without `write` sends them when this returns (granian).
            write(b"")
    except BaseException:
        call.abandon()
        raise
    return ServedBody(call, environ, coalesce)


def _raisable(call: AsgiCall, environ: Environ) -> BaseException:
    error = call.error
    assert error is not None
    call.error = None  # break the reference cycle: its traceback refers to the call
    if isinstance(error, SignedOff):
        return error.signal
    if isinstance(error, ClientGone):
        return for_server(error, environ)
    if error.__cause__ is None and call.read_error is not None:
        error.__cause__ = call.read_error
    return error


def _whole(call: AsgiCall, coalesce: bool) -> list[bytes] | None:
    """Return the body as a list if it is complete and consists of bytes only; otherwise None.

    A list of one lets servers set Content-Length (PEP 3333 "Handling the Content-Length Header").
    """
    if call.trailers:
        return None
    parts = call.parts
    if len(parts) == 1:
        part = parts[0]
        return [part] if isinstance(part, bytes) else None
    body: list[bytes] = []
    size = 0
    for part in parts:
        if not isinstance(part, bytes):
            return None
        body.append(part)
        size += len(part)
    return [b"".join(body)] if len(body) > 1 and coalesce and size <= JOIN_BYTES else body


class ServedBody:
    """The iterable of one response. The server calls ``close()``; if it forgets, the garbage collector does."""

    __slots__ = ("_call", "_closed", "_coalesce", "_environ", "_file", "_ready")

    def __init__(self, call: AsgiCall, environ: Environ, coalesce: bool) -> None:
        self._call = call
        self._environ = environ
        self._coalesce = coalesce
        self._ready: deque[bytes] = deque()
        self._file: Generator[bytes, None, None] | None = None
        self._closed = False

    def __iter__(self) -> ServedBody:
        """Return itself, because a body is iterated once."""
        return self

    def __next__(self) -> bytes:
        """Return the next chunk, or wait for it.

        Raises:
            Exception: The application raised it within the body. The server must not end the response as if it were
                complete.
        """
        while True:
            if self._ready:
                return self._ready.popleft()
            if self._file is not None:
                data = next(self._file, None)
                if data is not None:
                    return data
                self._file = None
            if self._closed:
                raise StopIteration
            try:
                more = self._call.pull()
            except BaseException:
                self.close()
                raise
            if more:
                self._take()
            else:
                self._end()

    def _take(self) -> None:
        parts = self._call.parts
        first = parts[0]
        if isinstance(first, FilePart):
            parts.popleft()
            self._file = _pieces(first)
            return
        size = 0
        join_limit = JOIN_BYTES if self._coalesce else 0
        joined: list[bytes] = []
        joined_size = 0
        while parts and isinstance(parts[0], bytes):
            part = parts.popleft()
            assert isinstance(part, bytes)
            size += len(part)
            if joined and joined_size + len(part) > join_limit:
                self._ready.append(b"".join(joined) if len(joined) > 1 else joined[0])
                joined.clear()
                joined_size = 0
            joined.append(part)
            joined_size += len(part)
        self._ready.append(b"".join(joined) if len(joined) > 1 else joined[0])
        self._call.took(size)

    def _end(self) -> None:
        self._closed = True
        call = self._call
        if call.error is not None:
            raise _raisable(call, self._environ)
        if call.trailers:
            # The server sends its last chunk after StopIteration, so the trailers must be set before.
            self._environ["gunicorn.http2.send_trailers"](
                wsgi_response_headers(call.trailers, "http.response.trailers")
            )
        raise StopIteration

    def close(self) -> None:
        """End the response early, so that the application's ``send()`` raises. Does nothing after the end."""
        if not self._closed:
            self._closed = True
            self._ready.clear()
            if self._file is not None:
                self._file.close()
                self._file = None
            self._call.abandon()

    def __del__(self, ends: Callable[[], bool] = sys.is_finalizing) -> None:
        """Close a body that the server did not close."""
        if not ends():  # at the end of the interpreter, modules that this needs may be gone
            self.close()


def _wrapped(call: AsgiCall, part: FilePart, environ: Environ) -> Iterable[bytes]:
    """Return the server's file wrapper around a file that is the whole body."""
    call.parts.clear()
    file: Any = part.file  # the server closes the wrapper, which closes the file
    if part.path is not None:
        file = io.FileIO(part.path)
        # The application computed the length a moment ago. If the file has grown since, send only that length.
        declared = _declared_length(call)
        if declared is not None and declared < os.fstat(file.fileno()).st_size:
            part.count = declared
    if not _sent_as_it_stands(call, part, file, environ):
        file = FileRange(file, part.count)
    wrapper: Callable[[Any, int], Iterable[bytes]] = environ["wsgi.file_wrapper"]
    return wrapper(file, _PIECE_BYTES)


def _declared_length(call: AsgiCall) -> int | None:
    for name, value in call.headers:
        if name.lower() == "content-length":
            return int(value) if value.isascii() and value.isdigit() else None
    return None


def _sent_as_it_stands(call: AsgiCall, part: FilePart, file: io.FileIO, environ: Environ) -> bool:
    """Tell whether the server sends the right bytes if it gets the file itself.

    Every server sends from the file's position to its end, except uWSGI, which begins at 0. Only gunicorn is known to
    end its sendfile at the Content-Length.
    """
    place = file.tell()
    if place and "uwsgi.version" in environ:
        return False
    if part.count is None or place + part.count == os.fstat(file.fileno()).st_size:
        return True
    return "gunicorn.socket" in environ and any(
        name.lower() == "content-length" and value == str(part.count) for name, value in call.headers
    )


def _pieces(part: FilePart) -> Generator[bytes, None, None]:
    file: Any = part.file if part.path is None else io.FileIO(part.path)
    source = FileRange(file, part.count)
    try:
        while data := source.read(_PIECE_BYTES):
            yield data
    finally:
        source.close()


class FileRange:
    """The next ``count`` bytes of a file. Without ``fileno``, because servers would send the whole file through it."""

    def __init__(self, file: Any, count: int | None) -> None:
        self._file = file
        self._left = count

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; b"" at the end of the range or of the file."""
        left = self._left
        if left is not None:
            size = left if size < 0 else min(size, left)
        data: bytes = self._file.read(size)
        if left is not None:
            self._left = left - len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
