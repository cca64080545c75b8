"""The lifespan of an application under test, on the loop that runs it; asyncio and trio.

Sources: ASGI Lifespan 2.0.
"""

from __future__ import annotations

from typing import Literal

import anyio

from gateway.errors import ApplicationError
from gateway.protocols import ASGIApplication, Message
from gateway.testing._concurrency import Signal, spawn

__all__ = ["Lifespan"]

Phase = Literal["new", "starting", "started", "stopping", "stopped", "unsupported"]


class Lifespan:
    """Starts and stops one application. ``state`` is what its requests get a shallow copy of; None: it keeps none."""

    def __init__(self, app: ASGIApplication, timeout: float | None) -> None:
        self.phase: Phase = "new"
        self.state: dict[str, object] = {}
        self.messages: list[Message] = []
        self._app = app
        self._timeout = timeout
        self._signal = Signal()
        self._ended = False
        self._error: BaseException | None = None
        self._failure: str | None = None
        self._asked = 0

    async def start(self) -> None:
        """Start the application once; an application that does not know the lifespan goes on without.

        Raises:
            ApplicationError: It said that its startup failed, or did not answer in time.
        """
        if self.phase == "starting":
            while self.phase == "starting":
                await self._signal.wait()
        if self.phase != "new":
            return
        self.phase = "starting"
        spawn(self._run, "gateway.testing: lifespan")
        await self._until("starting", "startup")

    async def stop(self) -> None:
        """Stop the application, if it was started."""
        if self.phase != "started":
            return
        self.phase = "stopping"
        self._signal.notify()
        await self._until("stopping", "shutdown")
        with anyio.move_on_after(self._timeout) as limit:
            while not self._ended:
                await self._signal.wait()
        if limit.cancelled_caught:
            raise ApplicationError(
                f"the application must return from its lifespan after lifespan.shutdown.complete, and did not within "
                f"{self._timeout} seconds (ASGI Lifespan)"
            )
        if self._error is not None:
            raise self._error

    async def _until(self, phase: Phase, name: str) -> None:
        with anyio.move_on_after(self._timeout) as limit:
            while self.phase == phase:
                await self._signal.wait()
        if limit.cancelled_caught:
            self.phase = "stopped"
            raise ApplicationError(
                f"the application must answer lifespan.{name} within {self._timeout} seconds, and did not; answer with "
                f"lifespan.{name}.complete or lifespan.{name}.failed, or raise (ASGI Lifespan)"
            )
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise ApplicationError(f"lifespan.{name}.failed: {failure or 'the application gave no message'}") from (
                self._error
            )
        if name == "shutdown" and self._error is not None:
            raise self._error

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            self._error = error
        finally:
            self._ended = True
            if self.phase == "starting":
                # "If an exception is raised when calling the application callable ... the server must continue but not
                # send any lifespan events" (ASGI Lifespan); one that returns at once is treated the same.
                self.phase = "unsupported"
            elif self.phase in ("started", "stopping"):
                self.phase = "stopped"
            self._signal.notify()

    async def _receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return self._note({"type": "lifespan.startup"})
        while self.phase != "stopping" or self._asked > 2:
            await self._signal.wait()
        return self._note({"type": "lifespan.shutdown"})

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        kind = message.get("type")
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed") and self.phase == "starting":
            if kind == "lifespan.startup.failed":
                self._failure = str(message.get("message", ""))
                self.phase = "stopped"
            else:
                self.phase = "started"
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed") and self.phase == "stopping":
            if kind == "lifespan.shutdown.failed":
                self._failure = str(message.get("message", ""))
            self.phase = "stopped"
        else:
            raise ApplicationError(
                f"a lifespan message must answer the event before it, got {kind!r} while {self.phase} (ASGI Lifespan)"
            )
        self._signal.notify()

    def _note(self, message: Message) -> Message:
        self.messages.append(message)
        return message
