"""Have an event loop call a function soon, from another thread, with fewer system calls than ``call_soon_threadsafe``.

asyncio wakes a loop through a pair of sockets: one send and two receives, of which the second fails. Each call releases
the interpreter's lock, and so may also cost a switch of threads. For a request through two adapters, this is the
largest cost. A doorbell needs one write to an eventfd, which is never read. epoll watches it edge-triggered, so it
reports every write once, whatever the counter holds. The counter would take centuries to fill.

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
from typing import Any

from gateway.adapters.hand_off._mailbox import Callback, run_all

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
