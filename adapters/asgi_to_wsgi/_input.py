"""Read a request body from ``wsgi.input``, never past its end.

PEP 3333 gives an application CONTENT_LENGTH and forbids it to read further: on some servers (wsgiref) such a read waits
for bytes of the next request, for ever. Servers that end the stream themselves say so in ``wsgi.input_terminated``;
only there a body without a length can be read. A short read is not the end, an empty one before the end is a client
that went away.

Reads happen in the WSGI thread. Small bodies are read before the application starts, so that no hand-off is needed for
them; what is larger is read piece by piece, when the application asks for it.

Sources: PEP 3333 "Input and Error Streams"; ``wsgi.input_terminated`` (Werkzeug, mod_wsgi, gunicorn); RFC 9112
section 6.3; uWSGI "Chunked API".
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

from gateway.errors import ServerError
from gateway.protocols import Environ

_log = logging.getLogger("gateway.adapters")

#: Read before the application starts, and per piece afterwards.
PIECE_BYTES = 64 * 1024
#: Of a length that is a number: an exbibyte has 19. Python refuses to read thousands of them.
_MOST_DIGITS = 19
#: The first piece of a body of unknown length: ``read(n)`` of some servers blocks until n bytes or the end have come.
FIRST_PIECE_BYTES = 4 * 1024


class RequestBody:
    """What is left to read of one request body.

    Attributes:
        first: What was read before the application starts.
        more: Whether anything may follow what was read so far.
        error: What reading raised, when it did.
    """

    __slots__ = ("_piece", "_read", "_remaining", "error", "first", "more")

    def __init__(self, read: Callable[[int], bytes], remaining: int | None) -> None:
        self._read = read
        self._remaining = remaining
        self._piece = PIECE_BYTES if remaining is not None else FIRST_PIECE_BYTES
        self.first = b""
        self.more = True
        self.error: Exception | None = None

    def read(self) -> bytes | None:
        """Return the next piece; b"" at the end; None where the client is gone before it."""
        if not self.more:
            return b""
        remaining = self._remaining
        size = self._piece if remaining is None or remaining > self._piece else remaining
        try:
            data = self._read(size)
        except Exception as error:
            # Whatever a server raises for it (OSError, or an HTTP exception of its own), the body cannot be completed.
            _log.debug("reading wsgi.input failed: %r", error)
            self.error = error
            self.more = False
            return None
        if remaining is None:
            if data:
                self._piece = min(self._piece * 2, PIECE_BYTES)
            else:
                self.more = False
            return data
        if not data:
            self.more = False
            return None
        self._remaining = remaining - len(data)
        self.more = self._remaining > 0
        return data


def open_body(environ: Environ) -> RequestBody | None:
    """Return the request body of an environ, its first piece read where that cannot be wrong; None where there is none.

    Raises:
        ServerError: CONTENT_LENGTH is not a number.
    """
    length: str = environ.get("CONTENT_LENGTH") or ""
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    if not length and not chunked:
        if not environ.get("wsgi.input_terminated") or (
            environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS", "TRACE")
            and "gateway.scope" not in environ
            and not environ.get("SERVER_PROTOCOL", "").startswith(("HTTP/2", "HTTP/3"))
        ):
            return None  # RFC 9112 section 6.3: a request with neither field has no body
        return RequestBody(_reader(environ["wsgi.input"]), None)
    if chunked:
        return _chunked(environ)
    if not (length.isascii() and length.isdecimal()):
        error = ServerError(
            f"CONTENT_LENGTH is a number or empty, got {length!r}; the server should have refused the request "
            f"(RFC 9110 section 8.6)"
        )
        error.status_hint = 400
        raise error
    if len(length) > _MOST_DIGITS:
        error = ServerError(f"CONTENT_LENGTH has {len(length)} digits; no server carries such a body")
        error.status_hint = 413
        raise error
    size = int(length)
    if size == 0:
        return None
    stream = environ["wsgi.input"]
    body = RequestBody(stream.read if size <= PIECE_BYTES else _reader(stream), size)
    # A client that sent "Expect: 100-continue" waits for the first read; the application may want to refuse first.
    if "HTTP_EXPECT" not in environ:
        body.first = body.read() or b""
        if not body.first:
            # Leave it to receive() to say so: the application may not even ask.
            body.more = False
    return body


def _chunked(environ: Environ) -> RequestBody | None:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated") or isinstance(stream, io.BytesIO):
        return RequestBody(_reader(stream), None)
    if "uwsgi.version" in environ:
        return RequestBody(_uwsgi_reader(), None)
    # The server does not decode it, and a read would wait for the connection to end.
    return None


def _reader(stream: Any) -> Callable[[int], bytes]:
    """Return a read that gives what is there, where the stream has one: ``read`` may wait until all n bytes came.

    PEP 3333 names four methods, and every server has them. What a server offers beyond is asked for and done without
    where it is not there; a `Validator` shows none of it to who asks (rule P24).
    """
    reader: Callable[[int], bytes] = getattr(stream, "read1", None) or stream.read
    return reader


def _uwsgi_reader() -> Callable[[int], bytes]:
    import uwsgi  # type: ignore[import-untyped, import-not-found, unused-ignore]  # exists within a uWSGI process only

    def read(size: int) -> bytes:
        data: bytes = uwsgi.chunked_read()
        return data

    return read
