"""WebSockets of a WSGI application under an ASGI server: the application gets a real socket.

A WSGI application that serves WebSockets (flask-sock, simple-websocket, Flask-SocketIO) takes the socket of its server
and writes frames to it. An ASGI server has no such socket. So the application gets one end of a socket pair, under the
key that Gunicorn uses, and the loop has the other end. The handshake is an ordinary request to the application, as
under Gunicorn's gthread workers, and WSGI middleware sees it.

The application accepts with a 101 on its socket. Any ordinary response refuses the handshake.

Tasks of one WebSocket, all on the loop, beside the application's thread:

- ``run`` runs the application as `RequestCycle` does, and ends the WebSocket after the application.
- ``_from_client`` receives from the server and writes to the pair.
- ``_to_client`` takes the messages that `_read` has put into the queue, and sends them to the server.

States: ``idle`` ──101──▶ ``open`` ──Close from either side──▶ ``over``, and ``idle`` ──response──▶ ``denied``. The
session knows how far the closing handshake with the application has come. The closing handshake with the client is the
server's. After the client's Close, the application has `CLOSE_SECONDS` to answer, then its socket breaks.

Back-pressure. While the application does not read, ``_from_client`` waits for room in the pair before it receives the
next message. While the client does not read, the server's ``send()`` waits. Reading from the pair pauses while
`QUEUE_BYTES` wait for it. Then the application's ``send()`` blocks.

Sources: RFC 6455; ASGI WebSocket 2.5, extension "WebSocket Denial Response"; Gunicorn ``workers/gthread.py``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final
from wsgiref.types import WSGIApplication

from gateway._sign_off import SignedOff
from gateway.adapters.hand_off._ports import AsyncioPort, Port
from gateway.adapters.websocket._protocol import (
    ABNORMAL,
    CLOSE_SECONDS,
    INTERNAL_ERROR,
    MESSAGE_BYTES,
    NO_STATUS,
    NORMAL,
    QUEUE_BYTES,
)
from gateway.adapters.websocket._wire import Wire
from gateway.adapters.wsgi_to_asgi._exchange import RequestCycle
from gateway.adapters.wsgi_to_asgi._gevent_style import BlockingWebSocket
from gateway.adapters.wsgi_to_asgi._input import WholeInput
from gateway.adapters.wsgi_to_asgi._pair import PairSession
from gateway.adapters.wsgi_to_asgi._run import Run
from gateway.client.wsgi import offer
from gateway.errors import ApplicationError
from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope

_log = logging.getLogger("gateway.adapters")

#: Keys under which servers hand over their socket. The application gets its end of the pair under the first key.
_SOCKET_KEY: Final = "gunicorn.socket"
_OTHER_SOCKET_KEYS: Final = ("werkzeug.socket", "eventlet.input")
#: Close codes that no frame carries: the connection broke.
_BROKEN: Final = (ABNORMAL, 1015)


class NoResponse(ApplicationError):
    """The application returned without ``start_response``; correct if it has taken the socket."""


class _SocketRun(Run):
    """A run that ends with the application's end of the pair."""

    def __init__(self, app: WSGIApplication, environ: Environ, context: Context, port: Port, high: int) -> None:
        super().__init__(app, environ, context, port, extensions=(), coalesce_bytes=0, high=high)
        self._socket: socket.socket = environ[_SOCKET_KEY]

    def __call__(self) -> None:
        """Run the application, then close its socket, as Gunicorn does; the job of the thread. Never raises."""
        self._context.run(self._run)
        self._hang_up()
        self._port.leave(self._done)

    def failed(self, error: Exception) -> None:
        """Finish a run that no thread could begin."""
        self._hang_up()
        super().failed(error)

    def _hang_up(self) -> None:
        # The shutdown wakes threads of the application that read from the socket; closing alone does not.
        with suppress(OSError):  # the application may have closed it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _commit(self) -> Message:
        if self._head is None:
            raise NoResponse(
                "the application must answer a WebSocket handshake: take the socket, as simple-websocket does, or "
                "call start_response to refuse it. It returned without either (PEP 3333)"
            )
        return super()._commit()


