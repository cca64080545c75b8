"""The server's address and the version of HTTP: ``server``, ``http_version`` and their CGI variables.

Servers differ: no ``server`` at all, a unix socket's path, ports as text. CGI wants text, never empty
for ``SERVER_NAME`` and ``SERVER_PORT``; ASGI wants numbers, or ``None``.

Sources: PEP 3333 "environ Variables"; RFC 3875 section 4.1; ASGI HTTP 2.4 ``server``, ``http_version``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from gateway.translate.peer import port_number

__all__ = ["http_version", "server_address", "server_name", "server_protocol"]

_PROTOCOLS = {"1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2", "3": "HTTP/3"}
_VERSIONS = {
    "HTTP/1.0": "1.0",
    "HTTP/1.1": "1.1",
    "HTTP/2": "2",
    "HTTP/2.0": "2",
    "HTTP/3": "3",
    "HTTP/3.0": "3",
}
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def server_protocol(http_version: str) -> str:
    """Return ``SERVER_PROTOCOL`` of an ASGI version; `http_version` undoes it.

    >>> server_protocol("2")
    'HTTP/2'
    """
    return _PROTOCOLS.get(http_version) or f"HTTP/{http_version}"


def http_version(server_protocol: str) -> str:
    """Return the ASGI version of ``SERVER_PROTOCOL``; what is none of HTTP counts as 1.1.

    >>> http_version("HTTP/2.0"), http_version("INCLUDED")
    ('2', '1.1')
    """
    found = _VERSIONS.get(server_protocol)
    if found is None:
        name, _, version = server_protocol.partition("/")
        found = version if name == "HTTP" and version.replace(".", "", 1).isdecimal() and version.isascii() else "1.1"
    return found


def server_name(server: Sequence[object] | None, scheme: str) -> tuple[str, str]:
    """Return ``(SERVER_NAME, SERVER_PORT)``, never empty.

    A unix socket has a path and no port: the name is then ``localhost`` and the port the scheme's.

    >>> server_name(("/run/app.sock", None), "https")
    ('localhost', '443')
    """
    if server and len(server) > 1:
        host, port = server[0], port_number(server[1])
        if host and port is not None:
            return str(host), str(port)
    default = _DEFAULT_PORTS.get(scheme, "80")
    host = str(server[0]) if server else ""
    return (host, default) if host and not host.startswith(("/", "unix:")) else ("localhost", default)


@functools.lru_cache(maxsize=256)  # one server has few, and each request asks
def server_address(name: str, port: str) -> tuple[str, int | None] | None:
    """Return ASGI's ``server`` of ``SERVER_NAME`` and ``SERVER_PORT``, the inverse of `server_name`."""
    return (name, port_number(port)) if name else None
