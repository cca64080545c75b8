"""``environ["wsgi.websocket"]``: the WebSocket object that code written for gevent-websocket looks for.

gevent-websocket accepts every handshake and hands the application an open WebSocket. Here the first call of a method
accepts, on the socket that the application has anyway. So an application that does not use the object can still refuse
the handshake, or take the socket itself. No subprotocol is chosen.

All methods block. Any thread may send; one thread at a time may receive.

Source: gevent-websocket 0.10 ``websocket.py``, for the names of the methods and the values that they return.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections import deque
from contextlib import suppress

from gateway.adapters.websocket._fragments import Fragments
from gateway.adapters.websocket._wsproto import ConnectionType, WSConnection, events
from gateway.protocols import Environ

_READ_BYTES = 64 * 1024


class BlockingWebSocket:
    """A WebSocket with blocking methods.

    Attributes:
        closed: The WebSocket is closed, by either side.
    """

    def __init__(self, sock: socket.socket, environ: Environ) -> None:
        self.closed: bool = False
        self._socket = sock
        self._request = [
            (key[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
            for key, value in environ.items()
            if key.startswith("HTTP_")
        ]
        self.origin: str | None = environ.get("HTTP_ORIGIN")
        self.path: str = environ.get("PATH_INFO", "")
        self.protocol: str | None = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")
        self.version: str = "13"
        self._lock = threading.Lock()
        self._messages: deque[str | bytes] = deque()
        self._fragments = Fragments(None)  # the server has joined and limited the client's messages
        self._wsproto: WSConnection | None = None

    def receive(self) -> str | bytes | None:
        """Wait for a message; None if the WebSocket closes.

        Raises:
            OSError: The WebSocket is closed already; ``WebSocketError`` of gevent-websocket if that is imported.
        """
        with self._lock:
            self._opened()
        while not self._messages and not self.closed:
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError:
                data = b""
            with self._lock:
                self._take(data)
        return self._messages.popleft() if self._messages else None

    def send(self, message: str | bytes, binary: bool | None = None) -> None:
        """Send a message: text if it is a str, unless ``binary`` says otherwise.

        Raises:
            OSError: The WebSocket is closed; ``WebSocketError`` of gevent-websocket if that is imported.
        """
        if binary is None:
            binary = not isinstance(message, str)
        event: events.Event
        if binary:
            event = events.BytesMessage(data=message.encode() if isinstance(message, str) else bytes(message))
        else:
            event = events.TextMessage(data=message if isinstance(message, str) else bytes(message).decode())
        with self._lock:
            wsproto = self._opened()
            try:
                self._socket.sendall(wsproto.send(event))
            except OSError as error:
                self.closed = True
                raise _error("the WebSocket is closed") from error

    def close(self, code: int = 1000, message: str | bytes = "") -> None:
        """Close the WebSocket. Does nothing if it is closed."""
        reason = message if isinstance(message, str) else message.decode("utf-8", "replace")
        with self._lock:
            if self.closed:
                return
            wsproto = self._opened()
            self.closed = True
            with suppress(OSError):  # the client has left
                self._socket.sendall(wsproto.send(events.CloseConnection(code=code, reason=reason or None)))

    def _opened(self) -> WSConnection:
        """Accept the handshake at the first call."""
        if self.closed:
            raise _error("the WebSocket is closed")
        if self._wsproto is None:
            wsproto = WSConnection(ConnectionType.SERVER)
            wsproto.initiate_upgrade_connection(self._request, "/")
            list(wsproto.events())  # discard the event of the request
            self._socket.sendall(wsproto.send(events.AcceptConnection()))
            self._wsproto = wsproto
        return self._wsproto

    def _take(self, data: bytes) -> None:
        wsproto = self._wsproto
        if not data or wsproto is None:
            self.closed = True
            return
        wsproto.receive_data(data)
        for event in wsproto.events():
            if isinstance(event, (events.TextMessage, events.BytesMessage)):
                message = self._fragments.add(event)
                if message is not None:
                    self._messages.append(message)
            elif isinstance(event, events.CloseConnection):
                if not self.closed:
                    self.closed = True
                    with suppress(OSError):
                        self._socket.sendall(wsproto.send(event.response()))
                return


def _error(reason: str) -> OSError:
    """Return gevent-websocket's error if the application has imported it; it is an OSError too."""
    kind: type[OSError] = getattr(sys.modules.get("geventwebsocket.exceptions"), "WebSocketError", OSError)
    return kind(reason)
