"""ASGI: one HTTP exchange by the long way, where everything that can happen is decided.

The naive driver takes it from the beginning; the short ways leave for it, with what happened so far, where an exchange
is not regular. The order of hook calls is :class:`~gateway.drivers._course.Course`'s; here its needs are awaited.

States: ``idle`` (no head), ``held`` (a head that waits for more of the body), ``committed``, ``done``, ``aborted``.
(Above 400 lines: one machine, whose states are read best together.)

Source: ASGI HTTP 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing, suppress
from os import fstat
from time import perf_counter
from typing import TYPE_CHECKING, Literal, cast

from gateway.contract import Steps
from gateway.drivers import _watch
from gateway.drivers._colour import in_thread, is_gone, let_others_run, run_async, run_last
from gateway.drivers._course import PULL, Course, Pulled, has_body, one
from gateway.drivers._files import blocks_async, open_at, whole_at_path
from gateway.drivers._outcome import judge
from gateway.drivers._request_body import RequestBody
from gateway.drivers._unread import drop_async
from gateway.drivers._watch import Watcher, has_request_body, watch, watch_early
from gateway.exchange import FileBody, Response
from gateway.headers import AsgiHeaders

if TYPE_CHECKING:
    from gateway._requests import AsgiRequest
    from gateway.drivers._build import Segment
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message

__all__ = ["FILES", "AsgiExchange", "prepare"]

#: Messages of a file that the server sends by itself.
FILES = ("http.response.pathsend", "http.response.zerocopysend")


def prepare(segment: Segment, request: AsgiRequest) -> None:
    """Change what an application is told, where the chain touches bodies."""
    extensions = request.extensions
    if segment.touches_bodies and any(name in extensions for name in FILES):
        request.own()["extensions"] = {name: value for name, value in extensions.items() if name not in FILES}
    if not segment.keeps_length and "content-length" in request.headers:
        request.headers.delete("content-length")


class AsgiExchange:
    """One HTTP request through a segment on ASGI."""

    def __init__(
        self, segment: Segment, app: ASGIApplication, request: AsgiRequest, receive: ASGIReceive, send: ASGISend
    ) -> None:
        self.state: Literal["idle", "held", "committed", "done", "aborted"] = "idle"
        self.segment = segment
        self.app = app
        self.server_receive = receive
        self.server_send = send
        self.request = request
        self.extensions: Mapping[str, object] = self.request.extensions
        self.course: Course = Course(segment.http, self.request)
        self.body: RequestBody = RequestBody(segment.http, self.request)
        self.steps: Steps[Response] | None = None
        self.failed: BaseException | None = None
        self.replaced: bool = False
        self.started: bool = False
        #: Messages that wait for the head, each with how much of the body is held before it, and through how many
        #: transforms that has gone.
        self.waiting: list[tuple[int, int, Message]] = []
        self.trailers: bool = False
        self.body_ended: bool = False
        self.disconnected: bool = False
        self.read_all: bool = False
        #: Whether a middleware answers before the application has read the request's body.
        self.answered_early: bool = False
        #: Whether the message is under way that completes the response.
        self.completing: bool = False
        self.watcher: Watcher | None = None
        self.began: float = perf_counter()
        #: When the last of the content was sent, where the exchange goes on to drop what the client sends.
        self.sent_at: float | None = None
        self.first_byte_at: float | None = None
        self.status: int | None = None
        self.sent: int = 0

    async def run(self) -> None:
        """Run the exchange to its end."""
        try:
            answer = await run_async(self.course.enter())
            if answer is not None:
                self.replaced = self.answered_early = True
                await self.commit(answer)
            else:
                prepare(self.segment, self.request)
        except BaseException as error:
            await self.end(error)
            raise
        if answer is not None:
            await self.end(None)
            return
        try:
            await self.app(self.request.scope, self.receive, self.send)
        except BaseException as error:
            await self.raised(error)
        else:
            await self.returned()

    async def take_over(self, steps: Steps[Response]) -> None:
        """Run the exchange to its end from a response phase that is to come, without the application."""
        self.steps = steps
        self.answered_early = True
        try:
            await self.advance(None)
        except BaseException as error:
            await self.end(error)
            raise
        await self.end(None)

    async def late(self, message: Message, steps: Steps[Response]) -> None:
        """Take over in the middle of the response phase for the head in a message."""
        self.started = True
        self.trailers = bool(message.get("trailers", False))
        self.course.fields = message.get("headers", ())
        self.steps = steps
        await self.advance(None)

    async def raised(self, error: BaseException) -> None:
        """End the exchange after the application raised."""
        try:
            if not isinstance(error, Exception):
                raise error
            await self.application_failed(error)
        except BaseException as final:
            await self.end(final)
            raise
        await self.end(None)

    async def returned(self) -> None:
        """End the exchange after the application returned."""
        try:
            if self.failed is not None:
                raise self.failed
            if not self.replaced and self.state != "done":
                await self.refuse()
            if self.state not in ("done", "aborted") and not self.disconnected:
                # It stopped early: because it swallowed the server's OSError, or by a fault of its own?
                receive = self.server_receive if self.watcher is None else self.watcher.receive
                self.disconnected = await is_gone(receive)
        except BaseException as final:
            await self.end(final)
            raise
        await self.end(None)

    # -- what the application calls

    async def receive(self) -> Message:
        """Pass a message on; a body passes the transforms."""
        message = await (self.server_receive if self.watcher is None else self.watcher.receive)()
        if message["type"] == "http.disconnect":
            if self.state != "done" and not self.completing:
                self.disconnected = True
        elif message["type"] == "http.request":
            chunk: bytes = message.get("body", b"")
            self.read_all = not message.get("more_body", False)
            changed = self.body.push(chunk, not message.get("more_body", False))
            if changed is not chunk:
                message = {**message, "body": changed}
        return message

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        if self.failed is not None:
            raise self.failed
        if self.state not in ("done", "aborted"):
            await self.refuse()
        if self.replaced:
            return
        kind: str = message["type"]
        if kind == "http.response.start" and not self.started:
            self.started = True
            self.trailers = bool(message.get("trailers", False))
            fields = self.course.fields = [*message.get("headers", ())]
            headers = AsgiHeaders.over_raw([*fields])
            response = Response.head(message["status"], headers)
            await self.look_early()
            self.steps = self.course.respond(response, len(self.segment.http))
            await self.advance(None)
        elif kind == "http.response.body" and self.started:
            await self.feed((message.get("body", b""), not message.get("more_body", False), False))
        elif kind in FILES and self.started:
            await self.file(message)
        elif kind == "http.response.trailers":
            last = self.body_ended and not message.get("more_trailers", False)
            await self.pass_on(message, completes=last)
            if last:
                await self.end(None, completed=True)
        elif self.state == "held":
            # Nothing that comes after a head may go before it.
            course = self.course
            self.waiting.append((sum(map(len, course.held)), len(course.transforms), message))
        else:
            await self.pass_on(message)

    async def pass_on(self, message: Message, *, completes: bool = False) -> None:
        """Hand a message to the server; an ``OSError`` of it is a client that went away.

        A disconnect that comes while the message is under way that completes the response says nothing: servers send
        one after each response, and some before that call has returned.
        """
        if completes:
            self.look()
            self.completing = True
        try:
            await self.server_send(message)
        except OSError:
            self.disconnected = True
            raise

    # -- the machine

    async def advance(self, sent: object, error: BaseException | None = None) -> None:
        """Drive the response phase until it is settled, or waits for more of the body."""
        steps = self.steps
        if steps is None:
            return
        try:
            while True:
                try:
                    effect = cast("object", steps.send(cast("None", sent)) if error is None else steps.throw(error))
                except StopIteration as stop:
                    self.replaced = self.course.own is not None
                    await self.commit(cast("Response", stop.value))
                    return
                sent = error = None
                if effect is PULL:
                    self.state = "held"
                    return
                try:
                    sent = await run_async(one(effect))
                except BaseException as raised:
                    error = raised
        except BaseException as raised:
            self.failed = raised
            raise

    async def commit(self, response: Response) -> None:
        """Send the head; and the whole body where a middleware made it."""
        await self.look_early()
        self.state = "committed"
        start: dict[str, object] = {
            "type": "http.response.start",
            "status": response.status,
            "headers": response.headers.asgi(),
        }
        if self.trailers and not self.replaced:
            start["trailers"] = True
        if not self.disconnected:  # else nothing of it reaches anybody
            self.status = response.status
            self.first_byte_at = perf_counter() - self.began
        await self.pass_on(start)
        if self.replaced:
            await self.send_own(response)

    async def send_own(self, response: Response) -> None:
        """Send the body of a middleware's response."""
        if not has_body(self.course.method, response.status):
            await self.send_body(b"", last=True)
            return
        body = response.body
        if isinstance(body, FileBody):
            size = whole_at_path(body) if "http.response.pathsend" in self.extensions else None
            if size is not None:
                await self.pass_on({"type": "http.response.pathsend", "path": body.path}, completes=True)
                self.sent += size
                await self.end(None, completed=True)
                return
            if "http.response.zerocopysend" in self.extensions:
                await self.send_zero_copy(body)
                return
            async with aclosing(blocks_async(body)) as parts:
                async for block in parts:
                    await self.send_body(block, last=False)
                    if self.look():
                        return
            await self.send_body(b"", last=True)
            return
        while True:
            ready, self.course.held = b"".join(self.course.held), []
            if ready or self.course.ended:
                await self.send_body(ready, last=self.course.ended)
            if self.course.ended:
                return
            # Neither the server nor the iterable may have let others run, the watch among them.
            await let_others_run()
            if self.look():
                return
            await run_async(self.course.pull())

    async def send_zero_copy(self, body: FileBody) -> None:
        """Let the server send a part of a file from its descriptor, which is ours to close."""
        file = await in_thread(open_at, body) if body.file is None else open_at(body)
        try:
            left = max(fstat(file.fileno()).st_size - body.offset, 0)
            count = left if body.count is None else min(body.count, left)
            self.sent += count
            message = {"type": "http.response.zerocopysend", "file": file, "offset": body.offset, "count": count}
            await self.pass_on(message, completes=True)
        finally:
            file.close()
        await self.end(None, completed=True)

    async def send_body(self, chunk: bytes, *, last: bool) -> None:
        if not last and self.watcher is None and self.watchable():
            self.watcher = watch(self.server_receive)
        completes = last and (not self.trailers or self.replaced)
        if completes and self.answered_early and not self.read_all and self.has_body():
            await self.drop_rest(chunk)
            return
        await self.pass_on({"type": "http.response.body", "body": chunk, "more_body": not last}, completes=completes)
        if self.status is not None:
            self.sent += len(chunk)
        if last:
            self.body_ended = True
        if completes:
            await self.end(None, completed=True)

    def has_body(self) -> bool:
        """Return whether the request has a body; a length that a transform may change is not declared any more."""
        return self.body.received > 0 or has_request_body(self.request.scope)

    async def drop_rest(self, chunk: bytes) -> None:
        """Send the last of a response, then drop what the client still sends, then end the exchange.

        A client that leaves meanwhile has its response, so it does not count as one that went away.
        """
        await self.pass_on({"type": "http.response.body", "body": chunk, "more_body": True})
        self.sent += len(chunk)
        self.sent_at = perf_counter()
        self.completing = self.body_ended = True
        await drop_async(self.request.scope, self.server_receive)
        with suppress(OSError):
            await self.server_send({"type": "http.response.body", "body": b"", "more_body": False})
        await self.end(None, completed=True)

    def watchable(self) -> bool:
        """Return whether to look out for a client that goes away.

        Somebody waits for the end, or the rest is ours to stop; and a ``receive()`` has nothing else to tell.
        """
        asked = self.replaced or self.segment.defines("on_finish")
        return asked and (self.read_all or not has_request_body(self.request.scope))

    async def look_early(self) -> None:
        """Before a head that took its time, look whether the client is there, if somebody waits for the end."""
        late = self.watcher is None and perf_counter() - self.began > _watch.LOOK_AFTER
        if late and self.segment.defines("on_finish") and self.watchable():
            self.watcher = await watch_early(self.server_receive)
            self.look()

    def look(self) -> bool:
        """Take note of what the watch has seen; return whether the client is gone."""
        if self.watcher is not None and self.watcher.gone and not self.completing:
            self.disconnected = True
        return self.disconnected

    def flows(self) -> bool:
        """Return whether the application's head is out and its body follows."""
        return self.state == "committed" and not self.replaced

    async def feed(self, part: Pulled) -> None:
        """Take a part of the application's body and send what can be sent."""
        if self.state == "held":
            await self.advance(part)
            if not self.flows():
                return
            # Nobody reads what was held again, but it may be large, and the rest may take its time.
            ready, self.course.held = await self.release(b"".join(self.course.held)), []
            if ready or part[1]:
                await self.send_body(ready, last=part[1])
        else:
            ready = b"".join(await run_async(self.course.push_anywhere(part[0], part[1])))
            if ready or part[1] or not self.course.transforms:
                await self.send_body(ready, last=part[1])

    async def release(self, held: bytes) -> bytes:
        """Send the messages that waited for the head in their order among what was held; return what is left of it."""
        sent = 0
        for place, transforms, message in self.waiting:
            # A transform that came later has changed what was held: the place in it cannot be told any more.
            if transforms == len(self.course.transforms) and place > sent:
                await self.send_body(held[sent:place], last=False)
                sent = place
            await self.pass_on(message)
        return held[sent:]

    async def file(self, message: Message) -> None:
        """Pass on a file that the server sends by itself."""
        if self.state == "held":
            await self.advance((b"", True, True))
            if self.replaced:
                return
            await self.release(b"")
        last = message["type"] == "http.response.pathsend" or not message.get("more_body", False)
        await self.pass_on(message, completes=last)
        if last:
            response = self.course.response
            length = response.headers.get("content-length") if response is not None else None
            self.sent += int(length) if length and length.isdigit() else 0
            await self.end(None, completed=True)

    async def refuse(self) -> None:
        """Let a remembered refusal replace the answer, or cut the connection."""
        if self.body.refused is None or self.replaced:
            return
        refuse, index = self.body.refused
        if self.state == "committed":
            self.failed = refuse
            raise refuse
        if self.steps is not None:
            self.steps.close()
        self.answered_early = True
        self.steps = self.course.refuse(refuse, index)
        await self.advance(None)

    async def application_failed(self, error: Exception) -> None:
        """Answer an exception of the application, or raise it."""
        if (self.replaced or self.state == "done") and self.body.is_refusal(error):
            return  # the client has its response, and the server nothing to report
        if self.failed is not None or self.replaced or self.state in ("committed", "done", "aborted"):
            raise error
        if self.body.refused is not None:
            await self.refuse()
        elif self.steps is not None:
            await self.advance(None, error)
        else:
            self.steps = self.course.fail(error, len(self.segment.http))
            await self.advance(None)

    async def end(self, error: BaseException | None, *, completed: bool = False) -> None:
        """Run ``on_finish``, once."""
        if self.state in ("done", "aborted"):
            return
        self.state = "done" if completed else "aborted"
        if self.steps is not None:
            self.steps.close()
        self.course.close()
        if completed:
            self.course.transforms = []  # they may be large, and wait for no garbage collector
        if self.watcher is not None:
            self.look()
            self.watcher.stop()
        outcome = judge(
            completed=completed,
            error=error,
            disconnected=self.disconnected,
            status=self.status,
            bytes_sent=self.sent,
            bytes_received=self.body.received,
            first_byte_at=self.first_byte_at,
            duration=(self.sent_at or perf_counter()) - self.began,
        )
        steps = self.course.finish(outcome)
        await run_last(steps, error)
