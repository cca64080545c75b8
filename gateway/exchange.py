"""One exchange as a middleware sees it: the request, the response, and how it ended, of either interface.

A :class:`Request` is a view. It keeps no copy of what the server gave; it reads the ``scope`` or the ``environ``
when asked and writes through, so that what stands further in sees the change: an environ is edited in place, a scope
is copied once, shallowly, at the first write, because it is the server's own. A :class:`Response` is the head that
is about to be sent, with a body only where a middleware made it. An :class:`Outcome` says how the exchange ended.

Not here: the hooks (``contract``), the order of calls (``drivers``). Sources: ASGI HTTP 2.5 and WebSocket 2.5
"Connection Scope"; PEP 3333 "environ Variables"; RFC 9110 section 15 for reason phrases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable
from urllib.parse import quote

from gateway.headers import AsgiHeaders, EnvironHeaders, Header, HeaderBlock, Headers

if TYPE_CHECKING:
    from gateway.headers import HeaderSource
    from gateway.protocols import Environ, Scope

__all__ = [
    "AsgiRequest",
    "Body",
    "FileBody",
    "Outcome",
    "ReadableBody",
    "Request",
    "Response",
    "WsgiRequest",
    "reason_phrase",
]

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
#: What is percent-encoded in no path: RFC 3986 pchar and "/".
_PATH_SAFE = "/:@!$&'()*+,;=~-._"


def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status code, ``"Unknown"`` where the registry has none."""
    return _PHRASES.get(status, "Unknown")


