"""WSGI servers that hand over the socket of a request, and how an application returns once it has taken the socket.

WSGI has no way to take over a connection, so each server needs its own way to end the call. The application raises an
exception that the server handles as the end of the connection. After it, the server neither writes nor reads.

Only the socket is handed over. The server keeps any bytes that it has read beyond the request. That is harmless,
because a client sends nothing before it has the response to its handshake (RFC 6455 section 4.1).

Sources: Gunicorn ``workers/gthread.py``; Werkzeug ``serving.py``. The tests in
``tests/adapters/test_websockets_live.py`` run with each of them.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.protocols import Environ

#: Names of the servers for error texts, in the order of `_SOURCES`.
SERVERS = ("gunicorn (gthread workers)", "Werkzeug")


@dataclass(frozen=True)
class Taken:
    """A socket that a server handed over.

    Attributes:
        socket: The server's own object.
        leave: Makes the exception that ends the call in the server.
    """

    socket: Any
    leave: Callable[[], Exception]


@dataclass(frozen=True)
class _Source:
    find: Callable[[Environ], Any]
    leave: Callable[[], Exception]


def _gunicorn_socket(environ: Environ) -> Any:
    # The sync worker has the socket too. But a WebSocket would block its only thread, until --timeout kills the worker.
    return environ.get("gunicorn.socket") if environ.get("wsgi.multithread") else None


_SOURCES = (
    _Source(_gunicorn_socket, lambda: StopIteration("the WebSocket has ended")),
    _Source(lambda environ: environ.get("werkzeug.socket"), lambda: ConnectionAbortedError("the WebSocket has ended")),
)


def take(environ: Environ) -> Taken | None:
    """Return the socket of a request, or None if the server does not offer it or the loop cannot watch it."""
    if sys.platform == "win32":  # asyncio's default loop there cannot watch descriptors
        return None
    for source in _SOURCES:
        found = source.find(environ)
        if found is not None:
            return Taken(found, source.leave)
    return None


def duplicate(server_socket: Any) -> Any:
    """Return a non-blocking socket on the same connection, for the loop alone.

    It has a descriptor of its own. So if the server closes its socket, the loop never watches a number that has become
    another connection's. The state of TLS is in the server's object, so with TLS that object itself is returned.
    """
    if isinstance(server_socket, ssl.SSLSocket) or hasattr(server_socket, "_sslobj"):
        server_socket.settimeout(0)
        return server_socket
    own = socket.socket(fileno=os.dup(server_socket.fileno()))
    own.setblocking(False)
    return own
