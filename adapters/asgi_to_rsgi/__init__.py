"""Serve an ASGI application over RSGI, granian's own interface.

The adapter translates the scope to ASGI. The application's messages become one call of granian (for a response in one
message) or a stream. Lifespan runs in ``__rsgi_init__`` and ``__rsgi_del__``, once per worker and loop. Everything runs
on granian's loop, without threads and hand-offs.

The scope does not promise features that RSGI lacks: the raw path, a mount point, non-ASCII header values in requests,
trailers, and early hints. A WebSocket has no subprotocol, no headers and no
close code. RSGI cannot cut a connection either, so ``_cut.py`` does so if a response fails after its headers.

Sources: RSGI specification 1.6; ASGI HTTP 2.5, WebSocket 2.5, Lifespan 2.0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from gateway.adapters._options import HEAD_SECONDS
from gateway.adapters._wrapped import asgi_callable
from gateway.adapters.asgi_to_rsgi._cut import cut
from gateway.adapters.asgi_to_rsgi._incoming import IncomingBody
from gateway.adapters.asgi_to_rsgi._objects import (
    HttpProtocol,
    HttpTransport,
    RsgiFields,
    RsgiScope,
    WebSocketProtocol,
    WebSocketTransport,
    is_gone,
    response_fields,
    scope_of,
)
from gateway.errors import ApplicationError
from gateway.lifespan import Lifespan, LifespanMode
from gateway.protocols import ASGIApplication, Message

__all__ = ["AsgiToRsgi"]

#: Bytes that are read from a file at once.
_PIECE_BYTES: Final = 64 * 1024
#: RSGI's kinds of WebSocket messages.
_CLOSED: Final = 0
_BYTES: Final = 1

_HTTP_EXTENSIONS: Final[Mapping[str, object]] = {"http.response.pathsend": {}}


class AsgiToRsgi:
    """An RSGI application that runs an ASGI application; ``granian module:attribute`` serves it without an option.

    Args:
        app: The ASGI application.
        lifespan: ``"auto"`` serves an application without lifespan too, ``"on"`` refuses it, ``"off"`` skips it.

    Raises:
        ConfigurationError: ``app`` is not an ASGI application, or ``lifespan`` is not one of these values.
    """

    def __init__(self, app: ASGIApplication, *, lifespan: LifespanMode = "auto") -> None:
        app = asgi_callable(app, "AsgiToRsgi")
        Lifespan(app, mode=lifespan)  # raises for a wrong mode at construction, not in the worker
        self.app = app
        self.lifespan: LifespanMode = lifespan
        self._started: dict[asyncio.AbstractEventLoop, _Started] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.app!r})"

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_started": {}}

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the application; granian calls this before its worker listens.

        Raises:
            LifespanFailed: The application refused to start; the worker ends.
        """
        lifespan = Lifespan(self.app, mode=self.lifespan)
        started = self._started[loop] = _Started(lifespan)
        if loop.is_running():  # granian is embedded in another program
            started.task = loop.create_task(lifespan.startup())
        else:
            loop.run_until_complete(lifespan.startup())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop the application; granian calls this after its worker's last request."""
        started = self._started.pop(loop, None)
        if started is None:
            return
        if loop.is_running():
            started.task = loop.create_task(started.lifespan.shutdown())
        else:
            loop.run_until_complete(started.lifespan.shutdown())

    async def __rsgi__(self, scope: RsgiScope, protocol: Any) -> None:
        """Respond to one request, or serve one WebSocket."""
        state: dict[str, Any] | None = None
        started = self._started.get(asyncio.get_running_loop())
        if started is not None:
            if started.task is not None:
                await started.task
            if started.lifespan.supported:
                state = started.lifespan.state
        if scope.proto == "http":
            await _Http(protocol, scope).run(self.app, state)
        else:
            await _WebSocket(protocol).run(self.app, scope, state)


class _Started:
    """One lifespan on one loop. ``task`` is its startup or shutdown if the loop was running already."""

    __slots__ = ("lifespan", "task")

    def __init__(self, lifespan: Lifespan) -> None:
        self.lifespan = lifespan
        self.task: asyncio.Task[None] | None = None


