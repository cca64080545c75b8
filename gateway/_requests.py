"""A request over an ASGI scope, and over a WSGI environ.

Both read when asked and write through. An environ is edited in place, as PEP 3333 allows; a scope is copied once,
shallowly, at the first write, because it is the server's own.

Sources: ASGI HTTP 2.5 and WebSocket 2.5 "Connection Scope"; PEP 3333 "environ Variables".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from gateway.exchange import Request, is_below
from gateway.headers import AsgiHeaders, EnvironHeaders, Header, HeaderBlock, Headers
from gateway.translate.peer import peer, port_number

if TYPE_CHECKING:
    from gateway.protocols import Environ, Scope

__all__ = ["AsgiRequest", "WsgiRequest"]

#: What is percent-encoded in no path: RFC 3986 pchar and "/".
_PATH_SAFE = "/:@!$&'()*+,;=~-._"


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
        if not is_below(value, self.root_path):
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
        if not is_below(value, root):
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
        environ["PATH_INFO"] = path[len(root) :] if root and is_below(path, root) else path

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
        return peer(self.environ)

    @client.setter
    def client(self, value: tuple[str, int] | None) -> None:
        self.environ["REMOTE_ADDR"] = value[0] if value else ""
        self.environ["REMOTE_PORT"] = str(value[1]) if value else ""
        self.environ.pop("REMOTE_HOST", None)

    @property
    def server(self) -> tuple[str, int | None] | None:
        name: str = self.environ.get("SERVER_NAME", "")
        return (name, port_number(self.environ.get("SERVER_PORT"))) if name else None

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
