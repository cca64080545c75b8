"""One exchange as a middleware sees it: the request, the response, and how it ended, of either interface.

A :class:`Request` is a view. It keeps no copy of what the server gave; it reads the ``scope`` or the ``environ``
when asked and writes through, so that what stands further in sees the change. A :class:`Response` is the head that
is about to be sent, with a body only where a middleware made it. An :class:`Outcome` says how the exchange ended.

Not here: how a request reads either interface (``_requests``), the hooks (``contract``), the order of calls
(``drivers``). Source: RFC 9110 section 15 for reason phrases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast, runtime_checkable

from gateway.headers import Headers

if TYPE_CHECKING:
    from io import FileIO

    from gateway.headers import HeaderSource

__all__ = [
    "Body",
    "FileBody",
    "Outcome",
    "ReadableBody",
    "Request",
    "Response",
]


class Request:
    """What a middleware sees of a request; reads and writes go to the scope or the environ.

    ``path`` is the whole path, percent-decoded, mount point included, as ASGI has it; ``root_path`` is the mount
    point. Options of middleware that take a path compare it with ``local_path``, the rest. What cannot be decoded as
    UTF-8 reads as U+FFFD; ``raw_path`` has the bytes.

    Attributes are properties, described at each. Threads: a request belongs to one exchange and is not shared.
    """

    __slots__ = ("_headers", "_slots")

    #: Which interface the segment runs in.
    interface: Literal["wsgi", "asgi"]
    _headers: Headers | None
    _slots: dict[object, object] | None

    @property
    def method(self) -> str:
        """The method in upper case; ``"GET"`` for a WebSocket handshake."""
        raise NotImplementedError

    @method.setter
    def method(self, value: str) -> None:
        raise NotImplementedError

    @property
    def path(self) -> str:
        """The whole path, percent-decoded, ``root_path`` included.

        A write replaces it, and ``raw_path`` follows. A path outside the mount point has none: ``root_path`` is
        ``""`` then.
        """
        raise NotImplementedError

    @path.setter
    def path(self, value: str) -> None:
        raise NotImplementedError

    @property
    def root_path(self) -> str:
        """The mount point: ``""`` or ``"/a/b"``. A write leaves ``path`` as it is."""
        raise NotImplementedError

    @root_path.setter
    def root_path(self, value: str) -> None:
        raise NotImplementedError

    @property
    def local_path(self) -> str:
        """The path below the mount point: ``path`` without ``root_path`` if that is a whole-segment prefix of it.

        It is the path that the application routes by, whatever a proxy, ``--root-path`` or a `Mount` has put before.
        It is ``""`` at the mount point itself.
        """
        raise NotImplementedError

    def mount_below(self, prefix: str) -> None:
        """Put a prefix, which a proxy cut off, before the mount point again; ``local_path`` stays as it is.

        Args:
            prefix: Percent-decoded; it starts with "/" and does not end with one.
        """
        raise NotImplementedError

    @property
    def raw_path(self) -> bytes:
        """The path as the client sent it, percent-encoded, without the query; re-encoded where the server does not
        tell.
        """
        raise NotImplementedError

    @property
    def query_string(self) -> bytes:
        """What follows ``?``, percent-encoded."""
        raise NotImplementedError

    @query_string.setter
    def query_string(self, value: bytes) -> None:
        raise NotImplementedError

    @property
    def headers(self) -> Headers:
        """The request's fields; writes go through."""
        raise NotImplementedError

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, for a WebSocket ``ws`` or ``wss``."""
        raise NotImplementedError

    @scheme.setter
    def scheme(self, value: str) -> None:
        raise NotImplementedError

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the peer; port 0 where it is not known, ``None`` for a unix socket."""
        raise NotImplementedError

    @client.setter
    def client(self, value: tuple[str, int] | None) -> None:
        raise NotImplementedError

    @property
    def server(self) -> tuple[str, int | None] | None:
        """Name or address, and port, of the server; ``localhost`` and the scheme's port if they are not known."""
        raise NotImplementedError

    @server.setter
    def server(self, value: tuple[str, int | None] | None) -> None:
        raise NotImplementedError

    @property
    def http_version(self) -> str:
        """``"1.0"``, ``"1.1"``, ``"2"`` or ``"3"``."""
        raise NotImplementedError

    @property
    def is_websocket(self) -> bool:
        """Whether this is a WebSocket handshake."""
        raise NotImplementedError

    @property
    def subprotocols(self) -> list[str]:
        """What a WebSocket client offers; empty for HTTP."""
        raise NotImplementedError

    @property
    def extensions(self) -> Mapping[str, object]:
        """The ASGI extensions that the server offers; empty on WSGI."""
        raise NotImplementedError

    @property
    def state(self) -> dict[str, object]:
        """A dict of the middleware's own, one a request, the same object on both sides of an adapter.

        It is ``gateway.state`` in the scope or the environ, never ``scope["state"]``, which belongs to the lifespan.
        """
        raise NotImplementedError

    @property
    def native(self) -> Mapping[str, object]:
        """The scope or environ itself, to read what this view does not name. Do not write to it."""
        raise NotImplementedError


