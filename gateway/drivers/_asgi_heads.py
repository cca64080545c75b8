"""ASGI: a chain that only touches heads of responses.

A request waits for its head; every other message goes to the server as it is, and the server's own awaitable back to
the application. A hook that returns something, or fails, makes the exchange *leave* for the long way, and that is where
messages go from then on.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gateway.drivers._asgi_exchange import AsgiExchange
from gateway.drivers._bare import BareAsgiRequest, BareHead, BareRawHeaders

if TYPE_CHECKING:
    from gateway.drivers._plan import Plan
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["build"]

START = "http.response.start"


class _Waiting(BareAsgiRequest):
    """A request whose head is waited for: one object, because two would cost twice."""

    __slots__ = ("_left", "_onward", "_passes", "_plan", "_receive")

    #: Where messages go: to the server, or the long way.
    _onward: ASGISend
    #: Whether the head came.
    _passes: bool
    _plan: Plan[ASGIApplication]
    _receive: ASGIReceive
    #: Only where messages take the long way.
    _left: AsgiExchange

    def passing(self, message: Message) -> Awaitable[None]:
        """Take a message of the application; no coroutine of ours stands between it and the server."""
        if self._passes or message["type"] != START:
            return self._onward(message)
        self._passes = True
        headers = BareRawHeaders()
        headers._seen = -1
        raw = headers._raw = [*message.get("headers", ())]
        response = BareHead()
        response.status = message["status"]
        response.headers = headers
        response.body = response.reason = None
        heads = self._plan.heads
        returned: object = None
        on_response = heads[0]
        try:
            for on_response in heads:
                returned = on_response(self, response)
                if returned is not None:
                    break
        except Exception as error:
            left = self._leave()
            return left.late(message, left.course.fail(error, self._plan.place(on_response)))
        if returned is not None:
            left = self._leave()
            return left.late(message, left.course.resume(response, self._plan.place(on_response), returned))
        if response.headers is not headers:
            raw = response.headers.asgi()
        if len(message) == 3 and "headers" in message:
            return self._onward({"type": START, "status": response.status, "headers": raw})
        return self._onward({**message, "status": response.status, "headers": raw})

    def _leave(self) -> AsgiExchange:
        plan = self._plan
        left = self._left = AsgiExchange(plan.segment, plan.app, self, self._receive, self._onward)
        self._onward = left.send
        return left


def build(plan: Plan[ASGIApplication], other: ASGIApplication) -> ASGIApplication:
    """Return an application that serves HTTP with the plan, and hands every other scope to ``other``."""
    app = plan.app

    async def http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "http":
            await other(scope, receive, send)
            return
        request = _Waiting()
        request.scope = scope
        request._owned = False
        request._headers = request._slots = None
        request._onward = send
        request._passes = False
        request._plan = plan
        request._receive = receive
        try:
            await app(scope, receive, request.passing)
        except BaseException as error:
            if request._onward is send:
                raise
            await request._left.raised(error)
        else:
            if request._onward is not send:
                await request._left.returned()
            request._headers = None  # they know the request: nothing is left to the garbage collector

    return http
