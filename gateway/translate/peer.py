"""The client address and the scheme of a connection, as WSGI servers spell them.

A WSGI server has one text for the client's address. CGI has no text for a client without an address (on a unix socket),
so each server invented its own. This module knows all of them, for the view of a request and for the adapter.
It does no IO and keeps no state.

Sources: RFC 3875 section 4.1.8; measured with gunicorn 27, waitress 3.0, Werkzeug 3.1, pyuwsgi 2.0.30, cheroot 11,
granian 2.8, gevent 26 and wsgiref.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["connection_scheme", "peer", "port_number"]

#: Values of REMOTE_ADDR that are not a client's address, and may mean a unix socket.
_NAMES = frozenset({"localhost", "<local>", "0.0.0.0"})


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
