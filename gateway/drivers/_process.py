"""``on_start`` and ``on_stop``: once per process, before the first request and at its end.

A server that runs a lifespan starts and stops the hooks with it. Without one they start with the first request and
stop when the interpreter exits, by plain calls, because no loop runs then. A forked child starts its own. If one start
fails, the hooks that were started before it are stopped. If the loop of a start is closed, the next request starts.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from gateway._starting import LazyPart
from gateway.contract import Hooks, Process, Steps, hook
from gateway.drivers._effects import run_async, run_plain
from gateway.drivers._order import drive
from gateway.loops import in_trio, move_on_after, new_event

if TYPE_CHECKING:
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Message, Scope

__all__ = ["ProcessHooks"]

logger = logging.getLogger("gateway.drivers")

#: Seconds after which a waiting request looks whether the start that it waits for can still end.
_LOOK_SECONDS: Final = 1.0


class _Starting:
    """A start that is under way on one loop, and the requests that wait for it, on this loop or another."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = None if in_trio() else asyncio.get_running_loop()  # trio never abandons a task
        self._wake: list[Callable[[], object]] = []
        self._over = False

    def is_lost(self) -> bool:
        """Return whether it can no longer end: its loop was closed, or it belongs to the parent process."""
        return self._pid != os.getpid() or (self._loop is not None and self._loop.is_closed())

    def over(self) -> None:
        """Wake the requests that wait, except on loops that are closed."""
        self._over = True
        for wake in self._wake:
            with contextlib.suppress(RuntimeError):
                wake()

    async def wait(self) -> None:
        """Wait for the end, or a second: a start that is lost does not say so."""
        event = new_event()
        if in_trio():
            call = sys.modules["trio"].lowlevel.current_trio_token().run_sync_soon
        else:
            call = asyncio.get_running_loop().call_soon_threadsafe
        self._wake.append(partial(call, event.set))
        if not self._over:
            async with move_on_after(_LOOK_SECONDS):
                await event.wait()


class ProcessHooks(LazyPart):
    """Start and stop the hooks of a group."""

    def __init__(self, chain: Sequence[Hooks], interface: Literal["wsgi", "asgi"]) -> None:
        self._chain = chain
        self._interface: Literal["wsgi", "asgi"] = interface
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._starting: _Starting | None = None

    @staticmethod
    def needed(chain: Sequence[Hooks]) -> bool:
        """Return whether a hook wants to start or stop."""
        return any(hook(hooks, name) is not None for hooks in chain for name in ("on_start", "on_stop"))

    @property
    def started(self) -> bool:
        """Whether ``on_start`` was run in this process."""
        return self._pid == os.getpid()

    def _start(self) -> Steps[None]:
        process = Process(self._interface, os.getpid())
        begun = 0
        try:
            for index, hooks in enumerate(self._chain):
                yield from drive(hooks.on_start(process))
                begun = index + 1
        except GeneratorExit:
            # The loop was closed. As at the interpreter's exit, only plain calls are left.
            run_plain(self._stop(begun))
            raise
        except BaseException:
            yield from self._stop(begun)
            raise
        self._pid = process.pid
        atexit.register(self._at_exit)

    def _stop(self, begun: int) -> Steps[None]:
        process = Process(self._interface, os.getpid())
        for hooks in reversed(self._chain[:begun]):
            try:
                yield from drive(hooks.on_stop(process))
            except Exception:
                logger.exception("on_stop of %r failed; the others are stopped all the same", hooks)

    def _end(self) -> Steps[None]:
        self._pid = None
        return self._stop(len(self._chain))

    def _at_exit(self) -> None:
        if self.started:
            run_plain(self._end())

    def start(self) -> None:
        """Start before the first request, if no loop does it."""
        if self._interface == "wsgi":
            self.start_plain()

    def start_plain(self) -> None:
        """Start from a WSGI thread, once; other threads wait."""
        if self.started:
            return
        with self._lock:
            if not self.started:
                run_plain(self._start())

    async def start_async(self) -> None:
        """Start on the running loop, once; other requests wait."""
        while not self.started:
            starting = self._starting
            if starting is None or starting.is_lost():
                await self._start_here()
            else:
                await starting.wait()

    async def _start_here(self) -> None:
        starting = self._starting = _Starting()
        steps = self._start()
        try:
            await run_async(steps)
        finally:
            steps.close()
            if self._starting is starting:
                self._starting = None
            starting.over()

    async def stop_async(self) -> None:
        """Stop on the running loop, if it was started."""
        if self.started:
            atexit.unregister(self._at_exit)
            await run_async(self._end())

    async def lifespan(self, app: ASGIApplication, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Run the application's lifespan with the hooks around it, or the hooks alone if it has none."""
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
            logger.exception("on_start failed, and the server is told so")
            await self._send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            raise

    async def _alone(self) -> None:
        """Answer the server for an application without a lifespan."""
        if not self._asked:
            await self._receive()
            try:
                await self._started()
            except Exception:
                # The server has the message and reports it.
                return
        await self._send({"type": "lifespan.startup.complete"})
        await self._receive()
        await self._stop()
        await self._send({"type": "lifespan.shutdown.complete"})
