"""ASGI: a group of middleware around an application. One HTTP request is one object, a state machine.

Most exchanges are regular: no middleware responds, nothing fails, no transform changes the body. Then the plain loops
of :class:`~gateway.drivers._order.Exchange` run, and :meth:`AsgiExchange.send` hands the server's own awaitable back to
the application: there is no coroutine of ours between them. Everything else goes through the coroutine
:meth:`AsgiExchange.irregular`. The states are those of :mod:`~gateway.drivers._order`.

(Above 400 lines: one state machine, which is read best on one page.)

Source: ASGI HTTP 2.5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import aclosing, suppress
from os import fstat
from time import perf_counter
from typing import TYPE_CHECKING, cast

from gateway import client
from gateway._requests import AsgiRequest
from gateway.client.asgi import AsgiClient, has_request_body, refused_by
from gateway.drivers._bare import BareHead, BareRawHeaders
from gateway.drivers._effects import perform_async, run_async, run_last
from gateway.drivers._files import blocks_async, open_at, whole_at_path
from gateway.drivers._order import (
    BROKEN,
    CHANGED,
    CLOSED,
    COMMITTED,
    DONE,
    FAILED,
    FLOWING,
    HELD,
    IDLE,
    REFUSED,
    REPLACED,
    SETTLING,
    AsyncExchange,
    judge,
    settled,
)
from gateway.drivers._plan import HookPlan
from gateway.drivers._process import ProcessHooks
from gateway.drivers._response_body import PULL, ResponseBody, has_body
from gateway.drivers._unread import drop_async
from gateway.drivers.websocket import WebsocketExchange
from gateway.exchange import FileBody, Response
from gateway.loops import in_thread, sleep

if TYPE_CHECKING:
    from gateway.contract import Steps
    from gateway.drivers._group import Group
    from gateway.drivers._request_body import RequestBody
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["AsgiExchange", "build"]

START = "http.response.start"
BODY = "http.response.body"
TRAILERS = "http.response.trailers"
#: Messages of a file that the server sends by itself.
FILES = ("http.response.pathsend", "http.response.zerocopysend")


class AsgiExchange(AsyncExchange, AsgiClient, AsgiRequest):
    """One HTTP request through a group on ASGI; made bare, and filled by :func:`build`."""

    __slots__ = (
        "_awaited",
        "_began",
        "_body",
        "_first",
        "_last",
        "_method",
        "_offered",
        "_plan",
        "_read_all",
        "_receive",
        "_response",
        "_send",
        "_sent",
        "_state",
        "_status",
        "_watch",
        "gone",
    )

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__

    _send: ASGISend
    gone: bool
    _body: RequestBody | None
    #: When the exchange began, and how long the headers took.
    _began: float
    _first: float
    _status: int | None
    #: Bytes of the body that were sent.
    _sent: int
    #: How much the last body message carried: it was not sent if `send` raised for it.
    _last: int
    #: What `send` returned for the headers.
    _awaited: object
    #: The response whose headers are out. Set if a hook waits for the end.
    _response: Response

    # Irregular exchanges only: see Exchange.
    _trailers: bool = False
    _body_ended: bool = False
    #: Whether a middleware responds before the application has read the request body.
    _early: bool = False
    #: When the last of the body was sent, if the exchange goes on to drop the rest of the request.
    _sent_at: float | None = None
    #: Messages that wait for the headers: how much of the body is held before each, how many transforms that has
    #: passed, and the message.
    _waiting: list[tuple[int, int, Message]] | None = None

    # -- called by the application: the regular way

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message of the application."""
        state = self._state
        if state == COMMITTED:
            return self._send(message)
        if state == IDLE and message["type"] == START:
            return self.start(message)
        return self.irregular(message)

    def count(self, message: Message) -> Awaitable[None]:
        """Do the same if a hook waits for the end: count the bytes that pass, and see the last message."""
        if self._state == FLOWING and message.get("more_body"):  # a part of a body: only these have others that follow
            self._last = size = len(message.get("body", b""))
            self._sent += size
            return self._send(message)
        if COMMITTED <= self._state <= FLOWING:
            kind = message["type"]
            if kind == BODY:
                self._last = size = len(message.get("body", b""))
                self._sent += size
                if not message.get("more_body"):
                    return self.complete(message)
                if self._watch is None:
                    self.watch()
                self._state = FLOWING
                return self._send(message)
            return self.irregular(message) if kind in FILES else self._send(message)
        return self.start(message) if self._state == IDLE and message["type"] == START else self.irregular(message)

    def start(self, message: Message) -> Awaitable[None]:
        """Take the application's headers."""
        plan = self._plan
        if plan.watches:
            self._first = first = perf_counter() - self._began
            if first > client.LOOK_AFTER and self._watch is None and self.is_watchable():
                self._state = SETTLING
                return self.start_late(message)
        headers = BareRawHeaders()
        headers._seen = -1
        raw = headers._raw = [*message.get("headers", ())]
        response = BareHead()
        response.status = message["status"]
        response.headers = headers
        response.body = response.reason = None
        steps = self.outwards(response, iter(plan.outward))
        if steps is not None:
            self._steps = steps
            self._state = SETTLING
            self._fields = message.get("headers", ())
            self._trailers = bool(message.get("trailers", False))
            return self.advance()
        if response.headers is not headers:
            raw = response.headers.asgi()
        if len(message) == 3 and "headers" in message:
            message = {"type": START, "status": response.status, "headers": raw}
        else:
            message = {**message, "status": response.status, "headers": raw}
        self._state = COMMITTED
        if plan.watches:
            if message.get("trailers"):
                self._trailers = True
                self._state = CHANGED
            self._response = response
            if not self.gone:
                self._status = response.status
            self._awaited = awaited = self._send(message)
            return awaited
        return self._send(message)

    async def start_late(self, message: Message) -> None:
        """Take headers that took their time: the client may have given up."""
        try:
            await self.watch_early()
        finally:
            self._state = IDLE
            self.wake()
        await self.start(message)

    async def complete(self, message: Message, size: int = 0) -> None:
        """Send the last message; that is the completion.

        A disconnect that comes while this message is under way says nothing: servers send one after each response, and
        some before that call has returned.

        Args:
            message: The message.
            size: Bytes of the body that it carries, if they are not counted yet.
        """
        gone = self.look()
        try:
            await self._send(message)
        except OSError:
            self.gone = True
            raise
        self.gone = gone
        self._sent += size
        steps = self.ended(None, completed=True)
        if steps is not None:
            await run_last(steps, None)

    async def receive(self) -> Message:
        """Pass a message on to the application; a body is counted and passes the transforms."""
        message = await self.next_message()
        if message["type"] == "http.request" and self._plan.reads:
            chunk: bytes = message.get("body", b"")
            changed = self.request_body().push(chunk, self._read_all)
            if changed is not chunk:
                return {**message, "body": changed}
        return message

    # -- called by the application: everything else

    async def irregular(self, message: Message) -> None:
        """Take a message that is not simply passed on."""
        await self.until_settled()
        state, kind = self._state, message["type"]
        if state in (FAILED, BROKEN):
            raise cast("BaseException", self._failed)
        if state == REFUSED:
            await self.send_refusal()
        elif state in (REPLACED, CLOSED):
            return  # the application's response is not sent
        elif state == IDLE and kind == START:
            await self.start(message)
        elif state == HELD and kind == BODY:
            await self.advance((message.get("body", b""), not message.get("more_body", False), False))
        elif state == HELD and kind in FILES:
            await self.advance((b"", True, True))
            if self._state != REPLACED:
                await self.irregular(message)
        elif state == HELD:
            self.wait(message)
        elif COMMITTED <= state <= CHANGED and kind == BODY:
            await self.send_part(message.get("body", b""), last=not message.get("more_body", False))
        elif COMMITTED <= state <= CHANGED and kind in FILES:
            await self.send_file(message)
        elif state == CHANGED and kind == TRAILERS and self._body_ended and not message.get("more_trailers", False):
            await self.complete(message)
        else:
            await self.pass_on(message)

    async def pass_on(self, message: Message) -> None:
        """Hand a message to the server; an ``OSError`` of it is a client that went away."""
        try:
            await self._send(message)
        except OSError:
            self.gone = True
            raise

    def wait(self, message: Message) -> None:
        """Keep a message until the headers are out: nothing that comes after them may go before."""
        out = self._out
        held, transforms = (sum(map(len, out.held)), len(out.transforms)) if out is not None else (0, 0)
        self._waiting = [*(self._waiting or ()), (held, transforms, message)]

    # -- the response phase

    async def advance(self, sent: object = None, error: BaseException | None = None) -> None:
        """Run the steps of the response phase until the headers are out, or wait for more of the body."""
        steps = cast("Steps[Response]", self._steps)
        self._state = SETTLING
        try:
            while True:
                try:
                    effect = cast("object", steps.send(cast("None", sent)) if error is None else steps.throw(error))
                except StopIteration as stop:
                    response = cast("Response", stop.value)
                    break
                sent = error = None
                if effect is PULL:
                    self._state = HELD
                    return
                try:
                    sent = await perform_async(effect)
                except BaseException as raised:
                    error = raised
            if self._state == SETTLING:  # else the exchange has ended while the hook waited
                await self.commit(response)
        except BaseException as raised:
            self._failed = raised
            self._state = FAILED if self._state < DONE else BROKEN
            raise
        finally:
            self.wake()

    async def commit(self, response: Response) -> None:
        """Send the headers, then what of the body is there: all of it if a middleware made it."""
        body = self._body
        if self._made is None and body is not None and body.refused is not None:
            await self.send_refusal()
            return
        if self._watch is None and self._plan.watches and perf_counter() - self._began > client.LOOK_AFTER:
            await self.watch_early()
        if self._plan.watches and not self.gone:  # else nothing of it reaches anybody
            self._status = response.status
            self._first = perf_counter() - self._began
        message = {"type": START, "status": response.status, "headers": response.headers.asgi()}
        if self._made is not None:
            self._state = REPLACED
            self.wake()
            await self.pass_on(message)
            content = response.body if has_body(self._method, response.status) else b""
            if self._out is None and isinstance(content, bytes):
                await self.send_body(content, last=True)
            else:
                await self.send_made(response)
            return
        if self._trailers:
            message["trailers"] = True
        self._response = response
        await self.pass_on(message)
        out = self._out
        if out is not None:
            last = out.is_complete
            held = await self.send_waiting(out, out.release())
            if held or last:
                await self.send_body(held, last=last)
        if self._state == SETTLING:
            changes = self._trailers or (out is not None and bool(out.transforms))
            self._state = CHANGED if changes else COMMITTED
            body = self._body
            if body is not None and body.refused is not None:  # meanwhile
                self.body_refused(body.refused[0])

    async def send_waiting(self, out: ResponseBody, held: bytes) -> bytes:
        """Send the messages that waited for the headers in their order among the body; return the rest of the body."""
        sent = 0
        for place, transforms, message in self._waiting or ():
            # A transform that came later has changed the held bytes: their old place means nothing.
            if transforms == len(out.transforms) and place > sent:
                await self.send_body(held[sent:place], last=False)
                sent = place
            await self.pass_on(message)
        return held[sent:]

    async def send_refusal(self) -> None:
        """Send the refusal of the request body in the place of the application's response."""
        self._early = True
        self._steps = settled(self.refuse())
        await self.advance()

    # -- bodies

    async def send_part(self, chunk: bytes, *, last: bool) -> None:
        """Send a part of the application's body; it passes the transforms."""
        out = self._out
        if out is not None and out.transforms:
            chunk = b"".join(await run_async(out.push_anywhere(chunk, last)))
            if not chunk and not last:
                return
        await self.send_body(chunk, last=last)

    async def send_body(self, chunk: bytes, *, last: bool) -> None:
        """Send bytes as they are; the last ones complete the response, unless trailers follow."""
        replaced = self._state == REPLACED
        if not last and self._watch is None and (replaced or self._plan.watches):
            self.watch()
        completes = last and (replaced or not self._trailers)
        if completes and self._early and not self._read_all and has_request_body(self._offered):
            await self.drop_rest(chunk)
            return
        message = {"type": BODY, "body": chunk, "more_body": not last}
        if completes:
            await self.complete(message, len(chunk))
            return
        await self.pass_on(message)
        self._sent += len(chunk)
        self._body_ended = self._body_ended or last

    async def drop_rest(self, chunk: bytes) -> None:
        """Send the last of a response, then drop the rest of the request, then end the exchange.

        A client that leaves meanwhile has its response, so it does not count as one that went away.
        """
        gone = self.look()
        await self.pass_on({"type": BODY, "body": chunk, "more_body": True})
        self._sent += len(chunk)
        self._sent_at = perf_counter()
        await drop_async(self._offered, self._receive)
        with suppress(OSError):
            await self._send({"type": BODY, "body": b"", "more_body": False})
        self.gone = gone
        await self.end(None, completed=True)

    async def send_made(self, response: Response) -> None:
        """Send the body of a middleware's response."""
        body = response.body
        if not has_body(self._method, response.status):
            await self.send_body(b"", last=True)
        elif isinstance(body, FileBody):
            await self.send_made_file(body)
        else:
            if self._out is None:
                self._out = ResponseBody(body)
            await self.send_made_parts(self._out)

    async def send_made_parts(self, out: ResponseBody) -> None:
        while True:
            last = out.ended
            ready = out.release()
            if ready or last:
                await self.send_body(ready, last=last)
            if last:
                return
            # Neither the server nor the iterable may have let others run, the watch among them.
            await sleep(0)
            if self.look():
                return
            await run_async(out.pull())

    async def send_made_file(self, body: FileBody) -> None:
        """Let the server send a file if it can, else send it in blocks."""
        offered: Mapping[str, object] = self._offered.get("extensions") or {}
        size = whole_at_path(body) if "http.response.pathsend" in offered else None
        if size is not None:
            await self.complete({"type": "http.response.pathsend", "path": body.path}, size)
            return
        if "http.response.zerocopysend" in offered:
            await self.send_zero_copy(body)
            return
        async with aclosing(blocks_async(body)) as parts:
            async for block in parts:
                await self.send_body(block, last=False)
                if self.look():
                    return
        await self.send_body(b"", last=True)

    async def send_zero_copy(self, body: FileBody) -> None:
        """Let the server send a part of a file from its descriptor, which is ours to close."""
        file = await in_thread(open_at, body) if body.file is None else open_at(body)
        try:
            left = max(fstat(file.fileno()).st_size - body.offset, 0)
            count = left if body.count is None else min(body.count, left)
            message = {"type": "http.response.zerocopysend", "file": file, "offset": body.offset, "count": count}
            await self.complete(message, count)
        finally:
            file.close()

    async def send_file(self, message: Message) -> None:
        """Pass on a file of the application's that the server sends by itself."""
        if message["type"] == "http.response.zerocopysend" and message.get("more_body", False):
            await self.pass_on(message)
            return
        length = self._response.headers.get("content-length") if self._plan.watches else None
        await self.complete(message, int(length) if length and length.isdigit() else 0)

    # -- the end

    async def respond_early(self, entered: Response | Steps[Response | None]) -> bool:
        """Run the rest of the request phase; send the response if it comes to one."""
        response = entered if isinstance(entered, Response) else await run_async(entered)
        if response is None:
            return False
        self._early = True
        await self.commit(response)
        await self.end(None)
        self._headers = None  # as in :func:`_http`
        return True

    async def returned(self) -> None:
        """End an exchange whose application returned before its response was complete, or after it was replaced."""
        try:
            if self._state == FAILED:
                raise cast("BaseException", self._failed)
            if self._state == REFUSED:
                await self.send_refusal()
            if self._state < DONE and self._plan.watches and not self.gone:
                # It stopped early: because it swallowed the server's OSError, or by a fault of its own?
                await self.ask()
        except BaseException as error:
            await self.end(error)
            raise
        await self.end(None)

    async def raised(self, error: BaseException) -> None:
        """End an exchange whose application raised."""
        if self._plan.watches and self._state <= FLOWING:
            from_send = refused_by(error, self._send, self._awaited)
            if from_send is not None:
                self._sent -= self._last
                self.gone = self.gone or isinstance(from_send, OSError)
        try:
            if not isinstance(error, Exception):
                raise error
            await self.application_failed(error)
        except BaseException as final:
            await self.end(final)
            raise
        await self.end(None)

    async def application_failed(self, error: Exception) -> None:
        """Respond to an exception of the application, or raise it."""
        state = self._state
        if state in (REPLACED, CLOSED, DONE) and self._body is not None and self._body.is_refusal(error):
            return  # the client has its response, and the server nothing to report
        if state == IDLE:
            self._steps = self.fail(error, self._plan.size)
            await self.advance()
        elif state == HELD:
            await self.advance(None, error)
        elif state == REFUSED:
            await self.send_refusal()
        else:
            raise error

    async def end(self, error: BaseException | None, *, completed: bool = False) -> None:
        """Run ``on_finish``, once."""
        steps = self.ended(error, completed=completed)
        if steps is not None:
            await run_last(steps, error)

    def ended(self, error: BaseException | None, *, completed: bool) -> Steps[None] | None:
        """Run ``on_finish``, once; return steps if a hook does IO."""
        if self._state >= DONE:
            return None
        if self._watch is not None:
            if not completed:
                self.look()
            self.stop_watching()
        finishing = self.over(completed=completed)
        if not finishing:
            return None
        outcome = judge(
            completed,
            error,
            self.gone,
            self._status,
            0 if self._status is None else self._sent,
            0 if self._body is None else self._body.received,
            None if self._status is None else self._first,
            (self._sent_at or perf_counter()) - self._began,
        )
        return self.finish(outcome, iter(finishing))


