"""A WebSocket handshake through a segment: the head is the accept, or what denies it.

A handshake is a request like another, so guards take part in it. What differs is the answer: ``websocket.accept`` is
a head of status 101; a denial is an HTTP response where the server offers ``websocket.http.response`` and a
``websocket.close`` before the accept, which the server turns into 403, where it does not. Bodies are messages of the
application's own protocol: nothing transforms them and nothing is peeked at.

States: ``idle``, ``committed`` (accepted, or denied by a response under way), ``done``, ``aborted``.

Sources: ASGI WebSocket 2.5; its extension "WebSocket Denial Response"; RFC 6455 sections 4.2.2 and 7.4.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Literal

from gateway._requests import AsgiRequest
from gateway.drivers._colour import run_async, run_last
from gateway.drivers._course import Course, has_body
from gateway.drivers._outcome import judge
from gateway.exchange import Response
from gateway.headers import AsgiHeaders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.contract import Hooks, Steps
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["WebsocketExchange"]

#: RFC 6455 section 7.4.1: normal closure, going away, no status received.
_REGULAR = (1000, 1001, 1005)
#: RFC 6455 section 7.4.2: of frameworks and applications, said in a close frame, so the socket did not break.
_OWN = range(3000, 5000)


class WebsocketExchange:
    """One WebSocket through a segment."""

    def __init__(
        self, chain: Sequence[Hooks], app: ASGIApplication, scope: Scope, receive: ASGIReceive, send: ASGISend
    ) -> None:
        self.state: Literal["idle", "committed", "done", "aborted"] = "idle"
        self.chain = chain
        self.app = app
        self.server_receive = receive
        self.server_send = send
        self.request: AsgiRequest = AsgiRequest(scope)
        self.course: Course = Course(chain, self.request)
        self.connected: bool = False
        self.accepted: bool = False
        #: Whether a middleware's response denies, and the application's messages go nowhere.
        self.replaced: bool = False
        self.failed: BaseException | None = None
        self.disconnected: bool = False
        self.close_code: int | None = None
        self.began: float = perf_counter()
        self.first_byte_at: float | None = None
        self.status: int | None = None
        self.sent: int = 0
        self.received: int = 0

    async def run(self) -> None:
        """Run the exchange to its end."""
        try:
            answer = await run_async(self.course.enter())
            if answer is not None:
                await self.deny(answer)
            else:
                await self.call()
        except BaseException as error:
            await self.end(error)
            raise
        # An application that returns leaves the closing of an accepted socket to the server.
        await self.end(None, completed=self.accepted)

    async def call(self) -> None:
        """Call the application; an exception of its own may be answered."""
        try:
            await self.app(self.request.scope, self.receive, self.send)
        except Exception as error:
            if self.failed is not None or self.replaced or self.state != "idle":
                raise
            await self.settle(self.course.fail(error, len(self.chain)))
            return
        if self.failed is not None:
            raise self.failed

    async def receive(self) -> Message:
        """Pass a message on; the end of the socket ends the exchange."""
        message = await self.server_receive()
        kind: str = message["type"]
        if kind == "websocket.connect":
            self.connected = True
        elif kind == "websocket.receive":
            self.received += _size(message)
        elif kind == "websocket.disconnect" and self.state not in ("done", "aborted"):
            code: int = message.get("code", 1005)
            self.close_code = code
            self.disconnected = not self.accepted or not (code in _REGULAR or code in _OWN)
            await self.end(None, completed=not self.disconnected)
        return message

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        if self.failed is not None:
            raise self.failed
        if self.replaced:
            return
        kind: str = message["type"]
        if self.state == "idle" and kind in ("websocket.accept", "websocket.http.response.start", "websocket.close"):
            await self.head(message)
        elif kind == "websocket.send":
            await self.pass_on(message)
            self.sent += _size(message)
        elif kind == "websocket.close":
            self.close_code = message.get("code", 1000)
            await self.pass_on(message)
            await self.end(None, completed=True)
        elif kind == "websocket.http.response.body":
            await self.pass_on(message)
            self.sent += len(message.get("body", b""))
            if not message.get("more_body", False) and self.state == "committed" and not self.accepted:
                await self.end(None, completed=True)
        else:
            await self.pass_on(message)

    async def head(self, message: Message) -> None:
        """Run the response phase for an accept, a denial or a close."""
        kind: str = message["type"]
        status = {"websocket.accept": 101, "websocket.close": 403}.get(kind) or message["status"]
        response = Response.head(status, AsgiHeaders.over_raw(list(message.get("headers") or ())))
        settled = await self.settle(self.course.respond(response, len(self.chain)))
        if self.replaced:
            return
        # An accept is 101 and a close 403 whatever a middleware says: their messages carry no status.
        self.commit(settled.status if kind == "websocket.http.response.start" else status)
        if kind == "websocket.close":
            self.close_code = message.get("code", 1000)
            await self.pass_on(message)
            await self.end(None, completed=True)
            return
        changed = {**message, "headers": settled.headers.asgi()}
        if kind == "websocket.accept":
            self.accepted = True
        else:
            changed["status"] = settled.status
        await self.pass_on(changed)

    async def settle(self, steps: Steps[Response]) -> Response:
        """Run the response phase; what a middleware answers is sent here."""
        try:
            response = await run_async(steps)
            if self.course.own is not None:
                await self.deny(response)
        except BaseException as error:
            self.failed = error
            raise
        return response

    async def deny(self, response: Response) -> None:
        """Refuse the handshake with a middleware's response."""
        self.replaced = True
        if not self.connected:
            # The specification lets nothing be sent before the connect was received.
            message = await self.server_receive()
            if message["type"] == "websocket.disconnect":
                self.disconnected = True
                await self.end(None)
                return
        if "websocket.http.response" not in self.request.extensions:
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
        while has_body("GET", response.status) and not self.course.ended:
            await run_async(self.course.pull())
        last = b"".join(self.course.held)
        await self.pass_on({"type": "websocket.http.response.body", "body": last, "more_body": False})
        self.sent += len(last)
        await self.end(None, completed=True)

    def commit(self, status: int) -> None:
        """Note that the head is on its way."""
        self.state = "committed"
        self.status = status
        self.first_byte_at = perf_counter() - self.began

    async def pass_on(self, message: Message) -> None:
        """Hand a message to the server; an ``OSError`` of it is a client that went away."""
        try:
            await self.server_send(message)
        except OSError:
            self.disconnected = True
            raise

    async def end(self, error: BaseException | None, *, completed: bool = False) -> None:
        """Run ``on_finish``, once."""
        if self.state in ("done", "aborted"):
            return
        self.state = "done" if completed else "aborted"
        self.course.close()
        outcome = judge(
            completed=completed,
            error=error,
            disconnected=self.disconnected,
            status=self.status,
            bytes_sent=self.sent,
            bytes_received=self.received,
            first_byte_at=self.first_byte_at,
            duration=perf_counter() - self.began,
        )
        outcome.websocket_close_code = self.close_code
        steps = self.course.finish(outcome)
        await run_last(steps, error)


def _size(message: Message) -> int:
    """Return the payload bytes of a message."""
    data: bytes | None = message.get("bytes")
    if data is not None:
        return len(data)
    text: str = message.get("text") or ""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
