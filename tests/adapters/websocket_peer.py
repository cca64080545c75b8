"""A WebSocket client at one end of a pair of sockets, and the call of a WSGI application at the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from wsproto import ConnectionType, WSConnection, events

from tests.adapters.asgi_under_wsgi import begin, make_environ

SECONDS = 20.0


class Peer:
    """A client at one end of a pair of sockets, and the WSGI call at the other, in a thread of its own."""

    def __init__(self, wsgi: Callable[..., Any], **changes: Any) -> None:
        self.socket, self.server = socket.socketpair()
        self.socket.settimeout(SECONDS)
        self._wsproto = WSConnection(ConnectionType.CLIENT)
        self.events: list[events.Event] = []
        request = self._wsproto.send(events.Request(host="example.org", target="/", subprotocols=["a", "b"]))
        fields = dict(line.split(": ") for line in request.decode().split("\r\n")[1:] if line)
        keys = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()}
        self.environ = make_environ(**keys, **{"gunicorn.socket": self.server, **changes})
        self._pool = ThreadPoolExecutor(1)
        self.call: Future[Any] = self._pool.submit(self._called, wsgi)

    def _called(self, wsgi: Callable[..., Any]) -> Any:
        try:
            response = begin(wsgi, self.environ)
            return int(response.status[:3]), b"".join(response), response.close()
        except StopIteration:
            return "left"

    def send(self, event: events.Event) -> None:
        self.socket.sendall(self._wsproto.send(event))

    def next(self) -> events.Event:
        while not self.events:
            data = self.socket.recv(65536)
            self._wsproto.receive_data(data or None)
            self.events += self._wsproto.events()
        return self.events.pop(0)

    def accepted(self) -> Peer:
        assert isinstance(self.next(), events.AcceptConnection)
        return self

    def closed(self, code: int) -> None:
        """Receive a Close and answer it."""
        close = self.next()
        assert isinstance(close, events.CloseConnection)
        assert close.code == code
        self.send(close.response())

    def left(self) -> None:
        assert self.call.result(SECONDS) == "left"

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()
        self._pool.shutdown()
        self.server.close()