class Request:
    """What a middleware sees of a request; reads and writes go to the scope or the environ.

    ``path`` is the whole path, percent-decoded, mount point included, as ASGI has it; ``root_path`` is the mount
    point. What cannot be decoded as UTF-8 reads as U+FFFD; ``raw_path`` has the bytes.

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
        """The path below the mount point: ``path`` without ``root_path`` where that is a whole-segment prefix of it."""
        path, root = self.path, self.root_path
        return path[len(root) :] if root and _is_below(path, root) else path

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
        """Name or address and port that the server answers on."""
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
        """A dict of the middleware's own, one a request, the same object on both sides of a crossing.

        It is ``gateway.state`` in the scope or the environ, never ``scope["state"]``, which belongs to the lifespan.
        """
        raise NotImplementedError

    @property
    def native(self) -> Mapping[str, object]:
        """The scope or environ itself, to read what this view does not name. Do not write to it."""
        raise NotImplementedError


def _is_below(path: str, root: str) -> bool:
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")


class AsgiRequest(Request):
    """A request over an ASGI scope; the first write makes one shallow copy of it."""

    __slots__ = ("_owned", "scope")

    interface: Literal["wsgi", "asgi"] = "asgi"

    def __init__(self, scope: Scope) -> None:
        #: The scope to hand further in: the server's own, or our copy of it.
        self.scope: Scope = scope
        self._owned = False
        self._headers = None
        self._slots = None

    def own(self) -> Scope:
        """Return the scope for writing: the first call copies it shallowly."""
        if not self._owned:
            self.scope = dict(self.scope)
            self._owned = True
        return self.scope

    @property
    def method(self) -> str:
        method: str = self.scope.get("method", "GET")
        return method

    @method.setter
    def method(self, value: str) -> None:
        self.own()["method"] = value

    @property
    def path(self) -> str:
        path: str = self.scope["path"]
        return path

    @path.setter
    def path(self, value: str) -> None:
        scope = self.own()
        if not _is_below(value, self.root_path):
            scope["root_path"] = ""
        scope["path"] = value
        scope["raw_path"] = quote(value, safe=_PATH_SAFE).encode("ascii")

    @property
    def root_path(self) -> str:
        root_path: str = self.scope.get("root_path", "")
        return root_path

    @root_path.setter
    def root_path(self, value: str) -> None:
        self.own()["root_path"] = value

    @property
    def raw_path(self) -> bytes:
        raw: bytes | None = self.scope.get("raw_path")
        if raw:
            return raw.partition(b"?")[0]
        return quote(self.path, safe=_PATH_SAFE).encode("ascii")

    @property
    def query_string(self) -> bytes:
        query: bytes = self.scope.get("query_string", b"")
        return query

    @query_string.setter
    def query_string(self, value: bytes) -> None:
        self.own()["query_string"] = value

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = _ScopeHeaders(self)
        return self._headers

    @property
    def scheme(self) -> str:
        scheme: str = self.scope.get("scheme") or ("ws" if self.is_websocket else "http")
        return scheme

    @scheme.setter
    def scheme(self, value: str) -> None:
        self.own()["scheme"] = value

    @property
    def client(self) -> tuple[str, int] | None:
        client = self.scope.get("client")
        return (client[0], client[1] or 0) if client and client[0] else None

    @client.setter
    def client(self, value: tuple[str, int] | None) -> None:
        self.own()["client"] = value

    @property
    def server(self) -> tuple[str, int | None] | None:
        server = self.scope.get("server")
        return (server[0], server[1]) if server else None

    @server.setter
    def server(self, value: tuple[str, int | None] | None) -> None:
        self.own()["server"] = value

    @property
    def http_version(self) -> str:
        version: str = self.scope.get("http_version", "1.1")
        return version

    @property
    def is_websocket(self) -> bool:
        return bool(self.scope["type"] == "websocket")

    @property
    def subprotocols(self) -> list[str]:
        return list(self.scope.get("subprotocols") or ())

    @property
    def extensions(self) -> Mapping[str, object]:
        return self.scope.get("extensions") or {}

    @property
    def state(self) -> dict[str, object]:
        state: dict[str, object] | None = self.scope.get("gateway.state")
        if state is None:
            state = self.own()["gateway.state"] = {}
        return state

    @property
    def native(self) -> Mapping[str, object]:
        return self.scope


class _ScopeHeaders(AsgiHeaders):
    """A scope's fields; before the first write they become a list of the request's own."""

    __slots__ = ("_request", "_written")

    def __init__(self, request: AsgiRequest) -> None:
        self._request = request
        raw: list[tuple[bytes, bytes]] = request.scope["headers"]
        self._written: bool = type(raw) not in (list, tuple)
        if self._written:  # an iterable that may be read only once
            raw = [*raw]
            request.own()["headers"] = raw
        self._raw = raw
        self._seen = -1

    def _own(self) -> None:
        if not self._written:
            self._raw = self._request.own()["headers"] = [*self._raw]
            self._written = True

    def asgi(self) -> list[tuple[bytes, bytes]]:
        return list(self._raw)

    # The implementation of an overloaded method takes both forms, and its overloads one each.
    def append(self, name: str | Header, value: str | None = None, /) -> None:
        self._own()
        super().append(name, value)  # type: ignore[arg-type]

    def set(self, name: str | Header, value: str | None = None, /) -> None:
        self._own()
        super().set(name, value)  # type: ignore[arg-type]

    def append_constants(self, constants: Iterable[Header]) -> None:
        self._own()
        super().append_constants(constants)

    def setdefaults(self, block: HeaderBlock) -> None:
        self._own()
        super().setdefaults(block)

    def delete(self, name: str) -> bool:
        if name not in self:
            return False
        self._own()
        return super().delete(name)


class WsgiRequest(Request):
    """A request over a WSGI environ, which is edited in place."""

    __slots__ = ("environ",)

    interface: Literal["wsgi", "asgi"] = "wsgi"

    def __init__(self, environ: Environ) -> None:
        self.environ: Environ = environ
        self._headers = None
        self._slots = None

    @property
    def method(self) -> str:
        method: str = self.environ.get("REQUEST_METHOD", "GET")
        return method

    @method.setter
    def method(self, value: str) -> None:
        self.environ["REQUEST_METHOD"] = value

    @property
    def path(self) -> str:
        environ = self.environ
        return _decode(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))

    @path.setter
    def path(self, value: str) -> None:
        root = self.root_path
        if not _is_below(value, root):
            root = self.environ["SCRIPT_NAME"] = ""
        self.environ["PATH_INFO"] = value[len(root) :].encode().decode("latin-1")
        self._forget_raw_path()

    @property
    def root_path(self) -> str:
        return _decode(self.environ.get("SCRIPT_NAME", ""))

    @root_path.setter
    def root_path(self, value: str) -> None:
        environ = self.environ
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        root = value.encode().decode("latin-1")
        environ["SCRIPT_NAME"] = root
        environ["PATH_INFO"] = path[len(root) :] if root and _is_below(path, root) else path

    def _forget_raw_path(self) -> None:
        # A rewritten path must not be undone by an application, or an adapter, that prefers the server's raw target.
        self.environ.pop("RAW_URI", None)
        self.environ.pop("REQUEST_URI", None)

    @property
    def raw_path(self) -> bytes:
        environ = self.environ
        target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
        if target.startswith(("http://", "https://")):  # absolute-form, RFC 9112 section 3.2.2
            rest = target.partition("://")[2]
            target = "/" + rest.partition("/")[2]
        if target.startswith("/"):
            return target.partition("?")[0].encode("latin-1", "replace")
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return quote(path.encode("latin-1"), safe=_PATH_SAFE).encode("ascii")

    @property
    def query_string(self) -> bytes:
        query: str = self.environ.get("QUERY_STRING", "")
        return query.encode("latin-1", "replace")

    @query_string.setter
    def query_string(self, value: bytes) -> None:
        self.environ["QUERY_STRING"] = value.decode("latin-1")
        self._forget_raw_path()

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = EnvironHeaders(self.environ)
        return self._headers

    @property
    def scheme(self) -> str:
        scheme: str = self.environ.get("wsgi.url_scheme", "http")
        return scheme

    @scheme.setter
    def scheme(self, value: str) -> None:
        self.environ["wsgi.url_scheme"] = value

    @property
    def client(self) -> tuple[str, int] | None:
        address: str = self.environ.get("REMOTE_ADDR", "")
        if not address or address.startswith("/"):
            return None
        return address, _port(self.environ.get("REMOTE_PORT")) or 0

    @client.setter
    def client(self, value: tuple[str, int] | None) -> None:
        self.environ["REMOTE_ADDR"] = value[0] if value else ""
        self.environ["REMOTE_PORT"] = str(value[1]) if value else ""
        self.environ.pop("REMOTE_HOST", None)

    @property
    def server(self) -> tuple[str, int | None] | None:
        name: str = self.environ.get("SERVER_NAME", "")
        return (name, _port(self.environ.get("SERVER_PORT"))) if name else None

    @server.setter
    def server(self, value: tuple[str, int | None] | None) -> None:
        self.environ["SERVER_NAME"] = value[0] if value else ""
        self.environ["SERVER_PORT"] = str(value[1]) if value and value[1] is not None else ""

    @property
    def http_version(self) -> str:
        protocol: str = self.environ.get("SERVER_PROTOCOL", "HTTP/1.1")
        version = protocol.rpartition("/")[2]
        return {"2.0": "2", "3.0": "3"}.get(version, version or "1.1")

    @property
    def is_websocket(self) -> bool:
        return False

    @property
    def subprotocols(self) -> list[str]:
        return []

    @property
    def extensions(self) -> Mapping[str, object]:
        return {}

    @property
    def state(self) -> dict[str, object]:
        state: dict[str, object] | None = self.environ.get("gateway.state")
        if state is None:
            state = self.environ["gateway.state"] = {}
        return state

    @property
    def native(self) -> Mapping[str, object]:
        return self.environ


def _decode(path: str) -> str:
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")


def _port(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


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
    """

    path: str
    offset: int = 0
    count: int | None = None


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
        if not 200 <= status <= 599:
            raise ValueError(f"a response's status must be from 200 to 599, got {status!r} (RFC 9110 section 15)")
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body.encode() if isinstance(body, str) else body
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


@dataclass(slots=True)
class Outcome:
    """How an exchange ended; one object for every middleware of a segment, not to be changed.

    Attributes:
        kind: ``completed``: the last byte was handed to the server. ``failed``: an exception, or an application that
            did not finish. ``aborted``: the client went away, or the exchange was cancelled.
        status: The status sent; ``None`` when no head was committed. 101 for an accepted WebSocket.
        bytes_sent: Body bytes that the server took (WebSocket: payload).
        bytes_received: Body bytes that the application read (WebSocket: payload).
        first_byte_at: Seconds from the start of the exchange to the commit of the head; ``None`` without one.
        duration: Seconds from the start of the exchange to its end.
        error: The exception that ended it, cancellation included.
        disconnected: Whether the client was seen going away.
        websocket_close_code: RFC 6455 section 7.4; ``None`` for HTTP.
    """

    kind: Literal["completed", "aborted", "failed"]
    status: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    first_byte_at: float | None = None
    duration: float = 0.0
    error: BaseException | None = None
    disconnected: bool = False
    websocket_close_code: int | None = None
