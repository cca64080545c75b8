"""The two ends of a connection: client, server, scheme and version of HTTP, and their CGI variables.

Servers differ: some give no ``server`` at all, the path of a unix socket, or ports as text. CGI needs text, never empty
for ``SERVER_NAME`` and ``SERVER_PORT``. ASGI needs numbers, or ``None``. CGI has no text for a client without an
address (on a unix socket), so each WSGI server invented its own. This module knows all of them.

Sources: PEP 3333 "environ Variables"; RFC 3875 sections 4.1 and 4.1.8; ASGI HTTP 2.4 ``client``, ``server``,
``http_version``; measured with gunicorn 27, waitress 3.0, Werkzeug 3.1, pyuwsgi 2.0.30, cheroot 11, granian 2.8,
gevent 26 and wsgiref.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "connection_scheme",
    "http_version",
    "peer",
    "port_number",
    "scope_client",
    "scope_version",
    "server_address",
    "server_endpoint",
    "server_name",
    "server_protocol",
]

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
#: Values of REMOTE_ADDR that are not a client's address, and may mean a unix socket.
_NAMES = frozenset({"localhost", "<local>", "0.0.0.0"})


def server_protocol(http_version: str) -> str:
    """Return ``SERVER_PROTOCOL`` for an ASGI version; the inverse of `http_version`.

    >>> server_protocol("2")
    'HTTP/2'
    """
    return _PROTOCOLS.get(http_version) or f"HTTP/{http_version}"


def http_version(server_protocol: str) -> str:
    """Return the ASGI version for ``SERVER_PROTOCOL``; "1.1" if it is not an HTTP version.

    >>> http_version("HTTP/2.0"), http_version("INCLUDED")
    ('2', '1.1')
    """
    found = _VERSIONS.get(server_protocol)
    if found is None:
        name, _, version = server_protocol.partition("/")
        found = version if name == "HTTP" and version.replace(".", "", 1).isdecimal() and version.isascii() else "1.1"
    return found


def scope_version(version: str) -> str:
    """Return the version of a scope in the specification's spelling.

    >>> scope_version("2.0"), scope_version("1.1")
    ('2', '1.1')
    """
    return version if version in _PROTOCOLS else http_version(f"HTTP/{version}")


def scope_client(client: Sequence[Any] | None) -> tuple[str, int] | None:
    """Return address and port of a scope's client. The port is 0 if it is unknown. None for a unix socket."""
    if not client or not client[0] or str(client[0]).startswith("/"):
        return None
    return str(client[0]), port_number(client[1]) or 0


def peer(environ: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return address and port of the client of the connection; port 0 if the server does not give it.

    Returns:
        None for the client of a unix socket, which has no address.

    >>> peer({"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4711"}), peer({"REMOTE_ADDR": ""})
    (('192.0.2.7', 4711), None)
    """
    address: str | None = environ.get("REMOTE_ADDR")
    if not address or address.startswith("/") or (address in _NAMES and _is_unix(address, environ)):
        return None
    return address, port_number(environ.get("REMOTE_PORT")) or 0


def _is_unix(address: str, environ: Mapping[str, Any]) -> bool:
    # Each name counts only together with another mark of its server. An outer middleware may have copied a header into
    # REMOTE_ADDR, and a client must not pass for the client of a unix socket that way.
    if address == "localhost":  # waitress: str() of the port None
        return environ.get("REMOTE_PORT") == "None"
    if address == "<local>":  # Werkzeug
        return "werkzeug.socket" in environ
    return "uwsgi.version" in environ  # inet_ntoa() of a socket that is not an internet socket


def connection_scheme(environ: Mapping[str, Any]) -> str:
    """Return the scheme of the connection, whatever the headers of the request are.

    uWSGI takes the scheme from ``X-Forwarded-Proto`` and ``X-Forwarded-SSL`` of any client, and has no option against
    it. But it keeps the variables that uWSGI itself, or NGINX with ``uwsgi_pass``, sets.

    >>> connection_scheme({"wsgi.url_scheme": "https", "uwsgi.version": b"2.0.30"})
    'http'
    """
    if "uwsgi.version" not in environ:
        return str(environ.get("wsgi.url_scheme") or "http")
    secure = str(environ.get("HTTPS", "")).lower() in ("on", "1")
    return str(environ.get("UWSGI_SCHEME") or ("https" if secure else "http"))


def port_number(port: object) -> int | None:
    """Return a port given as number or text, None if it is neither.

    >>> port_number("8000"), port_number(""), port_number("t")
    (8000, None, None)
    """
    if isinstance(port, int):
        return port
    if isinstance(port, str) and port.isascii() and port.isdecimal():
        return int(port)
    return None


def server_endpoint(server: Sequence[Any] | None, scheme: str) -> tuple[str, int]:
    """Return name and port of the server; ``localhost`` and the scheme's port if they are unknown.

    >>> server_endpoint(("example.com", None), "https")
    ('example.com', 443)
    """
    name, port = server_name(server, scheme)
    return name, int(port)


def server_name(server: Sequence[object] | None, scheme: str) -> tuple[str, str]:
    """Return ``(SERVER_NAME, SERVER_PORT)``, never empty.

    A unix socket has a path and no port. The name is then ``localhost``, and the port is the scheme's.

    >>> server_name(("/run/app.sock", None), "https")
    ('localhost', '443')
    """
    if server and len(server) > 1:
        host, port = server[0], port_number(server[1])
        if host and port is not None:
            return str(host), str(port)
    default = _DEFAULT_PORTS.get(scheme, "80")
    host = str(server[0] or "") if server else ""
    return (host, default) if host and not host.startswith(("/", "unix:")) else ("localhost", default)


@functools.lru_cache(maxsize=256)  # one server has few addresses, and each request needs one
def server_address(name: str, port: str) -> tuple[str, int | None] | None:
    """Return ASGI's ``server`` for ``SERVER_NAME`` and ``SERVER_PORT``, the inverse of `server_name`."""
    return (name, port_number(port)) if name else None
