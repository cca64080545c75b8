"""Between the worker threads and one event loop: the hand-offs, and nothing else.

A port belongs to one loop in one process. `submit` takes a job to a worker; `post`, called by a worker, takes a
callback to the loop. Callbacks wait in one outbox and one wake-up of the loop runs them all: waking a loop is a system
call, and the dearest part of a small request.

Why no wake-up is lost without a lock: a poster appends to the outbox, then reads the flag; the loop clears the flag,
then pops until a pop finds nothing. Append and pop take turns on the deque (the interpreter's lock, or the deque's own
in a free-threaded build), so either the loop's last pop comes after the append and finds it, or the append comes after
that pop, and then the poster sees the cleared flag. Whoever changes the order of these lines loses this.
"""

from __future__ import annotations

import asyncio
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeAlias

from gateway.adapters.hand_off._doorbell import soon_threadsafe
from gateway.adapters.hand_off._signals import AsyncioSignal, Signal
from gateway.adapters.hand_off._workers import Workers

Callback: TypeAlias = Callable[[], None]
Background: TypeAlias = Callable[[], Coroutine[None, None, None]]
#: Starts a background task and returns what cancels it.
Spawn: TypeAlias = Callable[[Background], Callable[[], object]]


class Outbox:
    """Callbacks on their way to the loop; one wake-up runs all that wait."""

    __slots__ = ("_callbacks", "_signalled", "_wake")

    def __init__(self, wake: Callable[[Callback], None]) -> None:
        """Make an outbox.

        Args:
            wake: Has the loop call what it is given; any thread calls it, and a loop that is gone calls nothing.
        """
        self._wake = wake
        self._callbacks: deque[Callback] = deque()
        self._signalled = False

    def leave(self, callback: Callback) -> None:
        """Add a callback without a wake-up; whoever leaves one sees to it that somebody calls `flush`. Any thread."""
        self._callbacks.append(callback)

    def post(self, callback: Callback) -> None:
        """Add a callback and wake the loop. Any thread."""
        self._callbacks.append(callback)
        if not self._signalled:
            self._signalled = True
            self._wake(self._drain)

    def flush(self) -> None:
        """Wake the loop if anything was left. Any thread."""
        if self._callbacks and not self._signalled:
            self._signalled = True
            self._wake(self._drain)

    def _drain(self) -> None:
        self._signalled = False
        pop = self._callbacks.popleft
        while True:
            try:
                callback = pop()
            except IndexError:
                return
            callback()


class Port(ABC):
    """The two-way connection of one event loop with its workers."""

    def __init__(self, outbox: Outbox, workers: Workers) -> None:
        self.workers = workers
        self.pid = os.getpid()
        #: Has the loop call something soon; any thread.
        self.post = outbox.post
        #: The same at the end of a job: the worker wakes the loop when it has no other job.
        self.leave = outbox.leave

    def submit(self, job: Callback, failed: Callable[[Exception], None]) -> None:
        """Have a worker call ``job``; ``failed`` is called where none can. Loop thread only."""
        self.workers.submit(job)

    @abstractmethod
    def serves(self, loop: object) -> bool:
        """Tell whether this is the port of a loop that runs now, in this process."""

    @property
    @abstractmethod
    def gone(self) -> bool:
        """Whether its loop will never run again."""

    @abstractmethod
    def signal(self) -> Signal:
        """Return a new signal of this loop."""

    @abstractmethod
    async def run(self, main: Callable[[Spawn], Awaitable[None]]) -> None:
        """Await ``main(spawn)``; what it spawned ends with it, by its own cancelling or by this."""

    def close(self) -> None:
        """Let the workers end when they are idle."""
        self.workers.close()


class AsyncioPort(Port):
    """A `Port` of an asyncio loop, whoever made it (asyncio, uvloop)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        call_soon = soon_threadsafe(loop)

        def wake(callback: Callback) -> None:
            try:
                call_soon(callback)
            except RuntimeError:
                # Closed: nobody waits for what the worker made. Anything else is an error of this module.
                if not loop.is_closed():
                    raise

        outbox = Outbox(wake)
        super().__init__(outbox, Workers(threads, outbox.flush, prepare=_Adoption(loop)))
        self._loop = loop

    def serves(self, loop: object) -> bool:
        return self._loop is loop and self.pid == os.getpid()

    @property
    def gone(self) -> bool:
        return self._loop.is_closed() or self.pid != os.getpid()

    def signal(self) -> AsyncioSignal:
        return AsyncioSignal(self._loop)

    def spawn(self, function: Background) -> Callable[[], object]:
        """Start a background task; a loop needs no more to do so, so nobody has to call `run`."""
        return self._loop.create_task(function()).cancel

    async def run(self, main: Callable[[Spawn], Awaitable[None]]) -> None:
        await main(self.spawn)


class SensitivePort(AsyncioPort):
    """A `Port` whose one thread is asgiref's, shared with all other thread-sensitive code of the process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, 1)
        self.leave = self.post  # no worker of ours looks after it
        self._running: set[asyncio.Task[None]] = set()

    def submit(self, job: Callback, failed: Callable[[Exception], None]) -> None:
        self.workers.pending += 1
        task = self._loop.create_task(_run_sensitive(job, failed))
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def _run_sensitive(job: Callback, failed: Callable[[Exception], None]) -> None:
    from asgiref.sync import sync_to_async  # loaded where it is used: it costs 15 ms

    try:
        await sync_to_async(job, thread_sensitive=True)()
    except Exception as error:  # the job raises nothing: asgiref has no thread for it
        failed(error)


class _Adoption:
    """Makes asgiref's `async_to_sync` in a worker run on the server's loop, not in a new loop and thread per call.

    asgiref looks for the loop in a thread-local of `SyncToAsync`, which its own `sync_to_async` sets. The application
    may import asgiref at any time, so each job looks whether it is there; a thread belongs to one loop for life.
    """

    __slots__ = ("_loop", "_pid")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pid = os.getpid()

    def __call__(self) -> None:
        module = sys.modules.get("asgiref.sync")
        # A module that another thread is importing may not have its names yet.
        asgiref = getattr(module, "SyncToAsync", None)
        if asgiref is not None:
            local = asgiref.threadlocal
            if getattr(local, "main_event_loop", None) is not self._loop:
                local.main_event_loop = self._loop
                local.main_event_loop_pid = self._pid
