"""How the task of one request sleeps on the loop until a worker has something for it.

A future wakes its task one turn of the loop late: `set_result` only schedules. That turn costs a system call, and
within it the loop lets go of the interpreter's lock, so that the worker, who has just lost it, is woken for nothing.
`AsyncioSignal` is what a task takes for a future, and lets the task go on within `set`.

Source: CPython ``asyncio.isfuture`` ("future-like": what has ``_asyncio_future_blocking``), ``Task.__step``.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from typing import TypeAlias


class Signal(ABC):
    """Wakes the one task that waits for it; `set` and `wait` are called on the loop's thread only.

    It has no memory: whoever waits has just seen, on the same thread, that there is nothing to do. The task may go on
    before `set` returns, so nothing that matters to it comes after.
    """

    __slots__ = ()

    @abstractmethod
    def set(self) -> None:
        """Wake who waits, if anybody does."""

    @abstractmethod
    def wait(self) -> Awaitable[None]:
        """Return what to await; the waiting begins with this call."""


Step: TypeAlias = Callable[["AsyncioSignal"], object]


class AsyncioSignal(Signal):
    """A `Signal` of asyncio and uvloop, and the future-like object that its one waiting task awaits."""

    __slots__ = ("_asyncio_future_blocking", "_context", "_error", "_loop", "_step")

    _asyncio_future_blocking: bool

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._step: Step | None = None  # the waiting task's next step
        self._error: asyncio.CancelledError | None = None
        self._context: Context

    def set(self) -> None:
        step = self._step
        if step is None:
            return
        self._step = None
        if asyncio.current_task(self._loop) is None:
            self._context.run(step, self)
        else:  # within a task no other may run
            self._loop.call_soon(step, self, context=self._context)

    def wait(self) -> AsyncioSignal:
        return self

    def __await__(self) -> Generator[AsyncioSignal, None, None]:
        self._asyncio_future_blocking = True
        yield self

    # What a task asks of a future.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that runs the task."""
        return self._loop

    def add_done_callback(self, step: Step, *, context: Context) -> None:
        """Keep what makes the task go on."""
        self._step = step
        self._context = context

    def cancel(self, msg: object = None) -> bool:
        """Have the task go on with a CancelledError; False where it goes on already."""
        step = self._step
        if step is None:
            return False
        self._step = None
        self._error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self._loop.call_soon(step, self, context=self._context)
        return True

    def result(self) -> None:
        """Return into the task, or raise that it was cancelled."""
        error = self._error
        if error is not None:
            self._error = None
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
