"""Requests as views: one class over an ASGI scope, one over a WSGI environ.

Both read the scope or the environ at each access and write to it. An environ is edited in place, as PEP 3333 allows.
A scope belongs to the server, so the first write makes a shallow copy.

The views compute nothing: the functions of `gateway.translate` read each value, and the adapters use them too.
The paths mean the same on every server, whether it gives a path with its mount point or without it.

Sources: ASGI HTTP 2.5 and WebSocket 2.5 "Connection Scope"; PEP 3333 "environ Variables".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from gateway.client.wsgi import asking
from gateway.exchange import Request
from gateway.headers import AsgiHeaders, EnvironHeaders, Header, HeaderBlock, Headers
from gateway.translate.endpoints import http_version, peer, scope_client, scope_version, server_endpoint
from gateway.translate.paths import (
    encoded_path,
    environ_path,
    environ_raw_path,
    is_below,
    latin1_octets,
    mount_point,
    path_octets,
    scope_local_path,
    scope_path,
    scope_raw_path,
)

if TYPE_CHECKING:
    from gateway.protocols import Environ, Scope

__all__ = ["AsgiRequest", "WsgiRequest"]


class AsgiRequest(Request):
    """A request over an ASGI scope; the first write makes one shallow copy of it."""

    __slots__ = ("_owned", "scope")

    interface: Literal["wsgi", "asgi"] = "asgi"

    def __init__(self, scope: Scope) -> None:
        #: The scope to pass to the inner application: the server's, or our copy of it.
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
        scope = self.scope
        return scope_path(scope["path"], scope.get("root_path") or "")

    @path.setter
    def path(self, value: str) -> None:
        scope = self.own()
        if not is_below(value, self.root_path):
            scope["root_path"] = ""
        scope["path"] = value
        scope["raw_path"] = encoded_path(path_octets(value, None), b"")

    @property
    def root_path(self) -> str:
        return mount_point(self.scope.get("root_path") or "")

    @root_path.setter
    def root_path(self, value: str) -> None:
        self.own()["root_path"] = value

    @property
    def local_path(self) -> str:
        scope = self.scope
        return scope_local_path(scope["path"], scope.get("root_path") or "")

    def mount_below(self, prefix: str) -> None:
        raw, path, mount = self.raw_path, self.path, self.root_path
        scope = self.own()
        # Keep the client's percent-encoding, because "%2F" is not "/".
        scope["raw_path"] = encoded_path(path_octets(prefix, None), b"") + raw
        scope["root_path"] = prefix + mount
        scope["path"] = prefix + path

    @property
    def raw_path(self) -> bytes:
        scope = self.scope
        return scope_raw_path(scope["path"], scope.get("root_path") or "", scope.get("raw_path"))

    @property
    def query_string(self) -> bytes:
        query: bytes = self.scope.get("query_string") or b""
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
        return scope_client(self.scope.get("client"))

    @client.setter
    def client(self, value: tuple[str, int] | None) -> None:
        self.own()["client"] = value

    @property
    def server(self) -> tuple[str, int | None] | None:
        return server_endpoint(self.scope.get("server"), self.scheme)

    @server.setter
    def server(self, value: tuple[str, int | None] | None) -> None:
        self.own()["server"] = value

    @property
    def http_version(self) -> str:
        return scope_version(self.scope.get("http_version") or "1.1")

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

    def disconnected(self) -> bool | None:
        return None  # a view has no ``receive``; the exchange of a driver has

    @property
    def native(self) -> Mapping[str, object]:
        return self.scope


class _ScopeHeaders(AsgiHeaders):
    """The headers of a scope; the first write copies them into a list that belongs to the request."""

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

    # mypy: the argument types below fit the implementation in the base class, but none of its overloads.
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
        return method if method.isupper() else method.upper()

    @method.setter
    def method(self, value: str) -> None:
        self.environ["REQUEST_METHOD"] = value

    @property
    def path(self) -> str:
        get = self.environ.get
        return environ_path(get("SCRIPT_NAME") or "", get("PATH_INFO") or "")

    @path.setter
    def path(self, value: str) -> None:
        root = self.root_path
        if not is_below(value, root):
            root = self.environ["SCRIPT_NAME"] = ""
        self.environ["PATH_INFO"] = value[len(root) :].encode().decode("latin-1")
        self._forget_raw_path()

    @property
    def root_path(self) -> str:
        return environ_path(self.environ.get("SCRIPT_NAME") or "", "")

    @root_path.setter
    def root_path(self, value: str) -> None:
        environ = self.environ
        path = mount_point(environ.get("SCRIPT_NAME") or "") + (environ.get("PATH_INFO") or "")
        root = value.encode().decode("latin-1")
        environ["SCRIPT_NAME"] = root
        environ["PATH_INFO"] = path[len(root) :] if root and is_below(path, root) else path

    @property
    def local_path(self) -> str:
        return environ_path("", self.environ.get("PATH_INFO") or "")  # PEP 3333 splits the path already

    def mount_below(self, prefix: str) -> None:
        environ = self.environ
        environ["SCRIPT_NAME"] = prefix.encode().decode("latin-1") + environ.get("SCRIPT_NAME", "")
        for name in ("RAW_URI", "REQUEST_URI"):
            target: str | None = environ.get(name)
            if target is not None and target.startswith("/"):
                environ[name] = encoded_path(path_octets(prefix, None), b"").decode("ascii") + target
            elif target is not None:  # absolute-form
                del environ[name]

    def _forget_raw_path(self) -> None:
        # An application or adapter that prefers the server's raw target would undo the rewritten path.
        self.environ.pop("RAW_URI", None)
        self.environ.pop("REQUEST_URI", None)

    @property
    def raw_path(self) -> bytes:
        get = self.environ.get
        target: str = get("RAW_URI") or get("REQUEST_URI") or ""
        return environ_raw_path(get("SCRIPT_NAME") or "", get("PATH_INFO") or "", target)

    @property
    def query_string(self) -> bytes:
        return latin1_octets(self.environ.get("QUERY_STRING") or "")

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
        scheme: str = self.environ.get("wsgi.url_scheme") or "http"
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
        get = self.environ.get
        return server_endpoint((get("SERVER_NAME"), get("SERVER_PORT")), self.scheme)

    @server.setter
    def server(self, value: tuple[str, int | None] | None) -> None:
        self.environ["SERVER_NAME"] = value[0] if value else ""
        self.environ["SERVER_PORT"] = str(value[1]) if value and value[1] is not None else ""

    @property
    def http_version(self) -> str:
        return http_version(self.environ.get("SERVER_PROTOCOL") or "")

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

    def disconnected(self) -> bool | None:
        return asking(self.environ)()

    @property
    def native(self) -> Mapping[str, object]:
        return self.environ
