"""One call of an ASGI application: carries messages between it and a client that may misbehave.

A client takes the response in one of two ways. ``complete()`` runs the application in the caller's own task until it
returns. ``open()``, ``next_chunk()`` and ``close()`` run it in the background. Each ``send()`` of a body then waits
until the client has taken it, so the application sees a connection without any buffer.

The client leaves by a fault or by ``close()``. From then on, the application gets ``http.disconnect`` and an OSError
from ``send()``. Many applications do neither while they wait for something else, so ``close()`` cancels an application
that continues for half a second. After a complete response, it waits ``timeout`` seconds for background tasks.

Sources: ASGI HTTP 2.5 "Request", "Disconnect Receive Event", "Response Body Send Event".
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread

from gateway.errors import ApplicationError
from gateway.protocols import ASGIApplication, Message, Scope
from gateway.testing._asgi_exchange import AsgiResponse
from gateway.testing._body import Source, recut
from gateway.testing._concurrency import Notifier, spawn
from gateway.testing._failures import is_echo, of_own_cancellation
from gateway.testing._record import CURRENT, Reading, Record
from gateway.testing.faults import ClientDisconnected, Fault, Stop
from gateway.testing.leaks import ENDS_BY, GRACE

#: Number of messages after which ``send()`` lets the loop run.
_YIELD_EVERY = 64

__all__ = ["RequestChunks", "SteppedAsgiCall"]


class RequestChunks:
    """The chunks of a request body, and whether more follow; a fault may cut it in other places or end it early."""

    def __init__(self, source: Source, fault: Fault) -> None:
        self.finished = False
        self.left_midway = False
        self._fault = fault
        self._until = fault.at if fault.disconnect == "mid_request" else None
        self._source = source
        self._chunks: deque[bytes] | None = None
        self._anext: AsyncIterator[bytes] | None = None
        if isinstance(source, (bytes, list)):
            self._chunks = deque(recut([source] if isinstance(source, bytes) else source, fault.request_chunks))

    async def next(self) -> tuple[bytes, bool] | None:
        """Return the next chunk and whether more may follow, or None if the client leaves at this point."""
        if self._until == 0:
            self.left_midway = True
            return None
        if self._fault.request_delay:
            await anyio.sleep(self._fault.request_delay)
        chunk, more = await self._pull()
        if self._until is not None:
            if len(chunk) >= self._until:
                chunk, more = chunk[: self._until], True
            self._until -= len(chunk)
        self.finished = not more
        return chunk, more

    async def _pull(self) -> tuple[bytes, bool]:
        if self._chunks is None and self._fault.request_chunks is not None:
            self._chunks = deque(recut([piece async for piece in self._pieces()], self._fault.request_chunks))
        if self._chunks is not None:
            chunk = self._chunks.popleft() if self._chunks else b""
            return chunk, bool(self._chunks)
        if self._anext is None:
            self._anext = self._pieces()
        async for piece in self._anext:
            return piece, True
        return b"", False

    async def _pieces(self) -> AsyncIterator[bytes]:
        source = self._source
        if isinstance(source, AsyncIterator):
            async for piece in source:
                yield piece
        elif not isinstance(source, (bytes, list)):
            # A test's generator may block (a test streams both ways like that), so a thread runs it, not the loop.
            while (piece := await anyio.to_thread.run_sync(partial(next, source, None))) is not None:
                yield piece


class SteppedAsgiCall:
    """A call of an ASGI application in steps; see the module's docstring. Everything runs in one event loop."""

    def __init__(
        self, app: ASGIApplication, scope: Scope, source: Source, record: Record, fault: Fault, timeout: float | None
    ) -> None:
        self.record = record
        self._app = app
        self._scope = scope
        self._fault = fault
        self._timeout = timeout
        self._exchange = AsgiResponse(record, scope["method"])
        self._body = RequestChunks(source, fault)
        self._reading = Reading(fault)
        self._rate = fault.rate
        self._signal = Notifier()
        self._pending: deque[bytes] = deque()
        self._streams = False
        self._gone = False
        self._ended = False
        self._sent = 0
        self._scope_of_task: anyio.CancelScope | None = None

    # -- the client's side

    async def complete(self) -> None:
        """Run the application until it returns. The record then holds the whole response.

        Raises:
            ApplicationError: The application did not return within the timeout.
        """
        if self._timeout is None:
            await self._run()
            return
        with anyio.move_on_after(self._timeout) as limit:
            await self._run()
        if limit.cancelled_caught:
            raise self._late("return")

    async def open(self) -> None:
        """Start the application; return when it has sent its headers or will not send any."""
        self._streams = True
        spawn(self._run_apart, "gateway.testing: application")
        with anyio.move_on_after(self._timeout) as limit:
            while self._exchange.phase == "idle" and not self._ended and not self._gone:
                await self._signal.wait()
        if limit.cancelled_caught:
            self._cancel()
            await self._ends_within(ENDS_BY)
            raise self._late("send http.response.start")

    async def next_chunk(self) -> bytes | None:
        """Return the next chunk of the body as the application sent it, or None at the end."""
        with anyio.move_on_after(self._timeout) as limit:
            while not self._pending and not (self._ended or self._gone or self._exchange.phase == "complete"):
                await self._signal.wait()
        if limit.cancelled_caught:
            raise self._late("send the next chunk")
        if not self._pending:
            return None
        chunk = self._pending.popleft()
        self.record.chunks.append(chunk)
        self._signal.notify()
        return chunk

    async def close(self) -> None:
        """Leave if the response is not complete, and wait until the application has ended.

        Raises:
            ApplicationError: The application continued for ``timeout`` seconds after a complete response, or did not
                end when it was cancelled.
        """
        if self._pending or self._exchange.phase != "complete":
            self._leave()
        if self._gone:
            if not await self._ends_within(GRACE):
                self.record.app_saw = self.record.app_saw or "cancelled"
                self._cancel()
        elif not await self._ends_within(self._timeout):
            self._cancel()
            await self._ends_within(ENDS_BY)
            raise self._late("return after its response was complete")
        if not await self._ends_within(ENDS_BY):
            raise ApplicationError(
                f"the application did not end within {ENDS_BY} seconds after it was cancelled; "
                "an application must not catch CancelledError and go on"
            )

    async def _ends_within(self, seconds: float | None) -> bool:
        with anyio.CancelScope(shield=True), anyio.move_on_after(seconds):
            while not self._ended:
                await self._signal.wait()
        return self._ended

    # -- the application's side

    async def receive(self) -> Message:
        if not self._gone and not self._body.finished:
            piece = await self._body.next()
            if piece is not None:
                if not piece[1] and self._fault.disconnect == "before_headers" and self._exchange.phase == "idle":
                    self._leave()
                return self._received({"type": "http.request", "body": piece[0], "more_body": piece[1]})
            self._leave()
        while not self._told_by_event():
            await self._signal.wait()
        if self.record.app_saw is not None:
            await anyio.lowlevel.checkpoint()  # an application that asks again and again must not stop the loop
        if self._exchange.phase != "complete":
            self.record.app_saw = self.record.app_saw or "http.disconnect"
        return self._received({"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        self.record.messages.append(message)
        self._sent += 1
        if self._sent % _YIELD_EVERY == 0:
            await anyio.lowlevel.checkpoint()  # an application that never stops sending must not stop the loop
        if self._fault.disconnect == "before_headers" and self._exchange.phase == "idle":
            self._leave()
        if self._gone:
            self._refuse()
            return
        idle = self._exchange.phase == "idle"
        pieces = self._exchange.feed(message)
        if idle and self._exchange.phase != "idle":
            self._signal.notify()
            if self._reading.ends_at_head:
                await self._stop_reading()
                return
        for piece in pieces:
            taken, leaves = self._reading.take(piece)
            if taken and not await self._deliver(taken):
                return
            if leaves:
                await self._stop_reading()
                return
        if self._exchange.phase == "complete":
            self._signal.notify()

    # -- within

    def _received(self, message: Message) -> Message:
        self.record.messages.append(message)
        return message

    def _told_by_event(self) -> bool:
        if self._exchange.phase == "complete":
            return not self._pending
        # Only a disconnect can end an unfinished request body, so the fault's `how` does not matter here.
        return self._gone and (self._fault.tells_by_event or not self._body.finished)

    async def _deliver(self, piece: bytes) -> bool:
        if self._rate is not None:
            await anyio.sleep(len(piece) / self._rate)
        if not self._streams:
            self.record.chunks.append(piece)
            return True
        self._pending.append(piece)
        self._signal.notify()
        while self._pending and not self._gone:
            await self._signal.wait()
        if self._pending:
            self._pending.clear()
            self._refuse()
            return False
        return True

    async def _stop_reading(self) -> None:
        if isinstance(self._fault.reader, Stop):
            await anyio.sleep(self._fault.reader.seconds)
            self._leave()
            self._refuse()
        elif self._exchange.phase != "complete":
            self._leave()
        self._signal.notify()

    def _leave(self) -> None:
        self._gone = True
        self.record.disconnected = True
        # Chunks that the client did not take never reached it.
        self.record.complete = False
        self._signal.notify()

    def _refuse(self) -> None:
        if self._fault.tells_by_error:
            self.record.app_saw = self.record.app_saw or "OSError"
            raise ClientDisconnected

    async def _run(self) -> None:
        token = CURRENT.set(self.record)
        try:
            await self._app(self._scope, self.receive, self.send)
        except (Exception, anyio.get_cancelled_exc_class()) as error:
            own = of_own_cancellation(error)
            if own is None and not isinstance(error, Exception):
                raise
            if self._gone and is_echo(error):
                self.record.echo = None if isinstance(error, ClientDisconnected) else error
            else:
                self.record.error = own or error
        finally:
            CURRENT.reset(token)
            self._ended = True
            self._signal.notify()

    async def _run_apart(self) -> None:
        with anyio.CancelScope() as self._scope_of_task:
            try:
                await self._run()
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # also pytest's own outcomes: the waiting test raises them
                self.record.error = error

    def _cancel(self) -> None:
        if self._scope_of_task is not None:
            self._scope_of_task.cancel()

    def _late(self, what: str) -> ApplicationError:
        return ApplicationError(
            f"the application did not {what} within {self._timeout} seconds; set a larger timeout= for the "
            "client, or find out where the application waits"
        )
