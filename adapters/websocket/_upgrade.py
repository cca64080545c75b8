"""A WebSocket handshake under a WSGI server, which sees a GET request and may hand over its socket.

`Upgrade` is an ASGI *HTTP* application around a WebSocket application. Until the application accepts, there is only a
request. So a denial, a 403 or an error of the application becomes an ordinary response. When it accepts, `Upgrade`
takes the socket from the server and serves it on the loop, while the WSGI thread waits as for any response. At the end
of the connection, `TakenOver` ends the conversation with the thread, and the thread returns to the server as
`_sockets` describes. The application may run on after that.

States: ``idle`` ──accept──▶ ``open`` ──Close from either side──▶ closing ──▶ ``over``, and ``idle`` ──denial──▶
``denied``. The session holds the closing state. The connection ends after the closing handshake, or `CLOSE_SECONDS`
after our Close if the client does not respond. It also ends if the client is lost or the server closes the request.

Back-pressure. ``send()`` waits while `_wire.HIGH_BYTES` wait to be written. Reading from the client pauses while
`QUEUE_BYTES` of messages wait for ``receive()``. Pings of the client then get no response, which a client must expect
of a busy server. Meanwhile the client is not given up for being silent.

Sources: ASGI WebSocket 2.5, extension "WebSocket Denial Response"; RFC 6455 sections 5.5.2, 7.1.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gateway.adapters.websocket._open import OpenSockets
from gateway.adapters.websocket._protocol import (
    ABNORMAL,
    CLOSE_SECONDS,
    GOING_AWAY,
    INTERNAL_ERROR,
    MESSAGE_BYTES,
    NORMAL,
    QUEUE_BYTES,
    Session,
)
from gateway.adapters.websocket._sockets import Taken, duplicate
from gateway.adapters.websocket._wire import Wire
from gateway.errors import ApplicationError
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

_log = logging.getLogger("gateway.adapters")

#: Maximum size of one message: bytes, or characters of a text.
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
#: Seconds between pings. A client that sends nothing for one more interval after a ping is given up.
PING_SECONDS: Final = 20.0


class TakenOver(Exception):  # not an error: it ends a conversation through the code paths for errors
    """The socket was taken over, and the connection has ended."""


class SocketClosed(BrokenPipeError):
    """Raised in ``send()`` when the client has left (ASGI WebSocket: Send)."""


class Upgrade:
    """One handshake.

    Args:
        app: The WebSocket application.
        session: A session that has read the request of the handshake.
        taken: The server's socket.
        sockets: Holds the WebSocket while it is open.
    """

    #: Ends the conversation with the WSGI thread; set before the first call.
    end: Callable[[BaseException], object]

    def __init__(self, app: ASGIApplication, session: Session, taken: Taken, sockets: OpenSockets) -> None:
        self._app = app
        self._session = session
        self._taken = taken
        self._sockets = sockets
        self._connected = False
        self._denied = False
        self._closed = False  # the application has closed
        self._denial_complete = False
        self._wire: Wire | None = None
        self._queue: deque[tuple[Message, int]] = deque()
        self._queued = 0
        self._news: asyncio.Event = asyncio.Event()
        self._over: asyncio.Event = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._heard = True
        self._watching: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Serve one scope of type ``http``, the request of the handshake."""
        self._http_receive = receive
        self._http_send = send
        try:
            await self._app(self._scope(scope), self._receive, self._send)
        except BaseException as error:
            if self._wire is None:
                raise
            self._failed(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        if self._wire is not None:
            self._close(NORMAL)
            await self._over.wait()
        elif not self._denied:
            raise ApplicationError(
                "an application must answer a WebSocket handshake before it returns, and it returned without "
                "an answer; send websocket.accept or websocket.close (ASGI WebSocket: Connection)"
            )

    def _scope(self, http: Scope) -> Scope:
        scope = dict(http)
        del scope["method"]
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if http["scheme"] in ("https", "wss") else "ws"
        scope["subprotocols"] = list(self._session.subprotocols)
        scope["extensions"] = {**(http.get("extensions") or {}), "websocket.http.response": {}}
        return scope

    # ------------------------------------------------------------------------------------------------- the application

    async def _receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        if self._wire is None and not self._denial_complete and self._watching is None:
            self._watch()  # the server may close the request before the application has responded
        while True:
            if self._queue:
                message, size = self._queue.popleft()
                self._queued -= size
                if self._wire is not None and self._queued < QUEUE_BYTES:
                    self._wire.resume()
                return message
            if self._session.closed is not None:
                return self._session.closed.message()
            if self._denial_complete:
                return {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}
            self._news.clear()
            await self._news.wait()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._wire is not None:
            await self._send_open(self._wire, kind, message)
        elif kind == "websocket.accept" and not self._denied:
            self._accept(message)
        elif kind == "websocket.close" and not self._denied:
            self._denied = True
            await self._http_send(
                {"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]}
            )
            await self._http_send({"type": "http.response.body", "body": b""})
            self._deny_complete()
        elif kind == "websocket.http.response.start" and not self._denied:
            self._denied = True
            await self._http_send({**message, "type": "http.response.start"})
        elif kind == "websocket.http.response.body" and self._denied and not self._denial_complete:
            await self._http_send({**message, "type": "http.response.body"})
            if not message.get("more_body", False):
                self._deny_complete()
        else:
            raise self._unexpected(kind)

    async def _send_open(self, wire: Wire, kind: str, message: Message) -> None:
        session = self._session
        if self._closed or kind not in ("websocket.send", "websocket.close"):
            raise self._unexpected(kind)
        if kind == "websocket.close":
            # Do not raise if the client closed first, because the application could not know it.
            self._close(message.get("code", NORMAL), message.get("reason") or "")
            self._closed = True
            self._queue.clear()  # the application wants no more messages
            return
        if session.closed is not None or session.closing:
            raise SocketClosed(
                errno.EPIPE, "the WebSocket is closed, because the client has disconnected or the server is stopping"
            )
        session.message(message)
        self._write(wire)
        await wire.drain()

    def _unexpected(self, kind: str) -> ApplicationError:
        if self._wire is not None:
            place = "after it had closed" if self._closed else "after it had accepted"
        else:
            place = "after it had denied" if self._denied else "before it had accepted"
        return ApplicationError(
            "an application must answer a handshake once, with websocket.accept, websocket.close or "
            "websocket.http.response.start; after accept it may send websocket.send until it closes. It sent "
            f"{kind!r} {place} (ASGI WebSocket)"
        )

    def _deny_complete(self) -> None:
        self._denial_complete = True
        self._news.set()

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):  # the service stops, and does not wait any longer
            self._close(GOING_AWAY)
            if self._wire is not None:
                self._wire.end()
                self._wire.abort()
            return
        if not isinstance(error, SocketClosed):
            _log.error("an ASGI application failed with an open WebSocket", exc_info=error)
        self._close(INTERNAL_ERROR)

    # -------------------------------------------------------------------------------------------------- the connection

    def _accept(self, message: Message) -> None:
        self._session.accept(message)
        wire = Wire(duplicate(self._taken.socket), received=self._received, took=self._client_is_there, lost=self._lost)
        self._wire = wire
        self._sockets.add(self._say_goodbye)
        if self._watching is None:
            self._watch()
        self._later("ping", PING_SECONDS, self._ask)
        self._write(wire)
        wire.resume()

    def _watch(self) -> None:
        async def watch() -> None:
            while (await self._http_receive())["type"] != "http.disconnect":
                pass
            # The server has closed the request: of an open WebSocket (its thread was ended), or before an accept.
            if self._wire is not None:
                self._wire.abort()
            else:
                self._deny_complete()

        self._watching = asyncio.get_running_loop().create_task(watch())

    def _write(self, wire: Wire) -> None:
        output, self._session.output = self._session.output, bytearray()
        if output:
            wire.write(output)

    def _received(self, data: bytes) -> None:
        wire = self._wire
        assert wire is not None  # the wire calls this method
        self._client_is_there()
        for message in self._session.received(data):
            size = MESSAGE_BYTES + len(message.get("text") or message.get("bytes") or b"")
            self._queue.append((message, size))
            self._queued += size
        self._write(wire)
        if not data:
            wire.abort()
        elif self._session.closed is not None:
            self._expect_the_end()
            wire.end()
        elif self._session.closing:
            self._expect_the_end()
        elif self._queued >= QUEUE_BYTES:
            wire.pause()
        self._news.set()

    def _close(self, code: int, reason: str = "") -> None:
        wire = self._wire
        if wire is None or wire.closed or self._session.closed is not None:
            return
        self._session.close(code, reason)
        self._write(wire)
        self._expect_the_end()
        wire.resume()  # the client's Close comes after all data that it has sent

    def _expect_the_end(self) -> None:
        if self._wire is not None and "close" not in self._timers:
            self._later("close", CLOSE_SECONDS, self._wire.abort)

    def _say_goodbye(self) -> None:
        self._close(GOING_AWAY)

    def _lost(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._sockets.discard(self._say_goodbye)
        self._session.received(b"")  # sets `closed`, unless the session has ended already
        if self._watching is not None:
            self._watching.cancel()
        self._news.set()
        self._over.set()
        self.end(TakenOver())

    # ------------------------------------------------------------------------------------ whether the client is there

    def _client_is_there(self) -> None:
        self._heard = True

    def _ask(self) -> None:
        wire = self._wire
        if wire is None or wire.closed:
            return
        if not self._heard and self._queued < QUEUE_BYTES:
            wire.abort()
            return
        self._heard = False
        self._session.ping()
        self._write(wire)
        self._later("ping", PING_SECONDS, self._ask)

    def _later(self, name: str, seconds: float, callback: Callable[[], Any]) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, callback)