class SocketCycle:
    """One WebSocket."""

    def __init__(
        self,
        app: WSGIApplication,
        scope: Scope,
        environ: Environ,
        session: PairSession,
        port: AsyncioPort,
        receive: ASGIReceive,
        send: ASGISend,
        high: int,
    ) -> None:
        self._can_deny = "websocket.http.response" in (scope.get("extensions") or {})
        self._session = session
        self._port = port
        self._receive = receive
        self._send = send
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        for key in _OTHER_SOCKET_KEYS:  # of an outer WSGI server; libraries would prefer it
            environ.pop(key, None)
        environ[_SOCKET_KEY] = theirs
        offer(environ)
        environ["wsgi.websocket"] = BlockingWebSocket(theirs, environ)
        environ["wsgi.websocket_version"] = "13"
        environ["wsgi.input"] = WholeInput()
        environ["wsgi.multithread"] = True
        offer(environ)
        self._run = _SocketRun(app, environ, copy_context(), port, high)
        self._high = high
        self._taken = False  # the application has written to its socket
        self._accepted = False
        self._denied = False
        self._closed = False  # a close was sent to the server
        self._failed = False  # the application responded with an error after it had taken the socket
        self._gone = False  # the client has left, or the server has ended the WebSocket
        self._ended = False  # the application's end of the pair has ended
        self._error: Exception | None = None
        self._queue: deque[tuple[Message, int]] = deque()
        self._queued = 0
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Run the application and serve its WebSocket to the end.

        Raises:
            ApplicationError: The application did not respond to the handshake, or not as the RFC allows.
            BaseException: The error of the application, of ``send`` or of ``receive``.
        """
        self._wire = Wire(self._socket, received=self._read, took=_nothing, lost=self._lost)
        self._wire.resume()
        loop = asyncio.get_running_loop()
        receiving = loop.create_task(self._from_client())
        self._sending = loop.create_task(self._to_client())
        cycle = RequestCycle(
            self._run,
            self._port,
            self._port.spawn,
            _forever,
            self._respond,
            body_complete=True,
            expects=False,
            join_bytes=0,
            high=self._high,
        )
        failure: Exception | None = None
        try:
            try:
                await cycle.serve()
            except SignedOff:
                pass  # the application has taken the socket, and leaves as Gunicorn wants it
            except Exception as error:
                failure = error
            # The thread has ended and has closed its end of the pair, so this task ends.
            await asyncio.wait([self._sending])
            await self._finish(failure)
        finally:
            self._gone = True
            receiving.cancel()
            self._sending.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._wire.abort()
            # Break the reference cycles, because some servers close the connection when `send` is freed. The tracebacks
            # hold this frame, and that of a cancelled task holds its frame.
            failure = self._error = None
            del self._sending, receiving

    async def _finish(self, failure: Exception | None) -> None:
        if isinstance(failure, NoResponse) and self._taken:
            failure = None  # after the WebSocket there is no request to respond to
        failure = self._error or failure
        if self._accepted and not self._closed and not self._gone:
            # Under Gunicorn the connection would break; an ASGI application can only close it.
            self._closed = True
            with suppress(OSError):  # the client has left
                code = INTERNAL_ERROR if failure is not None or self._failed else NORMAL
                await self._send({"type": "websocket.close", "code": code, "reason": ""})
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # break the reference cycle: the traceback holds this frame
        if not (self._accepted or self._denied or self._gone):
            raise NoResponse(
                "the application must answer a WebSocket handshake, and it left without an answer; write a 101 to "
                "the socket, or call start_response to refuse it (RFC 6455 section 4.2.2)"
            )

    # ---------------------------------------------------------------------------------------------------- the client

    async def _from_client(self) -> None:
        try:
            while True:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._left(message.get("code", NO_STATUS), message.get("reason") or "")
                    return
                self._session.message(message)
                self._write()
                await self._wire.drain()
        except Exception as error:
            self._fail(error)

    async def _to_client(self) -> None:
        try:
            while True:
                while not self._queue:
                    if self._ended:
                        return
                    self._news.clear()
                    await self._news.wait()
                message, size = self._queue.popleft()
                await self._deliver(message)
                self._queued -= size
                if self._queued < QUEUE_BYTES:
                    self._wire.resume()
        except OSError:
            self._left(ABNORMAL, "")
        except Exception as error:
            self._fail(error)

    async def _deliver(self, message: Message) -> None:
        kind = message["type"]
        if kind.startswith("http."):
            await self._deny(message)
            return
        if self._closed:
            return
        self._accepted = self._accepted or kind == "websocket.accept"
        self._closed = kind == "websocket.close"
        await self._send(message)

    def _left(self, code: int, reason: str) -> None:
        """Take the end of the WebSocket, and pass it on to the application."""
        if self._gone:
            return
        self._gone = True
        self._queue.clear()
        self._sending.cancel()
        self._run.client_left()
        if self._session.open and code not in _BROKEN:
            self._session.close(code, reason)
            self._write()
        else:
            self._wire.end()
        self._expect_the_end()
        self._wire.resume()  # the application's Close comes after all that it has sent

    def _fail(self, error: Exception) -> None:
        """End the WebSocket because of an error of the server's ``receive`` or ``send``."""
        if not self._gone and not self._closed:
            self._error = error
        self._left(ABNORMAL, "")

    def _expect_the_end(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._wire.abort)

    # ----------------------------------------------------------------------------------------------- the application

    def _read(self, data: bytes) -> None:
        """Take bytes from the application; b"" for their end. Called by the wire."""
        if data or self._taken:
            self._taken = True
            try:
                messages = self._session.received(data)
            except ApplicationError as error:
                self._error = self._error or error
                messages = []
            if not self._gone:
                for message in messages:
                    content: Any = message.get("text") or message.get("bytes") or message.get("body") or b""
                    size = MESSAGE_BYTES + len(content)
                    self._queue.append((message, size))
                    self._queued += size
            self._write()
            if self._session.closed:
                self._wire.end()
            elif self._queued >= QUEUE_BYTES and not self._gone:
                self._wire.pause()
        if not data:
            self._wire.abort()
        self._news.set()

    def _lost(self) -> None:
        self._ended = True
        self._news.set()

    def _write(self) -> None:
        output, self._session.output = self._session.output, bytearray()
        if output:
            self._wire.write(output)

    async def _respond(self, message: Message) -> None:
        """Take a message of the application's HTTP response, which refuses the handshake."""
        if not self._taken and not self._wire.closed:
            self._wire.look()  # the application may have written to the socket before it responded
        if not self._taken and not self._gone:
            await self._deny(message)
        elif message["type"] == "http.response.start":
            # A framework turns an exception within the WebSocket into a response with status 500.
            self._failed = message["status"] >= 500

    async def _deny(self, message: Message) -> None:
        if self._can_deny:
            self._denied = True
            await self._send({**message, "type": f"websocket.{message['type']}"})
        elif not self._denied:
            self._denied = True
            await self._send({"type": "websocket.close", "code": NORMAL, "reason": ""})
            self._run.client_left()  # the rest of the response has no reader


def _nothing() -> None:
    pass


async def _forever() -> Message:
    """Wait for a disconnect, which this module takes itself."""
    never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await never
