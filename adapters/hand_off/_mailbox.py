"""Callbacks on their way from any thread to one event loop; one wake-up of the loop runs all that wait.

Waking a loop is a system call and the largest cost of a small request. Both directions have a mailbox: a port for the
results of its workers, a loop in another thread for the requests of WSGI threads.

No wake-up is lost, even without a lock. A poster appends to the mailbox and then reads the flag. The loop clears
the flag and then pops until it sees the mailbox empty. The interpreter's lock orders append and look (in a
free-threaded build, the deque's own lock does). If the append comes before the loop's last look, the loop pops the
callback. If it comes after, the poster sees the cleared flag and wakes the loop. Keep the order of these lines.

A doorbell wakes a loop with fewer system calls than ``call_soon_threadsafe``. asyncio wakes a loop through a pair of
sockets: one send and two receives, of which the second fails. Each call releases the interpreter's lock, and so may
also cost a switch of threads. A doorbell needs one write to an eventfd, which is never read. epoll watches it
edge-triggered, so it reports every write once, whatever the counter holds. The counter would take centuries to fill.

uvloop wakes its loop through an eventfd already, so it keeps its own method. Every other loop keeps its method too,
unless its type is exactly asyncio's loop over epoll. A subclass may override the method, and then needs the call.

Sources: eventfd(2); epoll(7) "Level-triggered and edge-triggered".
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

Callback: TypeAlias = Callable[[], object]


class Mailbox:
    """Callbacks on their way to the loop; one wake-up runs all of them."""

    __slots__ = ("_callbacks", "_may_be_closed", "_signalled", "_wake")

    def __init__(self, wake: Callable[[Callback], object], *, may_be_closed: bool = False) -> None:
        """Make a mailbox.

        Args:
            wake: Has the loop call the given function. Called in any thread. `post` and `flush` raise its errors.
            may_be_closed: Whether a RuntimeError of ``wake`` is no error: the loop is closed, so no task waits.
        """
        self._wake = wake
        self._may_be_closed = may_be_closed
        self._callbacks: deque[Callback] = deque()
        self._signalled = False

    def leave(self, callback: Callback) -> None:
        """Add a callback without a wake-up. The caller must make sure that `flush` is called later. Any thread."""
        self._callbacks.append(callback)

    def post(self, callback: Callback) -> None:
        """Add a callback and wake the loop. Any thread."""
        # Append before the flag is read: a cleared flag then means that the loop's last look may have missed it.
        self._callbacks.append(callback)
        if not self._signalled:
            self._wake_up()

    def flush(self) -> None:
        """Wake the loop if callbacks wait in the mailbox. Any thread."""
        if self._callbacks and not self._signalled:
            self._wake_up()

    def _wake_up(self) -> None:
        self._signalled = True
        try:
            self._wake(self._drain)
        except RuntimeError:  # the loop is closed; the next post must raise too
            self._signalled = False
            if not self._may_be_closed:
                raise

    def _drain(self) -> None:
        # Clear the flag before the look: a poster that appends after the last look must see it cleared.
        self._signalled = False
        run_all(self._callbacks)


def run_all(callbacks: deque[Callback]) -> None:
    """Remove and call callbacks until none is left, and report errors to the running loop. Loop thread only."""
    while callbacks:
        try:
            callbacks.popleft()()
        except Exception as error:  # a callback that fails must not stop the others
            loop = asyncio._get_running_loop()
            if loop is None:  # trio, whose run ends with the error
                raise
            loop.call_exception_handler({"message": "a callback of gateway.adapters failed", "exception": error})


#: The doorbells of this process, by loop.
_doorbells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Doorbell] = weakref.WeakKeyDictionary()


def soon_threadsafe(loop: asyncio.AbstractEventLoop) -> Callable[[Callback], object]:
    """Return an equivalent of ``loop.call_soon_threadsafe`` for callbacks without arguments.

    Call it in the loop's thread, or before the loop runs. All callers with the same loop share one descriptor. It is
    closed when the last of their references and the loop are gone.
    """
    doorbell = _doorbells.get(loop)
    if doorbell is None:
        # The selector's type is compared too, because its descriptor must be an epoll descriptor.
        selector: Any = getattr(loop, "_selector", None)
        epoll = getattr(selectors, "EpollSelector", None)
        if (
            type(loop) is not asyncio.SelectorEventLoop
            or epoll is None
            or type(selector) is not epoll
            or not hasattr(os, "eventfd")
        ):
            return loop.call_soon_threadsafe
        doorbell = _doorbells[loop] = _Doorbell(loop, selector.fileno())
    return doorbell.ring


class _Doorbell:
    """One eventfd of one loop, and the callbacks to run when it rings."""

    def __init__(self, loop: asyncio.AbstractEventLoop, epoll_descriptor: int) -> None:
        # Weak, because `_doorbells` would keep the loop alive for ever.
        self._loop = weakref.ref(loop)
        self._callbacks: deque[Callback] = deque()
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # A thread that may still ring holds this object, so the number is not reused while a thread can write to it.
        weakref.finalize(self, os.close, self._descriptor).atexit = False
        loop.add_reader(self._descriptor, self._answer)
        epoll = select.epoll.fromfd(os.dup(epoll_descriptor))  # a duplicate, because close() below closes its number
        epoll.modify(self._descriptor, select.EPOLLIN | select.EPOLLET)
        epoll.close()

    def ring(self, callback: Callback) -> None:
        """Have the loop run the callback soon. Any thread.

        Raises:
            RuntimeError: The loop is closed, as with ``call_soon_threadsafe``.
        """
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise RuntimeError("Event loop is closed")
        # Append before the write, so that the loop finds the callback when it wakes.
        self._callbacks.append(callback)
        os.eventfd_write(self._descriptor, 1)

    def _answer(self) -> None:
        # A callback appended after the last look is not lost: its ring comes later, and so makes a new edge.
        run_all(self._callbacks)