def _prepare(plan: HookPlan, exchange: AsgiExchange) -> None:
    """Change the scope for the application, if the group touches bodies."""
    extensions = exchange.extensions
    if plan.touches_bodies and any(name in extensions for name in FILES):
        exchange.own()["extensions"] = {name: value for name, value in extensions.items() if name not in FILES}
    if not plan.keeps_length and "content-length" in exchange.headers:
        exchange.headers.delete("content-length")


def build(group: Group, app: ASGIApplication) -> ASGIApplication:
    """Return an ASGI application that runs the group around another."""
    process = ProcessHooks(group.http, "asgi") if ProcessHooks.needed(group.http) else None
    plan = HookPlan(group.http)
    if plan.is_empty and not group.websocket and group.startup is None and process is None:
        return app
    other = _other(group, app, process)
    serve = _rest(app, other) if plan.is_empty else _http(plan, app, other)
    return serve if process is None else _started(process, serve)


def _http(plan: HookPlan, app: ASGIApplication, other: ASGIApplication) -> ASGIApplication:
    """Serve HTTP with the group, and every other scope with ``other``."""
    inward, watches, prepares = plan.inward, plan.watches, plan.prepares
    over = DONE if watches else COMMITTED

    async def http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "http":
            await other(scope, receive, send)
            return
        exchange = AsgiExchange()
        exchange.scope = exchange._offered = scope
        exchange._owned = False
        exchange._headers = exchange._slots = None
        exchange._plan = plan
        exchange._method = scope.get("method", "GET")
        exchange._receive = receive
        exchange._send = send
        exchange._state = IDLE
        exchange._body = exchange._watch = exchange._status = exchange._awaited = None
        exchange.gone = exchange._read_all = False
        exchange._sent = exchange._last = 0
        exchange._began = perf_counter() if watches else 0.0
        try:
            entered = exchange.enter(iter(inward)) if inward else None
            if entered is not None and await exchange.respond_early(entered):
                return
            if prepares:
                _prepare(plan, exchange)
        except BaseException as error:
            await exchange.end(error)
            raise
        try:
            await app(
                exchange.scope,
                exchange.receive,
                exchange.count if watches else exchange.send,
            )
        except BaseException as error:
            await exchange.raised(error)
        else:
            if exchange._state != over:
                await exchange.returned()
            # The headers know the request, to write through it: leave nothing to the garbage collector.
            exchange._headers = None

    return http


def _other(group: Group, app: ASGIApplication, process: ProcessHooks | None) -> ASGIApplication:
    """Return what serves every scope but HTTP: WebSocket handshakes, the lifespan, unknown scopes."""
    plan = HookPlan(group.websocket)
    starts = app if group.startup is None else group.startup.watch(app)

    async def other(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "websocket" and plan.size:
            await WebsocketExchange(plan, app, scope, receive, send).run()
        elif scope["type"] == "lifespan" and process is not None:
            await process.lifespan(starts, scope, receive, send)
        elif scope["type"] == "lifespan":
            await starts(scope, receive, send)
        else:
            await app(scope, receive, send)

    return other


def _rest(app: ASGIApplication, other: ASGIApplication) -> ASGIApplication:
    """Serve a group without a hook for HTTP."""

    async def http(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await (app if scope["type"] == "http" else other)(scope, receive, send)

    return http


def _started(process: ProcessHooks, serve: ASGIApplication) -> ASGIApplication:
    """Start the hooks before the first request if no lifespan did."""

    async def started(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if not process.started and scope["type"] in ("http", "websocket"):
            await process.start_async()
        await serve(scope, receive, send)

    return started
