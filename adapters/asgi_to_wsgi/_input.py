"""Read a request body from ``wsgi.input``, never past its end.

PEP 3333 gives an application CONTENT_LENGTH and forbids it to read further. On some servers (wsgiref) such a read waits
for bytes of the next request, for ever. Servers that end the stream themselves set ``wsgi.input_terminated``. Only
there can a body without a length be read. A short read is not the end. An empty read before the end means that the
client left.

All reads happen in the WSGI thread. A small body is read before the application starts, so it needs no hand-off. A
larger body is read piece by piece, when the application calls ``receive()``.

Sources: PEP 3333 "Input and Error Streams"; ``wsgi.input_terminated`` (Werkzeug, mod_wsgi, gunicorn); RFC 9112
section 6.3; uWSGI "Chunked API".
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

from gateway.client.wsgi import RequestInput
from gateway.errors import ServerError
from gateway.protocols import Environ

_log = logging.getLogger("gateway.adapters")

#: Bytes to read before the application starts, and per piece afterwards.
PIECE_BYTES = 64 * 1024
#: Maximum digits of a length: an exbibyte has 19. Python refuses to parse a number of thousands of digits.
_MOST_DIGITS = 19
#: First piece of a body of unknown length, because ``read(n)`` of some servers blocks until n bytes or the end came.
FIRST_PIECE_BYTES = 4 * 1024


class BodyReader:
    """The unread rest of one request body.

    Attributes:
        first: Bytes that were read before the application starts.
        more: Whether more bytes may follow.
        error: The error that reading raised, or None.
    """

    __slots__ = ("_input", "_piece", "_read", "error", "first", "more")

    def __init__(self, read: Callable[[int], bytes], remaining: int | None) -> None:
        self._read = read
        self._input = RequestInput(remaining)
        self._piece = PIECE_BYTES if remaining is not None else FIRST_PIECE_BYTES
        self.first = b""
        self.more = True
        self.error: Exception | None = None

    def read(self) -> bytes | None:
        """Return the next piece; b"" at the end; None if the client left before the end."""
        if not self.more:
            return b""
        reads = self._input
        try:
            data = reads.read(self._read, self._piece)
        except Exception as error:
            # A server may raise OSError or an HTTP exception of its own. In each case the body cannot be completed.
            _log.debug("reading wsgi.input failed: %r", error)
            self.error = error
            self.more = False
            return None
        self.more = not reads.ended
        if reads.left is None:
            self._piece = min(self._piece * 2, PIECE_BYTES)
        return None if reads.gone else data


def open_body(environ: Environ) -> BodyReader | None:
    """Return the request body, its first piece read if that is safe; None if the request has no body.

    Raises:
        ServerError: CONTENT_LENGTH is not a number, or has too many digits.
    """
    length: str = environ.get("CONTENT_LENGTH") or ""
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    if not length and not chunked:
        if not environ.get("wsgi.input_terminated") or (
            environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS", "TRACE")
            and "gateway.scope" not in environ
            and not environ.get("SERVER_PROTOCOL", "").startswith(("HTTP/2", "HTTP/3"))
        ):
            return None  # RFC 9112 section 6.3: a request with neither header has no body
        return BodyReader(_reader(environ["wsgi.input"]), None)
    if chunked:
        return _chunked(environ)
    if not (length.isascii() and length.isdecimal()):
        error = ServerError(
            f"CONTENT_LENGTH must be a number or empty, got {length!r}; the server should have refused the "
            "request (RFC 9110 section 8.6)"
        )
        error.status_hint = 400
        raise error
    if len(length) > _MOST_DIGITS:
        error = ServerError(f"CONTENT_LENGTH has {len(length)} digits; no server accepts such a body")
        error.status_hint = 413
        raise error
    size = int(length)
    if size == 0:
        return None
    stream = environ["wsgi.input"]
    body = BodyReader(stream.read if size <= PIECE_BYTES else _reader(stream), size)
    # A client that sent "Expect: 100-continue" waits for the first read, and the application may refuse before it.
    if "HTTP_EXPECT" not in environ:
        body.first = body.read() or b""
        if not body.first:
            # The client left. receive() reports it, because the application may never call receive().
            body.more = False
    return body


def _chunked(environ: Environ) -> BodyReader | None:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated") or isinstance(stream, io.BytesIO):
        return BodyReader(_reader(stream), None)
    if "uwsgi.version" in environ:
        return BodyReader(_uwsgi_reader(), None)
    # The server does not decode chunks, and a read would wait until the connection ends.
    return None


def _reader(stream: Any) -> Callable[[int], bytes]:
    """Return a read function that returns the bytes that arrived, because ``read(n)`` may wait for all n bytes.

    PEP 3333 names four methods, which every server has. ``read1`` is not among them, so it is used only if it exists.
    The input of a `Validator` never has it (rule P24).
    """
    reader: Callable[[int], bytes] = getattr(stream, "read1", None) or stream.read
    return reader


def _uwsgi_reader() -> Callable[[int], bytes]:
    import uwsgi  # type: ignore[import-untyped, import-not-found, unused-ignore]  # exists within a uWSGI process only

    def read(size: int) -> bytes:
        data: bytes = uwsgi.chunked_read()
        return data

    return read
