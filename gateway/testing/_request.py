"""Build an ASGI scope or a WSGI environ from a client's request, as a server does.

Pure functions: no IO, no state. They do not use `gateway.adapters`, because the clients test the adapters and must not
share tables with them.

Sources: ASGI HTTP 2.5 "HTTP Connection Scope", "WebSocket Connection Scope"; PEP 3333 "environ Variables", "Unicode
Issues"; RFC 9110 section 7.6.1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote, unquote, unquote_to_bytes
from wsgiref.types import InputStream

from gateway.errors import ConfigurationError
from gateway.protocols import Environ, Scope

__all__ = ["EXTENSIONS", "Head", "ServerSettings", "build_environ", "build_scope", "build_websocket_scope"]

RawHeaders = list[tuple[bytes, bytes]]

#: Short names of the extensions of the ASGI specification that a client understands.
EXTENSIONS: Mapping[str, str] = {
    "trailers": "http.response.trailers",
    "early_hint": "http.response.early_hint",
    "pathsend": "http.response.pathsend",
    "zerocopysend": "http.response.zerocopysend",
    "debug": "http.response.debug",
    "push": "http.response.push",
}

# A server decodes the body (ASGI HTTP: "already de-chunked"; PEP 3333 "Other HTTP Features"). Servers pass the other
# headers of a connection on, such as Connection and Upgrade.
_DECODED = b"transfer-encoding"
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The client's settings in its role as server: facts of the connection and of a server's configuration."""

    root_path: str = ""
    client: tuple[str, int] | None = ("127.0.0.1", 50000)
    http_version: str = "1.1"
    scheme: str | None = None
    extensions: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise ConfigurationError(
                f"root_path must be empty or start with '/' and not end with one, got {self.root_path!r} "
                "(ASGI HTTP: root_path)"
            )
        for name in self.extensions:
            if name not in EXTENSIONS and name not in EXTENSIONS.values():
                raise ConfigurationError(
                    f"extensions=(...) has an unknown name {name!r}; possible names: {', '.join(EXTENSIONS)}"
                )

    def extension_names(self) -> dict[str, dict[str, object]]:
        """Return the value of ``scope["extensions"]``, new for each scope."""
        return {EXTENSIONS.get(name, name): {} for name in self.extensions}


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and headers of one request, as they would come over the wire."""

    method: str
    scheme: str
    host: str
    port: int | None
    raw_path: bytes
    query: bytes
    headers: RawHeaders

    @classmethod
    def of(cls, method: str, scheme: str, host: str, port: int | None, target: bytes, headers: RawHeaders) -> Head:
        """Split a request target into path and query, and drop the header of the decoded transfer."""
        raw_path, _, query = target.partition(b"?")
        kept = [(name.lower(), value) for name, value in headers if name.lower() != _DECODED]
        return cls(method, scheme, host, port, raw_path or b"/", query, kept)


def _split_mount(raw_path: bytes, root_path: str) -> tuple[bytes, bytes]:
    """Return ``(mount, rest)``, percent-encoded. The mount is not added again to a path that begins with it."""
    if not root_path or raw_path == b"*":  # "*" addresses the server, not a path in it
        return b"", raw_path
    mount = quote(root_path, safe="/~!$&'()*+,;=:@").encode("ascii")
    if raw_path == mount or raw_path.startswith(mount + b"/"):
        return mount, raw_path[len(mount) :]
    return mount, raw_path


def _connection(head: Head, settings: ServerSettings, scheme: str, state: Mapping[str, object] | None) -> Scope:
    mount, rest = _split_mount(head.raw_path, settings.root_path)
    raw_path = mount + rest
    scope: Scope = {
        "http_version": settings.http_version,
        "scheme": scheme,
        "path": unquote(raw_path.decode("latin-1"), encoding="utf-8", errors="replace"),
        "raw_path": raw_path,
        "query_string": head.query,
        "root_path": settings.root_path,
        "headers": list(head.headers),
        "client": settings.client,
        "server": (head.host, head.port if head.port is not None else _PORTS.get(scheme, 80)),
        "extensions": settings.extension_names(),
    }
    if state is not None:
        # "a shallow copy of the namespace" for each request (ASGI Lifespan, "Lifespan State").
        scope["state"] = dict(state)
    return scope


def build_scope(
    head: Head, settings: ServerSettings, state: Mapping[str, object] | None = None, *, spec_version: str = "2.5"
) -> Scope:
    """Build the scope of an HTTP request.

    ``spec_version`` is 2.3 if only an event reports a disconnect, because since 2.4 ``send()`` has to raise.
    """
    scope = _connection(head, settings, settings.scheme or head.scheme, state)
    scope["type"] = "http"
    scope["asgi"] = {"version": "3.0", "spec_version": spec_version}
    scope["method"] = head.method.upper()  # "uppercased" (ASGI HTTP); WSGI has no such rule
    return scope


def build_websocket_scope(
    head: Head,
    settings: ServerSettings,
    subprotocols: Iterable[str],
    state: Mapping[str, object] | None = None,
    *,
    spec_version: str = "2.5",
) -> Scope:
    """Build the scope of a WebSocket handshake."""
    scheme = {"http": "ws", "https": "wss"}.get(settings.scheme or head.scheme, settings.scheme or head.scheme)
    scope = _connection(head, settings, scheme, state)
    scope["type"] = "websocket"
    scope["asgi"] = {"version": "3.0", "spec_version": spec_version}
    scope["subprotocols"] = list(subprotocols)
    scope["extensions"] = {"websocket.http.response": {}}
    return scope


def build_environ(
    head: Head,
    settings: ServerSettings,
    *,
    body: InputStream,
    errors: IO[str] | None = None,
) -> Environ:
    """Build the environ of a request: native strings that hold latin-1, for any path."""
    mount, rest = _split_mount(head.raw_path, settings.root_path)
    scheme = settings.scheme or head.scheme
    port = head.port if head.port is not None else _PORTS.get(scheme, 80)
    environ: Environ = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": unquote_to_bytes(mount).decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(rest).decode("latin-1"),
        "QUERY_STRING": head.query.decode("latin-1"),
        "SERVER_NAME": head.host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{settings.http_version}",
        "RAW_URI": (mount + rest + (b"?" + head.query if head.query else b"")).decode("latin-1"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": body,
        "wsgi.errors": errors if errors is not None else sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    if settings.client is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = settings.client[0], str(settings.client[1])
    for name, value in head.headers:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            # RFC 9110 section 5.3 joins with a comma; RFC 9113 section 8.2.3 joins cookies with a semicolon.
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
    return environ
