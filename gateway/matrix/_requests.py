"""The requests that the matrix sends: the built-in ones, and those of a user's file.

The built-in requests cover the points on which servers are known to disagree. Most of them carry the header
``x-gateway-matrix``: a small application around the user's answers them (``gateway.matrix._probe``), because a user's
application does not show what it has received. The others go to the user's application itself.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from gateway.errors import ConfigurationError

__all__ = ["BUILTIN", "PROBE", "How", "MatrixRequest", "read_requests"]

#: Header that selects a response of the probe.
PROBE = "x-gateway-matrix"
#: Way in which a client sends a request.
How = Literal["plain", "chunked", "expect", "again", "timed", "leave", "websocket"]


@dataclass(frozen=True)
class MatrixRequest:
    """One request.

    Attributes:
        name: Unique name.
        method: HTTP method.
        path: Request target as it is sent: percent-encoded path, and query.
        body: Request body.
        chunked: Send the body in chunks, without a length.
        headers: Further headers, in this order, as latin-1 text.
        probe: Response of the probe; empty if the request goes to the user's application.
        version: Version of HTTP.
        how: ``plain``; ``expect`` waits for 100 before the body; ``again`` sends it twice on a connection and compares
            the second response; ``timed`` notes whether the first chunk arrives before the last; ``leave`` closes the
            connection before the end and then sends it again; ``websocket`` opens a WebSocket and sends a message.
        only: Interface of the applications that it is for; empty for both.
        proxied: Send it through a proxy too. False if its result is a race there, between the server that refuses an
            upload and the proxy that forwards it.
    """

    name: str
    method: str = "GET"
    path: str = "/"
    body: bytes = b""
    chunked: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    probe: str = ""
    version: Literal["1.1", "1.0"] = "1.1"
    how: How = "plain"
    only: Literal["", "wsgi", "asgi"] = ""
    proxied: bool = True

    @property
    def sent_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers, with the one that selects the probe."""
        return (*((PROBE, self.probe),) * bool(self.probe), *self.headers)


_SMALL, _LARGE = bytes(range(256)) * 256, bytes(range(256)) * 12288
_TYPE = (("Content-Type", "application/octet-stream"),)

BUILTIN: tuple[MatrixRequest, ...] = (
    # The user's application.
    MatrixRequest("home"),
    MatrixRequest("home HEAD", "HEAD"),
    MatrixRequest("home POST", "POST", body=b"a=1", headers=(("Content-Type", "application/x-www-form-urlencoded"),)),
    MatrixRequest("missing page", path="/missing-page-of-the-matrix"),
    # How the path and the query arrive.
    MatrixRequest("query", path="/a?x=1&x=2&y=%C3%A9+%20&z", probe="facts"),
    MatrixRequest("encoded path", path="/a%20b/%C3%A9", probe="facts"),
    MatrixRequest("encoded slash", path="/a%2Fb%252F", probe="facts"),
    MatrixRequest("two slashes", path="//a//b", probe="facts"),
    MatrixRequest("dot segments", path="/a/../b/./c", probe="facts"),
    MatrixRequest("absolute target", path="http://localhost/a", probe="facts"),
    MatrixRequest("unknown method", "PURGE", path="/a", probe="facts"),
    # How headers arrive.
    MatrixRequest("repeated header", probe="facts", headers=(("X-Dup", "one"), ("X-Dup", "two"))),
    MatrixRequest("two Cookie headers", probe="facts", headers=(("Cookie", "a=1"), ("Cookie", "b=2"))),
    MatrixRequest("underscore in a header", probe="facts", headers=(("X_Under", "evil"),)),
    MatrixRequest("underscore beside a dash", probe="facts", headers=(("X-Under", "good"), ("X_Under", "evil"))),
    MatrixRequest("latin-1 header", probe="facts", headers=(("X-Latin", "caf\xe9"),)),
    MatrixRequest("empty header", probe="facts", headers=(("X-Empty", ""),)),
    MatrixRequest("long header", probe="facts", headers=(("X-Long", "x" * 6000),)),
    # How request bodies arrive.
    MatrixRequest("upload", "POST", body=_SMALL, probe="facts", headers=_TYPE),
    MatrixRequest("large upload", "POST", body=_LARGE, probe="facts", headers=_TYPE),
    MatrixRequest("upload without a type", "POST", body=b"hello", probe="facts"),
    MatrixRequest("empty upload", "POST", probe="facts", headers=(("Content-Length", "0"),)),
    MatrixRequest("chunked upload", "POST", body=_SMALL, chunked=True, probe="facts", headers=_TYPE),
    MatrixRequest("Expect: 100-continue", "POST", body=b"hello", probe="facts", how="expect", headers=_TYPE),
    MatrixRequest("upload that nobody reads", "POST", body=_LARGE, probe="unread", headers=_TYPE, proxied=False),
    # How responses arrive.
    MatrixRequest("stream", probe="stream"),
    MatrixRequest("stream at once", probe="timed", how="timed"),
    MatrixRequest("response headers", probe="headers"),
    MatrixRequest("large response", probe="large"),
    MatrixRequest("204", probe="204"),
    MatrixRequest("304", probe="304"),
    MatrixRequest("HEAD with a length", "HEAD", probe="length"),
    MatrixRequest("HEAD without a length", "HEAD", probe="stream"),
    MatrixRequest("exception", probe="error"),
    MatrixRequest("exception in the body", probe="cut"),
    # Connections.
    MatrixRequest("HTTP/1.0", probe="facts", version="1.0"),
    MatrixRequest("HTTP/1.0 stream", probe="stream", version="1.0"),
    MatrixRequest("second request of a connection", path="/a", probe="facts", how="again"),
    MatrixRequest("client that leaves in its upload", "POST", body=_SMALL, probe="facts", how="leave", headers=_TYPE),
    # ASGI.
    MatrixRequest("lifespan", probe="lifespan", only="asgi"),
    MatrixRequest("WebSocket", probe="websocket", how="websocket", only="asgi"),
    # Last, because a server may not survive it.
    MatrixRequest("path without UTF-8", path="/%FF", probe="facts"),
)


