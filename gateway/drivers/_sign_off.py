"""An application that took the connection from its WSGI server says that no response follows.

PEP 3333 does not provide for this. A WebSocket library writes its handshake to the server's socket, and later leaves
the server by a signal that this server knows. The signal is not a failure: a response after it would be written into
the open WebSocket. So the drivers pass it to the server unchanged, and no ``on_error`` sees it.

Only a request with an ``Upgrade`` header can end in this way. Otherwise ``StopIteration`` is a bug of the application,
often a ``next()`` that found nothing, and is handled like every other exception.

Sources: Gunicorn ``workers/gthread.py`` and ``base_async.py``; Werkzeug ``serving.py``; gevent ``pywsgi.py``;
flask-sock and simple-websocket, which return an empty body under every other server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.protocols import Environ

__all__ = ["may_sign_off", "signs_off"]

#: The environ key of a server's socket, and the exceptions after which this server writes nothing.
_SIGNALS: tuple[tuple[str, tuple[type[Exception], ...]], ...] = (
    ("gunicorn.socket", (StopIteration,)),
    # Exactly these classes: a refused or reset connection may be the application's own, to a database.
    ("werkzeug.socket", (ConnectionError, ConnectionAbortedError)),
)


def may_sign_off(environ: Environ) -> bool:
    """Return whether a request asks for another protocol on its connection (RFC 9110 section 7.8)."""
    return "HTTP_UPGRADE" in environ


def signs_off(environ: Environ, error: BaseException) -> bool:
    """Return whether an exception says that the application took the connection over.

    Args:
        environ: The request.
        error: The exception that the application's call raised before it gave a status.
    """
    if not may_sign_off(environ):
        return False
    if str(environ.get("SERVER_SOFTWARE", "")).startswith("gevent"):
        return type(error) is BrokenPipeError
    return any(key in environ and type(error) in signals for key, signals in _SIGNALS)
