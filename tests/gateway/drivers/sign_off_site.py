"""Applications that take their server's socket over, behind middleware, for real WSGI servers.

``wsgi`` does by hand what flask-sock and simple-websocket do; ``mounted`` has an ASGI application inside a ``Mount``.
"""

from __future__ import annotations

from socket import SHUT_RD
from typing import Any

from wsproto import ConnectionType, WSConnection, events
from wsproto.utilities import RemoteProtocolError

from gateway import Gateway, Mount
from gateway.chain import asgi_only
from gateway.contract import Middleware
from gateway.middleware import AccessLog, Compression, ConditionalGet, Errors, RequestId


def chain() -> list[Middleware]:
    return [RequestId(), AccessLog(), Compression(), ConditionalGet(), Errors()]


def plain(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


def echoes(environ: Any, start_response: Any) -> Any:
    """Echo one text message over a WebSocket, then close it and leave the server."""
    if "HTTP_UPGRADE" not in environ:
        return plain(environ, start_response)
    socket, leave = _taken(environ)
    wire = WSConnection(ConnectionType.SERVER)
    fields = [
        (name[5:].replace("_", "-").lower().encode(), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    wire.initiate_upgrade_connection(fields, environ["PATH_INFO"])
    socket.sendall(wire.send(events.AcceptConnection()))
    try:
        while True:
            for event in wire.events():
                if isinstance(event, events.TextMessage):
                    socket.sendall(wire.send(events.TextMessage(data=event.data)))
                elif isinstance(event, events.CloseConnection):
                    socket.sendall(wire.send(event.response()))
                    # The server finds the end of the connection, and a response could still be written.
                    socket.shutdown(SHUT_RD)
                    return leave()
            wire.receive_data(socket.recv(65536) or None)
    except (OSError, RemoteProtocolError):
        return leave()


def _taken(environ: Any) -> Any:
    """Return the socket, and how its server is left."""

    def stop() -> Any:
        raise StopIteration

    def drop() -> Any:
        raise ConnectionError

    if "gunicorn.socket" in environ:
        return environ["gunicorn.socket"], stop
    if "werkzeug.socket" in environ:
        return environ["werkzeug.socket"], drop
    return environ["wsgi.input"].raw._sock, list  # gevent.pywsgi


async def socketed(scope: Any, receive: Any, send: Any) -> None:
    """Echo; on HTTP say so."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"http"})
        return
    if scope["type"] != "websocket":
        raise RuntimeError("no lifespan")
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


wsgi = Gateway(echoes, middleware=chain())


class Passing:
    """Somebody's ASGI middleware, which makes a Gateway put an adapter on either side of it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def __getattr__(name: str) -> object:
    """Make an object with ASGI inside when a server asks for it: gevent refuses one as soon as it is made."""
    if name == "mounted":
        return Gateway(Mount({"/ws": Gateway(socketed, websockets=True), "/": plain}), middleware=chain())
    if name == "twice":
        return Gateway(echoes, middleware=[asgi_only(Passing), *chain()])
    raise AttributeError(name)
