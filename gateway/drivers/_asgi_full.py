"""ASGI: any chain. The regular exchange is one object with its state, which leaves for the long way where it must.

States: ``IDLE`` (no head), ``COMMITTED`` (the head is out), ``DONE`` (the last message was sent); ``LEFT`` says that
the long way has taken over. What a chain does not define is no branch in a request, or one test of a constant.

(Above 400 lines: one state machine of one exchange, whose states are read best on one page.)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

from gateway._requests import AsgiRequest
from gateway.contract import Refuse
from gateway.drivers import _watch
from gateway.drivers._answer import answer_asgi, is_simple, unseen
from gateway.drivers._asgi_exchange import FILES, AsgiExchange, prepare
from gateway.drivers._bare import BareHead, BareRawHeaders, bare_outcome
from gateway.drivers._colour import run_async
from gateway.drivers._course import has_body, settle
from gateway.drivers._flows import ENDED, begun, ended
from gateway.drivers._outcome import refused
from gateway.drivers._plan import Plan
from gateway.drivers._request_body import RequestBody
from gateway.drivers._watch import Watcher, has_request_body, watch, watch_early
from gateway.exchange import Outcome, Response

if TYPE_CHECKING:
    from gateway.contract import Steps
    from gateway.drivers._flows import Runner
    from gateway.drivers._plan import OnResponse
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["build"]

#: Plain ints: what a closure compares in every message.
START = "http.response.start"
BODY = "http.response.body"
IDLE: int = 0
COMMITTED: int = 1
DONE: int = 2
LEFT: int = 3
#: What stands for the exchange before there is one; a plain ``None`` would be settled for a type checker.
NOT_LEFT: AsgiExchange | None = None

logger: logging.Logger = logging.getLogger("gateway.drivers")


class _Regular(AsgiRequest):
    """A request with the state of its regular exchange: one object, because two would cost twice.

    What a plan does not need is not set; :meth:`leave` asks the plan.
    """

    __slots__ = (
        "_awaited",
        "_began",
        "_body",
        "_disconnected",
        "_extensions",
        "_first",
        "_flows",
        "_last",
        "_left",
        "_method",
        "_plan",
        "_read_all",
        "_receive",
        "_response",
        "_running",
        "_send",
        "_sent",
        "_state",
        "_status",
        "_watcher",
    )

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__

    _left: AsgiExchange | None
    _plan: Plan[ASGIApplication]
    _receive: ASGIReceive
    _send: ASGISend
    _state: int
    #: Only for who waits for the end.
    _began: float
    _first: float
    #: Whether of a message that others follow only the size is looked at.
    _flows: bool
    #: What ``send`` returned for the head; not before it.
    _awaited: object
    #: How much the last of the body carried, not before one came: it was not sent where ``send`` refuses it.
    _last: int
    _response: Response
    _sent: int
    _status: int
    #: Only where the request body is read through here.
    _body: RequestBody | None
    _disconnected: bool
    _read_all: bool
    _watcher: Watcher | None
    #: Only for who transforms bodies, and for flows.
    _extensions: Mapping[str, object]
    _method: str
    _running: list[Runner]

    def leave(self, entered: int) -> AsgiExchange:
        """Hand the exchange over to the long way, with what happened so far."""
        plan = self._plan
        left = self._left = AsgiExchange(plan.segment, plan.app, self, self._receive, self._send)
        left.extensions = self._extensions if plan.prepares else self.extensions
        if plan.watches:
            left.began = self._began
        if plan.bodies:
            left.course.method = self._method
        left.course.entered = left.course.level = entered
        if plan.reads:
            left.disconnected = self._disconnected
            left.read_all, left.watcher = self._read_all, self._watcher
            if self._body is not None:
                left.body = self._body
        if plan.easy:
            plan.runners.hand_over(self, self._running, entered)
        if self._state == COMMITTED:
            left.state, left.started = "committed", True
            if plan.watches:
                left.course.response = self._response
                left.status, left.first_byte_at, left.sent = self._status, self._first, self._sent
        if plan.watches:
            self._flows = False
        self._state = LEFT
        return left

    def passing(self, message: Message) -> Awaitable[None]:
        """Take a message of the application; no coroutine of ours stands between it and the server."""
        if self._state != IDLE or message["type"] != START:
            return self._send(message) if self._left is None else self._left.send(message)
        plan = self._plan
        plain = len(message) == 3 and "headers" in message
        if plan.watches:
            if not plain and message.get("trailers"):
                return self.leave(plan.size).send(message)
            first = self._first = perf_counter() - self._began
            if first > _watch.LOOK_AFTER and self._watcher is None and self.watchable():
                return self.late_head(message)
        headers = BareRawHeaders()
        headers._seen = -1
        raw = headers._raw = [*message.get("headers", ())]
        response = BareHead()
        response.status = message["status"]
        response.headers = headers
        response.body = response.reason = None
        index = plan.size
        returned: object = None
        change: object = None
        on_response: OnResponse | None = None
        try:
            if plan.mixed:
                for index, flow, on_response, on_body in plan.outward:
                    if flow:
                        effect = self._running[index].send(response)
                        if effect is not ENDED:
                            ended(self._running[index], effect)
                        continue
                    if on_response is not None:
                        returned = on_response(self, response)
                        if returned is not None:
                            break
                    if on_body is not None and has_body(self._method, response.status):
                        change = on_body(self, response)
                        if change is not None:
                            break
            else:
                for on_response in plan.heads:
                    returned = on_response(self, response)
                    if returned is not None:
                        break
        except Exception as error:
            if not plan.mixed and on_response is not None:
                index = plan.place(on_response)
            left = self.leave(plan.size)
            return left.late(message, left.course.fail(error, index))
        if returned is None and change is None:
            self._state = COMMITTED
            if plan.mixed and plan.easy:
                plan.runners.put(self._running)
                self._running = []
            if plan.watches:
                self._response = response
                self._status = response.status
            if response.headers is not headers:
                raw = response.headers.asgi()
            if plain:
                awaited = self._send({"type": START, "status": response.status, "headers": raw})
            else:
                awaited = self._send({**message, "status": response.status, "headers": raw})
            if plan.watches:
                self._awaited = awaited
            return awaited
        left = self.leave(plan.size)
        if change is not None:
            return left.late(message, left.course.resume_body(response, index, change))
        if not plan.mixed and on_response is not None:
            index = plan.place(on_response)
        return left.late(message, left.course.resume(response, index, returned))

    def counting(self, message: Message) -> Awaitable[None]:
        """Do the same where somebody waits for the end: count what passes, and see the last message."""
        if self._flows and message.get("more_body"):  # a body, or a part of a file: only these have others that follow
            self._last = size = len(message.get("body", b""))
            self._sent += size
            return self._send(message)
        if self._state == COMMITTED:
            kind = message["type"]
            if kind == BODY:
                self._last = size = len(message.get("body", b""))
                self._sent += size
                if not message.get("more_body"):
                    return self.last(message)
                self.watch()
                return self._send(message)
            if kind in FILES:
                return self.leave(self._plan.size).file(message)
        return self.passing(message)

    def watchable(self) -> bool:
        """Return whether a ``receive()`` has nothing to tell but a disconnect."""
        return self._read_all or not has_request_body(self.scope)

    async def late_head(self, message: Message) -> None:
        """Take a head that took its time: the client may have given up."""
        self._watcher = watcher = await watch_early(self._receive)
        if watcher.gone and self._left is None:
            self._disconnected = True
            self.leave(self._plan.size)
        await self.passing(message)

    def watch(self) -> None:
        """Look out for a client that goes away, from the first chunk on that others follow."""
        if self._watcher is None and self.watchable():
            self._watcher = watch(self._receive)
        self._flows = True

    async def last(self, message: Message) -> None:
        """Send the last message; that is the completion."""
        # What is seen before counts: servers hand a disconnect out after each response, some before this call returns.
        watcher = self._watcher
        gone = self._disconnected or (watcher is not None and watcher.gone)
        await self._send(message)
        if gone:
            await self.leave(self._plan.size).end(None, completed=True)
            return
        if watcher is not None:
            watcher.stop()
        self._state = DONE
        outcome = bare_outcome(Outcome)
        outcome.kind = "completed"
        outcome.status = self._status
        outcome.bytes_sent = self._sent
        outcome.bytes_received = 0 if self._body is None else self._body.received
        outcome.first_byte_at = self._first
        outcome.duration = perf_counter() - self._began
        outcome.error = outcome.websocket_close_code = None
        outcome.disconnected = False
        cut: BaseException | None = None
        for on_finish in self._plan.finishing:
            try:
                result = on_finish(self, outcome)
                if result is not None:
                    await run_async(settle(result))
            except Exception:
                logger.exception("on_finish of %r failed; the response is not altered", on_finish)
            except BaseException as error:
                cut = cut or error
        if cut is not None:
            raise cut

    async def reading(self) -> Message:
        """Pass a message on to the application; a body is counted and passes the transforms."""
        watcher = self._watcher if self._left is None else self._left.watcher
        message = await (self._receive if watcher is None else watcher.receive)()
        kind = message["type"]
        if kind == "http.request":
            if self._body is None:
                self._body = self._left.body if self._left is not None else RequestBody(self._plan.chain, self)
            chunk: bytes = message.get("body", b"")
            self._read_all = not message.get("more_body", False)
            if self._left is not None:
                self._left.read_all = self._read_all
            try:
                changed = self._body.push(chunk, not message.get("more_body", False))
            except Refuse:
                if self._state in (IDLE, COMMITTED):
                    self.leave(self._plan.size)
                raise
            if changed is not chunk:
                return {**message, "body": changed}
        elif kind == "http.disconnect" and self._state != DONE:
            self._disconnected = True
            if self._left is None and self._state == IDLE:
                self.leave(self._plan.size)  # what is sent now reaches nobody
            elif self._left is not None and self._left.state not in ("done", "aborted") and not self._left.completing:
                self._left.disconnected = True
        return message

    async def answered(self, left: AsgiExchange, steps: Steps[Response]) -> None:
        """Send what a middleware answers, by the long way; the application is not called."""
        try:
            await left.take_over(steps)
        finally:
            # Both know the request, and nobody comes back: nothing is left to the garbage collector.
            self._left = self._headers = None

    async def raised(self, error: BaseException) -> None:
        """End the exchange after the application raised."""
        if self._state == DONE:
            if self._body is not None and self._body.is_refusal(error):
                return  # it came after the response was complete
            raise error
        if self._left is None and self._plan.watches:
            from_send = refused(error, self._send, getattr(self, "_awaited", None))
            if from_send is not None:
                self._sent -= getattr(self, "_last", 0)
                self._disconnected = self._disconnected or isinstance(from_send, OSError)
        await (self._left or self.leave(self._plan.size)).raised(error)

    async def returned(self) -> None:
        """End an exchange that is not complete although the application returned, or that left."""
        await (self._left or self.leave(self._plan.size)).returned()


def build(plan: Plan[ASGIApplication], other: ASGIApplication) -> ASGIApplication:
    """Serve any chain; what it does not define is left out once, here."""
    app, segment = plan.app, plan.segment
    inward, easy, bodies, watches, prepares = plan.inward, bool(plan.easy), plan.bodies, plan.watches, plan.prepares
    reads, take = plan.reads, plan.runners.take
    over = DONE if watches else COMMITTED
    quiet = unseen(segment.http)

    async def http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "http":
            await other(scope, receive, send)
            return
        request = _Regular()
        request.scope = scope
        request._owned = False
        request._headers = request._slots = None
        request._left = NOT_LEFT
        request._plan = plan
        request._receive = receive
        request._send = send
        request._state = IDLE
        if reads:
            request._body = request._watcher = None
            request._disconnected = request._read_all = False
        if watches:
            request._sent = 0
            request._flows = False
            request._began = perf_counter()
        if prepares:
            request._extensions = request.extensions
        if bodies:
            request._method = request.method
        if easy:
            request._running = take()
        index = 0
        returned: object = None
        try:
            for index, flow, enter in inward:
                returned = enter(request)
                if returned is None:
                    continue
                if flow:
                    returned = request._running[index].send(returned)
                    if returned is not None:
                        begun(request._running[index], returned)
                        returned = None
                    continue
                returned = await run_async(settle(returned))
                if returned is not None:
                    break
        except Exception as error:
            left = request.leave(index + 1)
            await request.answered(left, left.course.entry_failed(error, index))
            return
        except BaseException as error:
            await request.leave(index + 1).end(error)
            raise
        if returned is not None:
            if quiet[index] and is_simple(returned):
                await answer_asgi(returned, request._method if bodies else request.method, scope, receive, send)
                request._headers = None
                return
            left = request.leave(index + 1)
            await request.answered(left, left.course.answer(returned, index))
            return
        if prepares:
            prepare(segment, request)
        try:
            await app(
                request.scope,
                request.reading if reads else receive,
                request.counting if watches else request.passing,
            )
        except BaseException as error:
            await request.raised(error)
        else:
            # Where nobody waits for the end, a head that is out is all there is to see.
            if request._state != over:
                await request.returned()
            # They know the request, to write through it: nothing of an exchange is left to the garbage collector.
            request._headers = None

    return http
