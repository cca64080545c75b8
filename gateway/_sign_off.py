"""An application that took the connection from its WSGI server says that no response follows.

PEP 3333 does not provide for this. A WebSocket library writes its handshake to the server's socket, and later leaves
the server by a signal that this server knows. The signal is not a failure: a response after it would be written into
the open WebSocket. So drivers and adapters pass it to the server unchanged, and no ``on_error`` sees it.

Only a request with an ``Upgrade`` header can end in this way. Otherwise ``StopIteration`` is a bug of the application,
often a ``next()`` that found nothing, and is handled like every other exception.

Sources: Gunicorn ``workers/gthread.py`` and ``base_async.py``; Werkzeug ``serving.py``; gevent ``pywsgi.py``;
flask-sock and simple-websocket, which return an empty body under every other server.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SignedOff", "may_sign_off", "signs_off"]

#: The environ key of a server's socket, and the exceptions after which this server writes nothing.
_SIGNALS: tuple[tuple[str, tuple[type[Exception], ...]], ...] = (
    ("gunicorn.socket", (StopIteration,)),
    # Exactly these classes: a refused or reset connection may be the application's own, to a database.
    ("werkzeug.socket", (ConnectionError, ConnectionAbortedError)),
)


def may_sign_off(environ: Mapping[str, object]) -> bool:
    """Return whether a request asks for another protocol on its connection (RFC 9110 section 7.8)."""
    return "HTTP_UPGRADE" in environ


def signs_off(environ: Mapping[str, object], error: BaseException) -> bool:
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


class SignedOff(BaseException):
    """The signal of an application that took the connection over, on its way through a coroutine.

    A coroutine cannot raise a StopIteration (PEP 479), and code in between must not take the signal for an error. So
    the adapter inside raises this, and the adapter outside raises ``signal`` to the WSGI server.
    """

    def __init__(self, signal: BaseException) -> None:
        super().__init__(signal)
        self.signal = signal
