"""How a WSGI thread waits for work on an event loop: one conversation, one flag, one gate.

A *conversation* runs on the loop; the WSGI thread sleeps until there is news. The flag ``signalled`` coalesces the
wake-ups: however many messages the application sends before the thread looks, it is woken once. Keep the order of these
steps:

    loop side:  write the news, then read ``signalled``; if it was unset, set it and wake.
    WSGI side:  after waking, unset ``signalled``, then read the news.

Either the loop sees the flag unset and wakes the thread, or the thread reads later and finds the news. This holds
because the GIL makes each read and write of an attribute one step; a free-threaded build would need a lock here.

A *gate* is a binary semaphore with one waiter: a pair of callables ``(wait, wake)``. Any thread may call ``wake``,
before or after ``wait``; several wakes before one wait count as one. The gate of a thread is a lock. gevent.pywsgi may
run in an unpatched process, where blocking the thread would stop every other greenlet. So the gate of a greenlet parks
the greenlet, and ``wake`` wakes its hub.

Source: gevent ``hub.loop.async_`` ("the only thread-safe watcher").
"""

from __future__ import annotations

import _thread
import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

Gate: TypeAlias = tuple[Callable[[], object], Callable[[], object]]
T = TypeVar("T")

if sys.version_info >= (3, 12):

    def start_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None], context: Context
    ) -> asyncio.Task[None]:
        """Start a task in a context. Its first step runs at once, which saves one turn of the loop."""
        if loop.get_task_factory() is not None:
            return loop.create_task(coroutine, context=context)
        return asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)

else:

    def start_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None], context: Context
    ) -> asyncio.Task[None]:
        """Start a task in a context."""
        return loop.create_task(coroutine, context=context)


class Conversation:
    """Base of work on the loop for which a WSGI thread waits."""

    # Defaults on the class, because a conversation that never waits or streams sets few of its attributes.
    signalled = False
    _gate: Gate | None = None

    def prepare(self) -> bool:
        """Make the gate, in the thread that may have to wait, before the loop gets the conversation or before waiting.

        Returns:
            True if there is news already, which may have come before there was a gate to open.
        """
        if self._gate is None:
            self._gate = make_gate()
        return self.signalled

    def block(self) -> None:
        """Wait at the gate. Call `prepare` first."""
        assert self._gate is not None
        self._gate[0]()

    def signal(self) -> None:
        """Wake the WSGI thread, unless it was woken and has not looked yet. Call it after the news is written."""
        if not self.signalled:
            self.signalled = True
            gate = self._gate
            if gate is not None:
                gate[1]()

    def begin(self) -> None:
        """Start the work. Called on the loop."""
        raise NotImplementedError

    def news(self) -> bool:
        """Tell whether there is news for the WSGI thread, which may also be woken for another reason."""
        raise NotImplementedError


class Runner(Protocol):
    """A loop that WSGI threads hand conversations to: a loop with its own thread, a lent loop, or a user's loop."""

    loop: asyncio.AbstractEventLoop
    pid: int

    def start(self, conversation: Conversation) -> None:
        """Have ``conversation.begin`` called on the loop, perhaps before this returns."""

    def wait(self, conversation: Conversation) -> None:
        """Block the calling thread or greenlet until the conversation has news; spurious returns are allowed."""

    def post(self, callback: Callable[[], object]) -> None:
        """Have a callback run on the loop soon. Several callbacks share a wake-up."""

    def alive(self) -> bool:
        """Tell whether the loop still accepts work."""
        ...

    def stop(self) -> None:
        """End the loop if this package made it. May be called again."""


class Job(Conversation, Generic[T]):
    """Runs a coroutine to its end on a loop while the calling thread waits: ``Job.run(runner, function)``."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.done = False
        self._function = function
        self._error: BaseException | None = None
        self._result: T
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def run(cls, runner: Runner, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function on a runner's loop, and return its result or raise its error."""
        job = cls(function)
        runner.start(job)
        while not job.done:
            runner.wait(job)
            job.signalled = False
        if job._error is not None:
            raise job._error
        return job._result

    def begin(self) -> None:
        """Start the coroutine as a task."""
        self._task = asyncio.get_running_loop().create_task(self._main())
        self._task.add_done_callback(self._ended)

    def news(self) -> bool:
        """Tell whether the coroutine has ended."""
        return self.done

    async def _main(self) -> None:
        try:
            self._result = await self._function()
        except BaseException as error:
            self._error = error
            if isinstance(error, asyncio.CancelledError):
                raise

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and self._error is None:
            self._error = asyncio.CancelledError()
        self.done = True
        self.signal()


def make_gate() -> Gate:
    """Return a closed gate for the caller: for its greenlet if this thread runs a hub, else for the thread itself."""
    if "gevent._hub_local" in sys.modules:
        gate = _greenlet_gate()
        if gate is not None:
            return gate
    return make_thread_gate()


def make_thread_gate() -> Gate:
    """Return a closed gate for a thread that runs no hub, such as a thread that this package started."""
    lock = _thread.allocate_lock()
    lock.acquire()

    def wake() -> None:
        try:  # noqa: SIM105  # in the path of every request; contextlib.suppress costs more than all of it
            lock.release()
        except RuntimeError:  # the gate is open already: two wakes count as one
            pass

    return lock.acquire, wake


def _greenlet_gate() -> Gate | None:
    import gevent
    from gevent._hub_local import get_hub_if_exists

    hub = get_hub_if_exists()
    if hub is None or gevent.getcurrent() is hub:
        return None
    gate = _GreenletGate(hub)
    return gate.wait, gate.wake


class _GreenletGate:
    """A gate for one greenlet. The hub's ``async_`` watcher, which keeps the hub alive, exists only during a wait."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._open = False
        self._watcher: Any = None
        # Held briefly and never across a switch. It keeps wake() from using a watcher that wait() closes.
        self._guard = _thread.allocate_lock()

    def wait(self) -> None:
        from gevent.hub import Waiter

        if not self._open:
            make_waiter: Any = Waiter
            waiter = make_waiter(self._hub)
            watcher = self._hub.loop.async_()
            watcher.start(waiter.switch, None)
            self._guard.acquire()
            self._watcher = watcher
            already = self._open
            self._guard.release()
            try:
                if not already:
                    waiter.get()
            finally:
                self._guard.acquire()
                self._watcher = None
                self._guard.release()
                watcher.stop()
                watcher.close()
        self._open = False

    def wake(self) -> None:
        self._guard.acquire()
        self._open = True
        if self._watcher is not None:
            self._watcher.send()
        self._guard.release()
