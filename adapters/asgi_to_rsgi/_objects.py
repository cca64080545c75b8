"""The RSGI objects that granian hands over, and the translation of values that RSGI spells differently from ASGI.

Sources: RSGI specification 1.6; ASGI HTTP 2.5 "Connection Scope".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

__all__ = [
    "HttpProtocol",
    "HttpTransport",
    "RsgiFields",
    "RsgiHeaders",
    "RsgiScope",
    "WebSocketMessage",
    "WebSocketProtocol",
    "WebSocketTransport",
    "address",
    "is_gone",
    "may_have_body",
    "response_fields",
    "scope_of",
]

RsgiFields: TypeAlias = list[tuple[str, str]]


class RsgiHeaders(Protocol):
    def items(self) -> Iterable[tuple[str, str]]: ...
    def get(self, key: str, default: Any = None, /) -> Any: ...


class RsgiScope(Protocol):
    proto: str
    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None

    @property
    def headers(self) -> RsgiHeaders: ...


class HttpTransport(Protocol):
    def send_bytes(self, data: bytes, /) -> Awaitable[None]: ...


class HttpProtocol(Protocol):
    def __call__(self) -> Awaitable[bytes]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def client_disconnect(self) -> Awaitable[None]: ...
    def response_empty(self, status: int, headers: RsgiFields, /) -> None: ...
    def response_bytes(self, status: int, headers: RsgiFields, body: bytes, /) -> None: ...
    def response_file(self, status: int, headers: RsgiFields, file: str, /) -> None: ...
    def response_stream(self, status: int, headers: RsgiFields, /) -> HttpTransport: ...


class WebSocketMessage(Protocol):
    kind: int
    data: Any


class WebSocketTransport(Protocol):
    def receive(self) -> Awaitable[WebSocketMessage]: ...
    def send_bytes(self, data: bytes, /) -> Awaitable[None]: ...
    def send_str(self, data: str, /) -> Awaitable[None]: ...


class WebSocketProtocol(Protocol):
    def accept(self) -> Awaitable[WebSocketTransport]: ...
    def close(self, status: int | None, /) -> object: ...


def scope_of(rsgi: RsgiScope, state: dict[str, Any] | None) -> dict[str, Any]:
    """Return the keys that HTTP and WebSocket scopes have in common."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in rsgi.headers.items()]
    if rsgi.authority and all(name != b"host" for name, _ in headers):
        headers.insert(0, (b"host", rsgi.authority.encode("latin-1")))  # HTTP/2 has no Host header, ASGI requires it
    scope: dict[str, Any] = {
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": rsgi.http_version,
        "scheme": rsgi.scheme,
        "path": rsgi.path,
        "query_string": rsgi.query_string.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "server": address(rsgi.server, unix=True),
        "client": address(rsgi.client),
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


def address(spelled: str, *, unix: bool = False) -> tuple[str, int | None] | None:
    """Split ``address:port``.

    >>> address("[::1]:80")
    ('::1', 80)
    >>> address("/run/app.sock", unix=True)
    ('/run/app.sock', None)
    """
    host, separator, port = spelled.rpartition(":")
    if separator and port.isdecimal():
        return host.removeprefix("[").removesuffix("]"), int(port)
    return (spelled, None) if unix and spelled else None


def may_have_body(scope: RsgiScope) -> bool:
    """Tell whether a request without a declared length may have a body: if it is chunked, or over HTTP/2 or HTTP/3."""
    return scope.http_version.startswith(("2", "3")) or scope.headers.get("transfer-encoding") is not None


def response_fields(headers: Iterable[Sequence[bytes]]) -> RsgiFields:
    """Return headers as RSGI's strings, which granian writes as UTF-8."""
    spelled: RsgiFields = []
    for name, value in headers:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        spelled.append((name.decode("latin-1"), text))
    return spelled


def is_gone(error: Exception) -> bool:
    """Tell whether an error is granian's for a closed connection. The check by name avoids an import of granian."""
    return type(error).__name__ in ("RSGIProtocolClosed", "RSGIProtocolError")
