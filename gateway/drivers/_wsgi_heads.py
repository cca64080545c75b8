"""WSGI: a chain that only touches heads of responses.

A request takes its head inside ``start_response``, and the application's own iterable goes to the server. A hook that
returns something, or fails, a second head, and a head that has not come when the application returns make the exchange
*leave* for the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gateway.drivers._bare import BareHead, BarePairs, BareWsgiRequest
from gateway.drivers._wsgi_exchange import WsgiExchange
from gateway.translate.status import parse_status_line, status_line, status_lines

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from _typeshed import OptExcInfo

    from gateway.drivers._plan import Plan
    from gateway.protocols import Environ, WSGIApplication

__all__ = ["build"]

IDLE: int = 0
COMMITTED: int = 1
LEFT: int = 2


class _Waiting(BareWsgiRequest):
    """A request whose head is waited for: one object, because two would cost twice."""

    __slots__ = ("_left", "_plan", "_server_start", "_state")

    _plan: Plan[WSGIApplication]
    _server_start: StartResponse
    _state: int
    #: Only where the exchange has left.
    _left: WsgiExchange

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take the head of the application and hand it on."""
        if self._state != IDLE and (exc_info is None or self._state == LEFT):
            return (self._left if self._state == LEFT else self.leave()).start(status, headers, exc_info)
        try:
            code, reason = status_lines[status]
        except KeyError:
            code, reason = parse_status_line(status)
        edited = BarePairs()
        edited._seen = -1
        changed = edited._pairs = [*headers]
        response = BareHead()
        response.status = code
        response.reason = reason
        response.headers = edited
        response.body = None
        heads = self._plan.heads
        returned: object = None
        on_response = heads[0]
        try:
            for on_response in heads:
                returned = on_response(self, response)
                if returned is not None:
                    break
        except Exception as error:
            left = self._late(status, headers, exc_info)
            return left.late(left.course.fail(error, self._plan.place(on_response)))
        if returned is not None:
            left = self._late(status, headers, exc_info)
            return left.late(left.course.resume(response, self._plan.place(on_response), returned))
        if response.status != code or response.reason is not reason:
            status = status_line(response.status, response.reason)
        if response.headers is not edited:
            changed = response.headers.wsgi()
        if self._state == IDLE:
            self._state = COMMITTED
            return self._server_start(status, changed)
        return self._server_start(status, changed, exc_info)

    def leave(self) -> WsgiExchange:
        """Hand the exchange over to the long way, with what happened so far."""
        plan = self._plan
        left = self._left = WsgiExchange(plan.segment, plan.app, self, self._server_start)
        if self._state == COMMITTED:
            left.state = "committed"
            left.head = "", []  # it was given; nobody reads it again
        self._state = LEFT
        return left

    def _late(self, line: str, pairs: list[tuple[str, str]], exc_info: OptExcInfo | None) -> WsgiExchange:
        """Leave in the middle of the response phase."""
        again = self._state == COMMITTED
        left = self.leave()
        left.head = line, pairs
        left.exc_info = exc_info if again else None
        return left


def build(plan: Plan[WSGIApplication]) -> WSGIApplication:
    """Return an application that serves with a plan whose heads do not wait for the body."""
    app = plan.app

    def serve(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = _Waiting()
        request.environ = environ
        request._headers = request._slots = None
        request._plan = plan
        request._server_start = start_response
        request._state = IDLE
        try:
            source = app(environ, request.start)
        except BaseException as error:
            if request._state != LEFT:
                raise
            return request._left.raised(error)
        if request._state == COMMITTED:
            return source
        return (request._left if request._state == LEFT else request.leave()).adopt(source)

    return serve
