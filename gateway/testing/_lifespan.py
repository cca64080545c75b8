"""A lifespan in a task of its own, from the first request of a client to its close; asyncio and trio.

`gateway.lifespan.Lifespan` implements the protocol. This module only keeps its block open in the background, so that a
test can use a client with or without ``with``.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import anyio

from gateway.lifespan import Lifespan, LifespanFailed
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope
from gateway.testing._concurrency import Notifier, spawn
from gateway.testing._failures import OUTSIDE
from gateway.testing.faults import LifespanFault

__all__ = ["HeldLifespan", "faulty"]

Phase = Literal["new", "starting", "held", "releasing", "over"]


class HeldLifespan:
    """Starts and stops an application's lifespan once. Each request gets a shallow copy of ``state``.

    Exceptions that can only be logged, such as those between startup and shutdown, go into ``failures``.
    """

    def __init__(self, app: ASGIApplication, timeout: float | None, failures: list[BaseException]) -> None:
        self._lifespan = Lifespan(_stopped_with_the_loop(app), startup_timeout=timeout, shutdown_timeout=timeout)
        self._failures = failures
        self._phase: Phase = "new"
        self._signal = Notifier()
        self._error: BaseException | None = None

    @property
    def state(self) -> dict[str, object]:
        """The values that the application has put into the state."""
        return self._lifespan.state

    @property
    def supported(self) -> bool:
        """Whether the application supports the lifespan."""
        return self._lifespan.supported

    async def start(self) -> None:
        """Start the lifespan if it has not started yet.

        Raises:
            LifespanFailed: The application failed to start, or did not respond in time. Every later request raises it.
        """
        if self._phase == "new":
            self._phase = "starting"
            spawn(self._hold, "gateway.testing: lifespan")
        while self._is("starting"):
            await self._signal.wait()
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """Stop the lifespan if it has started.

        Raises:
            LifespanFailed: The application failed to stop, raised, or did not respond in time.
        """
        if not self._is("held"):
            return
        self._phase = "releasing"
        self._signal.notify()
        while self._is("releasing"):
            await self._signal.wait()
        if self._error is not None:
            raise self._error

    def _is(self, phase: Phase) -> bool:  # a method, so that type checkers do not narrow the phase across an await
        return self._phase == phase

    async def _hold(self) -> None:
        OUTSIDE.set(self._failures)  # no reset, because this task does nothing else
        try:
            async with self._lifespan:
                self._phase = "held"
                self._signal.notify()
                while self._is("held"):
                    await self._signal.wait()
        except LifespanFailed as error:
            self._error = error
        finally:
            self._phase = "over"
            self._signal.notify()


def _stopped_with_the_loop(app: ASGIApplication) -> ASGIApplication:
    """Return the application, whose lifespan also stops in order if asyncio ends the loop and cancels every task.

    That happens to an asynchronous client that the test did not close.
    """

    async def call(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        started = ended = False

        async def receive_or_stop() -> Message:
            nonlocal ended
            try:
                return await receive()
            except asyncio.CancelledError:
                if not started or ended:
                    raise
                if (task := asyncio.current_task()) is not None:
                    task.uncancel()
                ended = True
                return {"type": "lifespan.shutdown"}

        async def send_unless_ended(message: Message) -> None:
            nonlocal started
            if not ended:
                await send(message)
                started = started or message["type"] == "lifespan.startup.complete"

        await app(scope, receive_or_stop, send_unless_ended)

    return call


def faulty(app: ASGIApplication, fault: LifespanFault) -> ASGIApplication:
    """Return an application whose lifespan fails as a `Fault` defines; ``app`` handles its requests."""

    async def with_faulty_lifespan(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
        elif fault == "no":
            raise NotImplementedError("this application does not support lifespan (injected by gateway.testing)")
        else:
            await receive()
            if fault == "raise":
                raise RuntimeError("the startup raised (injected by gateway.testing)")
            if fault == "fail":
                await send({"type": "lifespan.startup.failed", "message": "injected by gateway.testing"})
            if fault == "hang":
                await anyio.sleep_forever()

    return with_faulty_lifespan
