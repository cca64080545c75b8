"""WSGI: whether the client of one request is gone, decided here for the drivers and the adapters.

PEP 3333 has no event for it. Three things tell:

- a read of ``wsgi.input`` raises ``OSError``, or ends before the declared length (:class:`RequestInput`);
- the server's ``write``, or the server itself, stops before the response is complete (known to the driver or adapter);
- the connection, if the server gives it away (:func:`asking`). Its other end is closed, or half closed, as soon
  as the kernel says so, even if bytes wait to be read. Behind a proxy it is the connection of the proxy, which closes
  it when its own client leaves.

A client that closes only its sending side counts as gone, as on the ASGI servers.

Sources: PEP 3333 "Input and Error Streams"; poll(2) POLLRDHUP; waitress ``waitress.client_disconnected``; uWSGI
``connection_fd``; gunicorn ``gunicorn.socket``; Werkzeug ``werkzeug.socket``.
"""

from __future__ import annotations

import functools
import select
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.client import ClientGone

if TYPE_CHECKING:
    from gateway.protocols import Environ

__all__ = ["KEY", "RequestInput", "asking", "for_server", "offer", "unknown"]

#: The key of the environ whose value tells a synchronous application whether its client is gone.
KEY: Final = "gateway.disconnected"
#: Keys of servers that give their socket away.
_SOCKETS: Final = ("gunicorn.socket", "werkzeug.socket")
#: Events of a connection whose other end is closed. Linux reports the first even while bytes wait to be read.
#: 0 on systems without the first.
_CLOSED: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR if hasattr(select, "POLLRDHUP") else 0


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class RequestInput:
    """Reads of one ``wsgi.input``, never past its end.

    Attributes:
        left: Bytes that have not been read; ``None`` if the stream ends by itself.
        ended: Whether the end was reached.
        gone: Whether a read told that the client is gone: it raised ``OSError``, or ended too early.
    """

    __slots__ = ("ended", "gone", "left")

    def __init__(self, left: int | None) -> None:
        self.left: int | None = left
        self.ended: bool = False
        self.gone: bool = False

    def read(self, read: Callable[[int], bytes], size: int) -> bytes:
        """Return up to ``size`` bytes of one call of ``read``; ``b""`` at the end."""
        left = self.left
        if left is not None and size > left:
            size = left
        try:
            data = read(size) if size else b""
        except OSError:
            self.gone = True
            raise
        if left is not None:
            left = self.left = left - len(data)
            self.gone = not data and left > 0
        self.ended = not data or left == 0
        return data


def asking(environ: Environ) -> Callable[[], bool | None]:
    """Return the function for :data:`KEY`: the one in the environ, else one that asks the server's connection."""
    known: Callable[[], bool | None] | None = environ.get(KEY)
    if known is not None:
        return known
    connection = _connection(environ)
    return unknown if connection is None else functools.partial(_is_closed, connection)


def offer(environ: Environ) -> None:
    """Give :data:`KEY` to the application."""
    if KEY not in environ:
        environ[KEY] = asking(environ)


def for_server(error: ClientGone, environ: Environ) -> ClientGone:
    """Return the error as a kind that the server does not take for a fault of the application.

    ``errno`` is enough for most. waitress has an exception of its own.
    """
    waitress: Any = sys.modules.get("waitress.channel")
    if waitress is None or "waitress.client_disconnected" not in environ:
        return error
    return _kind(waitress.ClientDisconnected)("before the response was complete")


@functools.cache
def _kind(exception: type[Exception]) -> type[ClientGone]:
    return type("ClientGone", (ClientGone, exception), {})


def unknown() -> None:
    """Say that nothing tells whether the client is gone."""


def _connection(environ: Environ) -> _HasDescriptor | None:
    """Return the client's connection, if the server gives it away."""
    for key in _SOCKETS:
        if key in environ:
            found = environ[key]
            return found if hasattr(found, "fileno") else None
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    if channel is not None:  # waitress's own function answers only if the server reads ahead
        return getattr(channel, "socket", None)
    if "uwsgi.version" in environ:
        return _UwsgiConnection(sys.modules["uwsgi"].connection_fd())
    return None


class _UwsgiConnection:
    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


def _is_closed(connection: _HasDescriptor) -> bool | None:
    """Return whether the other end of a connection is closed; ``None`` if this system does not say it."""
    try:
        number = connection.fileno()
    except (OSError, ValueError):
        return True
    if number < 0:  # the server has closed it
        return True
    poll = _poll() if _CLOSED else None
    if poll is None:
        return _is_at_end(connection)
    watched = poll()
    watched.register(number, _CLOSED)
    return bool(watched.poll(0))


def _poll() -> Callable[[], select.poll] | None:
    """Return the system's ``poll``: gevent and eventlet put functions in its place that do not know these events."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None:
        original: Callable[[], select.poll] = monkey.get_original("select", "poll")
        return original
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None:
        return getattr(patcher.original("select"), "poll", None)
    return select.poll


def _is_at_end(connection: object) -> bool | None:
    """Return whether a read would find the end. Bytes of a next request hide it, and TLS does not allow to look."""
    if type(connection) is not socket.socket:
        return None
    try:
        return not connection.recv(1, socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0))
    except BlockingIOError:
        return False
    except OSError:
        return True