@runtime_checkable
class ReadableBody(Protocol):
    """A binary file object: read in blocks, closed at the end where it has ``close()``."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class FileBody:
    """A part of a file on disk as a body: the server sends it without reading it where it can.

    The driver uses ``wsgi.file_wrapper``, ``http.response.pathsend`` or ``http.response.zerocopysend`` where they
    fit, and reads in blocks, off the event loop, where they do not. Content-Length is the middleware's to set.

    Args:
        path: Absolute path of the file.
        offset: First byte to send.
        count: How many bytes; ``None`` for all that follow.
        file: The file, if the middleware has opened it to describe it in the headers. The driver sends this file, even
            if the path names another one by then, and closes it. ``None``: the driver opens the path.
    """

    path: str
    offset: int = 0
    count: int | None = None
    file: FileIO | None = field(default=None, repr=False, compare=False)

    def close(self) -> None:
        """Close the file that came with it; a second call does nothing."""
        if self.file is not None:
            self.file.close()


#: What a middleware's response can carry. An iterable must not block on ASGI; it is closed where it has ``close()``.
Body: TypeAlias = bytes | FileBody | ReadableBody | Iterable[bytes]


class Response:
    """The head that is about to be sent, and a body where a middleware made the response.

    Args:
        status: 200 to 599, checked.
        headers: Pairs, a mapping, constants or :class:`~gateway.headers.Headers`; checked.
        body: Bytes, text (sent as UTF-8), a :class:`FileBody`, a binary file, or an iterable of bytes. For bytes and
            text the driver adds Content-Length where it is missing.
        reason: Another reason phrase than the registry's (WSGI sends it, ASGI has none).

    Raises:
        ValueError: The status is none of a final response.
        TypeError: The body is none.

    Attributes:
        status: May be changed by ``on_response``.
        headers: May be changed by ``on_response``; the application's own list is never touched.
        body: ``None`` while the body is the application's.
        reason: ``None`` for the registry's phrase.
    """

    __slots__ = ("body", "headers", "reason", "status")

    status: int
    headers: Headers
    body: Body | None
    reason: str | None

    def __init__(
        self, status: int = 200, headers: HeaderSource = (), body: Body | str = b"", *, reason: str | None = None
    ) -> None:
        if not isinstance(cast("object", status), int) or not 200 <= status <= 599:
            raise ValueError(f"a response's status must be from 200 to 599, got {status!r} (RFC 9110 section 15)")
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body if isinstance(body, bytes) else _body(body)
        self.reason = reason

    @staticmethod
    def head(status: int, headers: Headers, reason: str | None = None) -> Response:
        """Return the response of an application under way, whose body is still to come."""
        response = Response.__new__(Response)
        response.status = status
        response.headers = headers
        response.body = None
        response.reason = reason
        return response

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.headers.items()!r}>"


def _body(body: Body | str) -> Body:
    if isinstance(body, str):
        return body.encode()
    given = cast("object", body)
    if isinstance(given, Mapping):
        hint = "; write json.dumps(...), with its content-type"
    elif hasattr(given, "__aiter__"):
        hint = ", an asynchronous iterator, which WSGI cannot read"
    elif isinstance(given, FileBody | ReadableBody | Iterable):
        return body
    else:
        hint = ""
    raise TypeError(
        f"a response's body must be bytes, text, an iterable of bytes, a binary file or a FileBody, got {given!r}{hint}"
    )


@dataclass(slots=True)
class Outcome:
    """How an exchange ended; one object for every middleware of a segment, not to be changed.

    Attributes:
        kind: ``completed``: the last byte was handed to the server. ``failed``: an exception, or an application that
            did not finish. ``aborted``: the client went away, or the exchange was cancelled. ``upgraded``: the
            application took the connection from a WSGI server and speaks another protocol on it; the server sends no
            response.
        status: The status sent; ``None`` when no head was committed. 101 for an accepted WebSocket and for a
            connection that was ``upgraded``.
        bytes_sent: Body bytes that the server took (WebSocket: payload).
        bytes_received: Body bytes that the application read (WebSocket: payload).
        first_byte_at: Seconds from the start of the exchange to the commit of the head; ``None`` without one.
        duration: Seconds from the start of the exchange to its end.
        error: The exception that ended it, cancellation included.
        disconnected: Whether the client was seen going away.
        websocket_close_code: RFC 6455 section 7.4; ``None`` for HTTP.
    """

    kind: Literal["completed", "aborted", "failed", "upgraded"]
    status: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    first_byte_at: float | None = None
    duration: float = 0.0
    error: BaseException | None = None
    disconnected: bool = False
    websocket_close_code: int | None = None
