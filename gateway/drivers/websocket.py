"""A WebSocket handshake through a group of middleware: accept it, or deny it.

A handshake is a request, so guards take part in it. Only the response differs. ``websocket.accept`` is a response of
status 101. A denial is an HTTP response if the server offers ``websocket.http.response``. Otherwise it is a
``websocket.close`` before the accept, which the server turns into 403. The messages of an open WebSocket pass as they
are: no hook transforms them or peeks at them.

States: ``IDLE``, ``COMMITTED`` (accepted, or denied by a response under way), ``DONE``, ``ABORTED``.

Sources: ASGI WebSocket 2.5; its extension "WebSocket Denial Response"; RFC 6455 sections 4.2.2 and 7.4.
"""

from __future__ import annotations

from collections.abc import Generator
from time import perf_counter
from typing import TYPE_CHECKING

from gateway._requests import AsgiRequest
from gateway.drivers._effects import run_async, run_last
from gateway.drivers._order import ABORTED, COMMITTED, DONE, IDLE, SETTLING, AsyncExchange, judge, settled
from gateway.drivers._response_body import ResponseBody, has_body
from gateway.exchange import Response
from gateway.headers import AsgiHeaders

if TYPE_CHECKING:
    from gateway.contract import Steps
    from gateway.drivers._plan import HookPlan
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["WebsocketExchange"]

#: RFC 6455 section 7.4.1: normal closure, going away, no status received.
_REGULAR = (1000, 1001, 1005)
#: RFC 6455 section 7.4.2: codes of frameworks and applications. They come in a close frame, so nothing broke.
_OWN = range(3000, 5000)