def read_requests(file: Path) -> tuple[MatrixRequest, ...]:
    """Read a user's requests: a TOML file with ``[[request]]`` tables, or a JSON file with a list.

    Each has ``path``, and may have ``name``, ``method``, ``headers`` (a table, or a list of pairs), ``body`` (text) and
    ``chunked``.

    Raises:
        ConfigurationError: The file cannot be read, or an entry is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content: Any = json.loads(text) if file.suffix == ".json" else tomllib.loads(text).get("request", [])
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--requests {file} cannot be read: {error}") from error
    if not isinstance(content, list) or not content:
        raise ConfigurationError(
            f'--requests {file} has no requests; write [[request]] tables (TOML) or a list (JSON), each with path = "/"'
        )
    found = tuple(_request(file, number, each) for number, each in enumerate(cast("list[object]", content), 1))
    names = [request.name for request in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"--requests {file}: several requests have the name {sorted(twice)[0]!r}")
    return found


def _request(file: Path, number: int, given: object) -> MatrixRequest:
    where = f"--requests {file}, request {number}"
    if not isinstance(given, dict):
        raise ConfigurationError(f"{where} must be a table, got {given!r}")
    entry = cast("Mapping[str, Any]", given)
    if extra := set(entry) - {"name", "method", "path", "headers", "body", "chunked"}:
        raise ConfigurationError(f"{where}: unknown key {sorted(extra)[0]!r}")
    path = entry.get("path")
    if not isinstance(path, str) or not path.startswith("/") or not path.isascii() or " " in path:
        raise ConfigurationError(f"{where}: path must be percent-encoded and start with '/', got {path!r}")
    method = entry.get("method", "GET")
    headers: Any = entry.get("headers", {})
    try:
        pairs: Any = headers.items() if isinstance(headers, dict) else headers  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # checked below
        checked = tuple((str(name), str(value)) for name, value in pairs)
        method.encode("ascii")
    except (TypeError, ValueError, AttributeError):
        raise ConfigurationError(f"{where}: method must be text, and headers a table or a list of pairs") from None
    return MatrixRequest(
        name=str(entry.get("name", f"{method} {path}")),
        method=method,
        path=path,
        headers=checked,
        body=str(entry.get("body", "")).encode(),
        chunked=bool(entry.get("chunked", False)),
    )
