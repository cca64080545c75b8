"""Request, response and outcome as a middleware sees them, the same for both interfaces.

A :class:`Request` is a view: it reads the ``scope`` or the ``environ`` at each access and writes to it. So inner
middleware and the application see each change. A :class:`Response` is the status and headers about to be sent; it has a
body only if a middleware made it. An :class:`Outcome` describes how the request ended.

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
    """View of a request; reads and writes go to the scope or the environ.

    ``path`` is the whole path, percent-decoded, mount point included, as in ASGI; ``root_path`` is the mount point.
    Path options of middleware are compared with ``local_path``, the rest. Bytes that are not UTF-8 read as U+FFFD;
    ``raw_path`` has the original bytes.

    Each property has its own description. Threads do not share a request object.
    """

    __slots__ = ("_headers", "_slots")

    #: Interface in which the group of middleware runs.
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

        A write replaces ``raw_path`` too. If the new path is outside the mount point, ``root_path`` becomes ``""``.
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

        The application routes by this path, whatever prefix a proxy, ``--root-path`` or a `Mount` adds. It is ``""`` at
        the mount point itself.
        """
        raise NotImplementedError

    def mount_below(self, prefix: str) -> None:
        """Prepend a prefix that a proxy removed to the mount point; ``local_path`` does not change.

        Args:
            prefix: Percent-decoded; it starts with "/" and does not end with "/".
        """
        raise NotImplementedError

    @property
    def raw_path(self) -> bytes:
        """The path as the client sent it, percent-encoded, without the query; re-encoded if the server lacks it."""
        raise NotImplementedError

    @property
    def query_string(self) -> bytes:
        """The query after ``?``, percent-encoded."""
        raise NotImplementedError

    @query_string.setter
    def query_string(self, value: bytes) -> None:
        raise NotImplementedError

    @property
    def headers(self) -> Headers:
        """The request's headers; writes go to the scope or the environ."""
        raise NotImplementedError

    @property
    def scheme(self) -> str:
        """``http`` or ``https``; ``ws`` or ``wss`` for a WebSocket."""
        raise NotImplementedError

    @scheme.setter
    def scheme(self, value: str) -> None:
        raise NotImplementedError

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the client; port 0 if it is not known, ``None`` for a unix socket."""
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
        """Subprotocols that a WebSocket client offers; empty for HTTP."""
        raise NotImplementedError

    @property
    def extensions(self) -> Mapping[str, object]:
        """The ASGI extensions that the server offers; empty on WSGI."""
        raise NotImplementedError

    @property
    def state(self) -> dict[str, object]:
        """A dict for middleware, one per request, the same object on both sides of an adapter.

        It is ``gateway.state`` in the scope or the environ, never ``scope["state"]``, which belongs to the lifespan.
        """
        raise NotImplementedError

    def disconnected(self) -> bool | None:
        """Return whether the client is gone.

        ``None`` if nothing can tell. On ASGI that is so until the request body has been read, and for an open
        WebSocket, whose messages go to the application. On WSGI it is so if the server does not give its connection
        away. A client that has closed its sending side counts as gone. A first ``False`` on ASGI may be out of date,
        because the server's answer comes with the next turn of the loop.
        """
        raise NotImplementedError

    @property
    def native(self) -> Mapping[str, object]:
        """The scope or environ itself, to read values that this view lacks. Do not write to it."""
        raise NotImplementedError


@runtime_checkable
class ReadableBody(Protocol):
    """A binary file object. The driver reads it in blocks, and closes it at the end if it has ``close()``."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, or all with -1; ``b""`` at the end."""
        ...


@dataclass(frozen=True)
class FileBody:
    """A part of a file on disk as a body, which the server sends itself if it can.

    The driver uses ``wsgi.file_wrapper``, ``http.response.pathsend`` or ``http.response.zerocopysend`` if one of them
    fits. Otherwise it reads the file in blocks, off the event loop. The middleware sets Content-Length.

    Args:
        path: Absolute path of the file.
        offset: First byte to send.
        count: Number of bytes to send; ``None`` for all the rest.
        file: The open file, if the middleware has opened it to describe it in the headers. The driver sends this file,
            even if the path names another file by then, and closes it. ``None``: the driver opens the path.
    """

    path: str
    offset: int = 0
    count: int | None = None
    file: FileIO | None = field(default=None, repr=False, compare=False)

    def close(self) -> None:
        """Close ``file``, if it was given; a second call does nothing."""
        if self.file is not None:
            self.file.close()


#: Body of a middleware's response. An iterable must not block under ASGI; the driver calls its ``close()``, if any.
Body: TypeAlias = bytes | FileBody | ReadableBody | Iterable[bytes]


class Response:
    """Status and headers about to be sent, and a body if a middleware made the response.

    Args:
        status: 200 to 599, checked.
        headers: Pairs, a mapping, constants or :class:`~gateway.headers.Headers`; checked.
        body: Bytes, text (sent as UTF-8), a :class:`FileBody`, a binary file, or an iterable of bytes. For bytes and
            text the driver adds a missing Content-Length.
        reason: Reason phrase instead of the registry's. WSGI sends it; ASGI has no reason phrase.

    Raises:
        ValueError: The status is not from 200 to 599.
        TypeError: The body is not of a supported type.

    Attributes:
        status: ``on_response`` may change it.
        headers: ``on_response`` may change them; the application's own list is never changed.
        body: ``None`` if the application sends the body.
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
            raise ValueError(f"the status of a response must be from 200 to 599, got {status!r} (RFC 9110 section 15)")
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body if isinstance(body, bytes) else _body(body)
        self.reason = reason

    @staticmethod
    def head(status: int, headers: Headers, reason: str | None = None) -> Response:
        """Return the response of an application that has not sent its body yet."""
        # Hot path: without the checks of `__init__`, which are for responses of middleware.
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
        "the body of a response must be bytes, text, an iterable of bytes, a binary file or a FileBody, got "
        f"{given!r}{hint}"
    )


@dataclass(slots=True)
class Outcome:
    """How a request ended. All middleware of a group share one object; do not change it.

    Attributes:
        kind: ``completed``: the last byte was handed to the server. ``failed``: an exception, or an application that
            did not finish. ``aborted``: the client disconnected, or the request was cancelled. ``upgraded``: the
            application took the connection from a WSGI server and uses another protocol on it; the server sends no
            response.
        status: The status sent; ``None`` if no headers were committed. 101 for an accepted WebSocket and for a
            connection that was ``upgraded``.
        bytes_sent: Body bytes that the server took (WebSocket: payload).
        bytes_received: Body bytes that the application read (WebSocket: payload).
        first_byte_at: Seconds from the start of the request to the commit of the headers; ``None`` without a commit.
        duration: Seconds from the start of the request to its end.
        error: The exception that ended it, cancellation included.
        disconnected: Whether a disconnect of the client was noticed.
        websocket_close_code: Close code of RFC 6455 section 7.4; ``None`` for HTTP.
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