class WebsocketExchange(AsyncExchange, AsgiRequest):
    """One WebSocket through a group."""

    _websocket = True

    def __init__(
        self, plan: HookPlan, app: ASGIApplication, scope: Scope, receive: ASGIReceive, send: ASGISend
    ) -> None:
        AsgiRequest.__init__(self, scope)
        self._plan = plan
        self._method = "GET"
        self._state = IDLE
        self._body = None
        self._app = app
        self._receive = receive
        self._send = send
        self._connected: bool = False
        self._accepted: bool = False
        #: Whether a middleware's response denies, so that the application's messages go nowhere.
        self._replaced: bool = False
        self.gone: bool = False
        self._close_code: int | None = None
        self._began: float = perf_counter()
        self._first: float | None = None
        self._status: int | None = None
        self._sent: int = 0
        self._received: int = 0

    async def run(self) -> None:
        """Run the exchange to its end."""
        try:
            entered = self.enter(iter(self._plan.inward))
            answer = await run_async(entered) if isinstance(entered, Generator) else entered
            if answer is not None:
                await self.deny(answer)
            else:
                await self.call()
        except BaseException as error:
            await self.end(error)
            raise
        # If the application returns, the server closes an accepted socket.
        await self.end(None, completed=self._accepted)

    async def call(self) -> None:
        """Call the application; ``on_error`` may respond to its exception."""
        try:
            await self._app(self.scope, self.receive, self.send)
        except Exception as error:
            if self._failed is not None or self._replaced or self._state != IDLE:
                raise
            await self.settle(self.fail(error, self._plan.size))
            return
        if self._failed is not None:
            raise self._failed

    async def receive(self) -> Message:
        """Pass a message on; the end of the socket ends the exchange."""
        message = await self._receive()
        kind: str = message["type"]
        if kind == "websocket.connect":
            self._connected = True
        elif kind == "websocket.receive":
            self._received += _size(message)
        elif kind == "websocket.disconnect" and self._state < DONE:
            code: int = message.get("code", 1005)
            self._close_code = code
            self.gone = not self._accepted or not (code in _REGULAR or code in _OWN)
            await self.end(None, completed=not self.gone)
        return message

    def disconnected(self) -> bool | None:
        """Return True once the socket has ended; until then its messages go to the application alone."""
        return self.gone or self._state >= DONE or None

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        await self.until_settled()
        if self._failed is not None:
            raise self._failed
        if self._replaced:
            return
        kind: str = message["type"]
        if self._state == IDLE and kind in ("websocket.accept", "websocket.http.response.start", "websocket.close"):
            await self.head(message)
        elif kind == "websocket.send":
            await self.pass_on(message)
            self._sent += _size(message)
        elif kind == "websocket.close":
            self._close_code = message.get("code", 1000)
            await self.pass_on(message)
            await self.end(None, completed=True)
        elif kind == "websocket.http.response.body":
            await self.pass_on(message)
            self._sent += len(message.get("body", b""))
            if not message.get("more_body", False) and self._state == COMMITTED and not self._accepted:
                await self.end(None, completed=True)
        else:
            await self.pass_on(message)

    async def head(self, message: Message) -> None:
        """Run the response phase for an accept, a denial or a close."""
        kind: str = message["type"]
        status = {"websocket.accept": 101, "websocket.close": 403}.get(kind) or message["status"]
        response = Response.head(status, AsgiHeaders.over_raw(list(message.get("headers") or ())))
        response = await self.settle(settled(self.respond(response, self._plan.size)))
        if self._replaced:
            return
        # The messages for accept and close carry no status, so a middleware cannot change 101 and 403.
        self.commit(response.status if kind == "websocket.http.response.start" else status)
        if kind == "websocket.close":
            self._close_code = message.get("code", 1000)
            await self.pass_on(message)
            await self.end(None, completed=True)
            return
        changed = {**message, "headers": response.headers.asgi()}
        if kind == "websocket.accept":
            self._accepted = True
        else:
            changed["status"] = response.status
        await self.pass_on(changed)

    async def settle(self, steps: Steps[Response]) -> Response:
        """Run the response phase; send the response if a middleware made it."""
        self._state = SETTLING
        try:
            try:
                response = await run_async(steps)
            finally:
                if self._state == SETTLING:  # else the client left meanwhile
                    self._state = IDLE
            if self._made is not None:
                await self.deny(response)
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self.wake()
        return response

    async def deny(self, response: Response) -> None:
        """Refuse the handshake with a middleware's response."""
        self._replaced = True
        if not self._connected:
            # The specification lets nothing be sent before the connect was received.
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.gone = True
                await self.end(None)
                return
        if "websocket.http.response" not in self.extensions:
            self.commit(403)
            await self.pass_on({"type": "websocket.close", "code": 1000, "reason": ""})
            await self.end(None, completed=True)
            return
        self.commit(response.status)
        await self.pass_on(
            {
                "type": "websocket.http.response.start",
                "status": response.status,
                "headers": response.headers.asgi(),
            }
        )
        out = ResponseBody(response.body)
        while has_body("GET", response.status) and not out.ended:
            await run_async(out.pull())
        last = out.release()
        await self.pass_on({"type": "websocket.http.response.body", "body": last, "more_body": False})
        self._sent += len(last)
        await self.end(None, completed=True)

    def commit(self, status: int) -> None:
        """Note that the response is on its way."""
        if self._state < DONE:
            self._state = COMMITTED
        self._status = status
        self._first = perf_counter() - self._began

    async def pass_on(self, message: Message) -> None:
        """Hand a message to the server; an ``OSError`` of it is a client that went away."""
        try:
            await self._send(message)
        except OSError:
            self.gone = True
            raise

    async def end(self, error: BaseException | None, *, completed: bool = False) -> None:
        """Run ``on_finish``, once."""
        if self._state >= DONE:
            return
        self._state = DONE if completed else ABORTED
        self.close_made()
        outcome = judge(
            completed,
            error,
            self.gone,
            self._status,
            self._sent,
            self._received,
            self._first,
            perf_counter() - self._began,
        )
        outcome.websocket_close_code = self._close_code
        steps = self.finish(outcome, iter(self._plan.finishing[self._entered]))
        if steps is not None:
            await run_last(steps, error)


def _size(message: Message) -> int:
    """Return the payload bytes of a message."""
    data: bytes | None = message.get("bytes")
    if data is not None:
        return len(data)
    text: str = message.get("text") or ""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
