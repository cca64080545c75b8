"""Handshakes of WebSockets for a WSGI application under an ASGI server: their threads, and their requests.

The application receives a handshake as an ordinary HTTP/1.1 request with a socket; `_websocket` serves it.

An open WebSocket holds a thread. So WebSockets have threads of their own, up to a limit, beside those of requests: idle
WebSockets never keep a request waiting. A thread ends with its WebSocket.

Sources: RFC 6455 section 4.1; ASGI WebSocket 2.5, extension "WebSocket Denial Response".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from wsgiref.types import WSGIApplication

from gateway.adapters.hand_off._ports import AsyncioPort, Port, PortsByLoop
from gateway.adapters.websocket._protocol import NORMAL
from gateway.adapters.wsgi_to_asgi._pair import PairSession
from gateway.adapters.wsgi_to_asgi._websocket import SocketCycle
from gateway.errors import ServerError
from gateway.loops import in_trio
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope

_log = logging.getLogger("gateway.adapters")


class WebSockets:
    """The WebSockets of one WSGI application, and their threads.

    Args:
        app: The application.
        threads: Maximum number of WebSockets at once, per event loop.
        high: Maximum size of the buffer for a response that refuses a handshake.
    """

    def __init__(self, app: WSGIApplication, *, threads: int, high: int) -> None:
        self._app = app
        self._threads = threads
        self._high = high
        self._ports = PortsByLoop()
        self._logged: set[str] = set()

    @property
    def ports(self) -> list[Port]:
        """The ports, one for each loop."""
        return self._ports.all

    def drop(self) -> None:
        """Forget the running loop. Threads of open WebSockets run on."""
        self._ports.drop()

    async def serve(
        self, scope: Scope, receive: ASGIReceive, send: ASGISend, environ_of: Callable[[Scope], Environ]
    ) -> None:
        """Serve one scope of type ``websocket``; ``environ_of`` makes the environ of a request scope."""
        if (await receive())["type"] != "websocket.connect":
            return  # the client has left
        if in_trio():
            reason = "WebSockets of a WSGI application need an asyncio loop, and trio runs here."
            self._log_once("a WebSocket was refused: %s", reason)
            await deny(scope, send, 501, reason)
            return
        port = self._ports.current(_new_port)
        assert isinstance(port, AsyncioPort)  # narrows the type
        if port.workers.pending >= self._threads:
            self._log_once(
                "a WebSocket was refused with 503, because %d are open on this event loop; raise the limit with "
                "Gateway(app, websockets=True, adapter=AdapterOptions(websocket_threads=...))",
                self._threads,
            )
            await deny(scope, send, 503, "Too many WebSockets are open.", (b"retry-after", b"1"))
            return
        try:
            session = PairSession(scope.get("subprotocols") or ())
            environ = environ_of(_request_of(scope, session))
        except ServerError as error:
            if error.status_hint >= 500:  # a mistake of the caller, not of the client
                raise
            await deny(scope, send, error.status_hint, str(error))
            return
        await SocketCycle(self._app, scope, environ, session, port, receive, send, self._high).serve()

    def _log_once(self, message: str, *values: object) -> None:
        if message not in self._logged:
            self._logged.add(message)
            _log.warning(message, *values)


def _new_port(loop: object) -> Port:
    assert isinstance(loop, asyncio.AbstractEventLoop)  # `serve` has refused trio
    return AsyncioPort(loop, None)


def _request_of(scope: Scope, session: PairSession) -> Scope:
    """Return the handshake as an HTTP/1.1 request, whatever version the client uses to the server."""
    headers = session.request_headers(scope.get("headers") or ())
    if not any(name.lower() == b"host" for name, _ in headers):
        host, port = scope.get("server") or ("localhost", None)
        headers.append((b"host", (host if port is None else f"{host}:{port}").encode("latin-1")))
    return {
        **{key: value for key, value in scope.items() if key != "subprotocols"},
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "scheme": "https" if scope.get("scheme") in ("wss", "https") else "http",
        "headers": headers,
        "extensions": {},  # none of them can be used for a response that refuses a WebSocket
    }


async def deny(scope: Scope, send: ASGISend, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
    """Refuse a handshake; with 403 if the server cannot send a response."""
    body = f"{reason}\n".encode()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": NORMAL, "reason": ""})
        return
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": fields})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
