"""Which WSGI servers hand over the socket of a request, and how an application leaves once it has taken it.

A WSGI application has no word for "this connection is mine now", so each server is left in its own way: by an exception
that it takes for the end of the connection, after which it writes nothing and reads nothing.

What is handed over is the socket alone. Bytes that the server had read beyond the request stay with it, which is
harmless: a client sends nothing before it has the answer to its handshake (RFC 6455 section 4.1).

Sources: Gunicorn ``workers/gthread.py``; Werkzeug ``serving.py``. Each is tried in
``tests/adapters/test_websockets_live.py``.
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

#: Names of servers for people, in the order of the table.
SERVERS = ("gunicorn (gthread workers)", "Werkzeug")


@dataclass(frozen=True)
class Taken:
    """A socket that a server handed over.

    Attributes:
        socket: The server's own object.
        leave: Makes the exception by which the server is left.
    """

    socket: Any
    leave: Callable[[], Exception]


@dataclass(frozen=True)
class _Source:
    find: Callable[[Environ], Any]
    leave: Callable[[], Exception]


def _gunicorn_socket(environ: Environ) -> Any:
    # The sync worker has it too; there a WebSocket would be the only request, until --timeout kills the worker with it.
    return environ.get("gunicorn.socket") if environ.get("wsgi.multithread") else None


_SOURCES = (
    _Source(_gunicorn_socket, lambda: StopIteration("the WebSocket has ended")),
    _Source(lambda environ: environ.get("werkzeug.socket"), lambda: ConnectionAbortedError("the WebSocket has ended")),
)


def take(environ: Environ) -> Taken | None:
    """Return the socket of a request, None where it cannot be had or not be watched."""
    if sys.platform == "win32":  # asyncio's own loop there watches no descriptors
        return None
    for source in _SOURCES:
        found = source.find(environ)
        if found is not None:
            return Taken(found, source.leave)
    return None


def duplicate(server_socket: Any) -> Any:
    """Return a socket on the same connection for the loop alone, which does not block.

    It is on a descriptor of its own: whatever the server does with its socket, the loop never watches a number that
    belongs to another connection by then. TLS has its state in the server's object, so there that object is used
    itself.
    """
    if isinstance(server_socket, ssl.SSLSocket) or hasattr(server_socket, "_sslobj"):
        server_socket.settimeout(0)
        return server_socket
    own = socket.socket(fileno=os.dup(server_socket.fileno()))
    own.setblocking(False)
    return own