class _Http:
    """One request: its ``receive`` and ``send``."""

    __slots__ = (
        "_body",
        "_disconnect",
        "_gone",
        "_head",
        "_over",
        "_protocol",
        "_request_ended",
        "_responded",
        "_response_ended",
        "_scope",
        "_stream",
        "_trailers_promised",
    )

    def __init__(self, protocol: HttpProtocol, scope: RsgiScope) -> None:
        self._protocol = protocol
        self._scope = scope
        self._gone = False  # the client has left, as far as granian has reported it
        # The request.
        self._body: IncomingBody | None = None
        self._request_ended = False
        self._disconnect: asyncio.Future[None] | None = None
        # The response.
        self._head: tuple[int, RsgiFields] | None = None
        self._stream: HttpTransport | None = None
        self._responded = False
        self._over = False  # the application has returned, or raised
        self._trailers_promised = False
        self._response_ended: asyncio.Event | None = None

    async def run(self, app: ASGIApplication, state: dict[str, Any] | None) -> None:
        scope = scope_of(self._scope, state)
        scope.update(type="http", method=self._scope.method, extensions=dict(_HTTP_EXTENSIONS))
        try:
            await app(scope, self._receive, self._send)
            if not (self._responded or self._gone):
                raise ApplicationError(
                    "an application must send http.response.start and a last http.response.body before it "
                    "returns; it returned "
                    f"{'before the last body message' if self._head else 'without a response'} (ASGI HTTP: "
                    "Response Start)"
                )
        except BaseException:
            if self._stream is not None and not self._gone:
                cut(self._scope, self._stream)
            # The traceback keeps this object, and with it the stream; no other task may send from now on.
            self._stream, self._responded = None, True
            raise
        finally:
            self._over = True
            if self._disconnect is not None:
                self._disconnect.cancel()

    async def _receive(self) -> Message:
        if self._responded or self._gone:
            return {"type": "http.disconnect"}
        if self._request_ended:
            return await self._wait_for_disconnect()
        if self._body is None:
            self._body = IncomingBody(self._protocol, self._scope)
        try:
            chunk, more_body = await self._body.read()
        except EOFError:
            self._gone = True
            return {"type": "http.disconnect"}
        self._request_ended = not more_body
        return {"type": "http.request", "body": chunk, "more_body": more_body}

    async def _wait_for_disconnect(self) -> Message:
        """Wait until the client has left or the response is complete, whichever comes first."""
        if self._disconnect is None:
            self._disconnect = asyncio.ensure_future(self._protocol.client_disconnect())
        if self._response_ended is None:
            self._response_ended = asyncio.Event()
        ended = asyncio.ensure_future(self._response_ended.wait())
        try:
            await asyncio.wait((self._disconnect, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        self._gone = not self._responded
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self._head is not None:
                raise _unexpected(kind, "http.response.start only once per response")
            self._head = (message["status"], response_fields(message.get("headers", ())))
            self._trailers_promised = bool(message.get("trailers", False))
            asyncio.get_running_loop().call_soon(self._watch_head)
            return
        if kind == "http.response.trailers" and self._trailers_promised and self._responded:
            # RSGI has no trailers, and the application did not check the extensions. HTTP allows to drop them.
            self._trailers_promised = bool(message.get("more_trailers", False))
            return
        if self._head is None or self._responded:
            raise _unexpected(kind, "http.response.body after http.response.start and before the end of the body")
        status, headers = self._head
        if kind == "http.response.pathsend":
            if self._stream is None:
                self._protocol.response_file(status, headers, str(message["path"]))
            else:
                await self._stream_file(self._stream, str(message["path"]))
            self._end()
        elif kind == "http.response.body":
            await self._send_body(status, headers, message.get("body", b""), bool(message.get("more_body", False)))
        else:
            raise _unexpected(kind, "http.response.start, http.response.body or http.response.pathsend")

    async def _send_body(self, status: int, headers: RsgiFields, body: bytes, more_body: bool) -> None:
        if self._stream is None:
            if not more_body:
                if body:
                    self._protocol.response_bytes(status, headers, bytes(body))
                else:
                    self._protocol.response_empty(status, headers)
                self._end()
                return
            self._stream = self._protocol.response_stream(status, headers)
        if body:
            await self._send_chunk(self._stream, bytes(body))
        if not more_body:
            self._end()

    async def _send_chunk(self, stream: HttpTransport, chunk: bytes) -> None:
        try:
            await stream.send_bytes(chunk)
        except Exception as error:
            if not is_gone(error):
                raise
            self._gone = True
            # "If send is called on a closed connection the server should raise an OSError" (ASGI HTTP 2.4).
            raise ConnectionResetError("the client has disconnected") from error

    async def _stream_file(self, stream: HttpTransport, path: str) -> None:
        """Send a file after headers that went out alone."""
        file = await asyncio.to_thread(open, path, "rb")
        try:
            while chunk := await asyncio.to_thread(file.read, _PIECE_BYTES):
                await self._send_chunk(stream, chunk)
        finally:
            file.close()

    def _watch_head(self) -> None:
        """Send the headers alone, unless the body follows soon. It nearly always has followed by now."""
        if self._has_only_head():
            asyncio.get_running_loop().call_later(HEAD_SECONDS, self._send_head)

    def _send_head(self) -> None:
        if self._head is not None and self._has_only_head():
            self._stream = self._protocol.response_stream(*self._head)

    def _has_only_head(self) -> bool:
        return self._stream is None and not (self._responded or self._over or self._gone)

    def _end(self) -> None:
        self._stream = None  # granian ends the response when the last reference to its stream is gone
        self._responded = True
        if self._response_ended is not None:
            self._response_ended.set()


class _WebSocket:
    """One WebSocket: its ``receive`` and ``send``."""

    __slots__ = ("_accepted", "_closed", "_connected", "_protocol", "_transport")

    def __init__(self, protocol: WebSocketProtocol) -> None:
        self._protocol = protocol
        self._transport: WebSocketTransport | None = None
        self._connected = False
        self._accepted = asyncio.Event()
        self._closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self, app: ASGIApplication, rsgi: RsgiScope, state: dict[str, Any] | None) -> None:
        scope = scope_of(rsgi, state)
        # granian responds to the handshake itself, so the application cannot choose a subprotocol.
        scope.update(type="websocket", scheme="wss" if rsgi.scheme == "https" else "ws", subprotocols=[], extensions={})
        try:
            await app(scope, self._receive, self._send)
        except BaseException:
            self._close(1011)
            raise
        else:
            self._close(1000)
        finally:
            # granian ends the connection when the last reference is gone, and the application may keep `send`.
            self._transport = None
            del self._protocol

    async def _receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        await self._accepted.wait()  # an application may receive before it accepts, in another task
        if self._transport is None or self._closed.done():
            return {"type": "websocket.disconnect", "code": await self._closed, "reason": ""}
        try:
            message = await self._transport.receive()
        except Exception as error:
            if not is_gone(error):
                raise
            return self._disconnected(1006)
        if message.kind == _CLOSED:
            return self._disconnected(1005)
        if message.kind == _BYTES:
            return {"type": "websocket.receive", "bytes": bytes(message.data)}
        return {"type": "websocket.receive", "text": message.data}

    def _disconnected(self, code: int) -> Message:
        if not self._closed.done():
            self._closed.set_result(code)
        return {"type": "websocket.disconnect", "code": self._closed.result(), "reason": ""}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept" and self._transport is None and not self._closed.done():
            self._transport = await self._protocol.accept()
            self._accepted.set()
        elif kind == "websocket.close" and not self._closed.done():
            self._close(message.get("code", 1000))
        elif kind == "websocket.send" and self._transport is not None:
            if self._closed.done():
                raise ConnectionResetError("the WebSocket is closed")
            text = message.get("text")
            try:
                if text is None:
                    await self._transport.send_bytes(bytes(message["bytes"]))
                else:
                    await self._transport.send_str(text)
            except Exception as error:
                if not is_gone(error):
                    raise
                raise ConnectionResetError("the client has disconnected") from error
        else:
            raise _unexpected(kind, "websocket.accept, then websocket.send, and one websocket.close")

    def _close(self, code: int) -> None:
        """Close, or refuse the handshake with 403. Does nothing if it is closed already."""
        if not self._closed.done():
            self._closed.set_result(code if self._transport is not None else 1006)
            self._accepted.set()
            self._protocol.close(403 if self._transport is None else code)


def _unexpected(kind: str, must: str) -> ApplicationError:
    return ApplicationError(f"the application must send {must}; it sent {kind!r} (ASGI: Events)")
