"""``on_start`` and ``on_stop``: once per process, before the first request and at its end.

A server that runs a lifespan starts and stops the hooks with it. Without one they start with the first request and
stop when the interpreter exits, in the plain colour, because no loop runs then. A forked child starts anew. What was
started before a failure is stopped again.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.contract import Hooks, Process, Steps, hook
from gateway.drivers._colour import in_trio, run_async, run_plain
from gateway.drivers._course import settle

if TYPE_CHECKING:
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["ProcessHooks"]

logger = logging.getLogger("gateway.drivers")


class _Event(Protocol):
    def set(self) -> object: ...
    def wait(self) -> Awaitable[object]: ...


class ProcessHooks:
    """Start and stop the hooks of a segment."""

    def __init__(self, chain: Sequence[Hooks], interface: Literal["wsgi", "asgi"]) -> None:
        self._chain = chain
        self._interface: Literal["wsgi", "asgi"] = interface
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._begun = 0
        self._starting: _Event | None = None

    @staticmethod
    def needed(chain: Sequence[Hooks]) -> bool:
        """Return whether there is anything to start or to stop."""
        return any(hook(hooks, name) is not None for hooks in chain for name in ("on_start", "on_stop"))

    @property
    def started(self) -> bool:
        """Whether ``on_start`` was run in this process."""
        return self._pid == os.getpid()

    def _start(self) -> Steps[None]:
        process = Process(self._interface, os.getpid())
        self._begun = 0
        try:
            for index, hooks in enumerate(self._chain):
                yield from settle(hooks.on_start(process))
                self._begun = index + 1
        except BaseException:
            yield from self._stop()
            raise
        self._pid = process.pid
        atexit.register(self._at_exit)

    def _stop(self) -> Steps[None]:
        process = Process(self._interface, os.getpid())
        begun, self._begun, self._pid = self._begun, 0, None
        for hooks in reversed(self._chain[:begun]):
            try:
                yield from settle(hooks.on_stop(process))
            except Exception:
                logger.exception("on_stop of %r failed; the others are stopped all the same", hooks)

    def _at_exit(self) -> None:
        if self.started:
            run_plain(self._stop())

    def start_plain(self) -> None:
        """Start from a WSGI thread, if nobody did; others wait."""
        if self.started:
            return
        with self._lock:
            if not self.started:
                run_plain(self._start())

    async def start_async(self) -> None:
        """Start on the running loop, if nobody did; others wait."""
        while not self.started:
            if self._starting is not None:
                await self._starting.wait()
                continue
            self._starting = waiting = sys.modules["trio"].Event() if in_trio() else asyncio.Event()
            try:
                await run_async(self._start())
            finally:
                self._starting = None
                waiting.set()

    async def stop_async(self) -> None:
        """Stop on the running loop, if it was started."""
        if self.started:
            atexit.unregister(self._at_exit)
            await run_async(self._stop())

    async def lifespan(self, app: ASGIApplication, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Run an application's lifespan with the hooks around it; alone where it has none."""
        await _Lifespan(self.start_async, self.stop_async, receive, send).run(app, scope)


class _Lifespan:
    """One lifespan scope: the hooks start before the application and stop after it."""

    def __init__(
        self,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        receive: ASGIReceive,
        send: ASGISend,
    ) -> None:
        self._start = start
        self._stop = stop
        self._receive = receive
        self._send = send
        self._asked = self._answered = self._failed = False

    async def run(self, app: ASGIApplication, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            if self._failed:
                return
            if self._answered:
                await self._stop()
                raise
        if not self._answered:
            await self._alone()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "lifespan.startup":
            self._asked = True
            await self._started()
        return message

    async def send(self, message: Message) -> None:
        kind: str = message["type"]
        self._answered = True
        if kind in ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await self._stop()
        await self._send(message)

    async def _started(self) -> None:
        try:
            await self._start()
        except Exception as error:
            self._answered = self._failed = True
            await self._send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            raise

    async def _alone(self) -> None:
        """Answer the server for an application that knows no lifespan."""
        if not self._asked:
            await self._receive()
            try:
                await self._started()
            except Exception:
                # The server was told; it reports.
                return
        await self._send({"type": "lifespan.startup.complete"})
        await self._receive()
        await self._stop()
        await self._send({"type": "lifespan.shutdown.complete"})
