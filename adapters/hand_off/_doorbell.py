"""Have an event loop call something soon, from another thread, for fewer system calls than ``call_soon_threadsafe``.

asyncio wakes a loop through a pair of sockets: one send, and two receives, of which the second fails. Each of them lets
go of the interpreter's lock, and so may cost a switch of threads as well: of a request that crosses twice it is the
dearest part. Here it is one write to an eventfd, which nobody reads: watched by edges, epoll reports every write once,
whatever the counter says (it would take centuries to be full).

uvloop has an eventfd of its own, and keeps it; so does every loop that is not exactly asyncio's over epoll: what a
subclass overrides must be called.

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

_doorbells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Doorbell] = weakref.WeakKeyDictionary()


def soon_threadsafe(loop: asyncio.AbstractEventLoop) -> Callable[[Callback], object]:
    """Return what `asyncio.loop.call_soon_threadsafe` is, for callbacks without arguments.

    Call it in the loop's thread, or before the loop runs. All who ask for the same loop share one descriptor, which is
    closed with the last of them and the loop.
    """
    doorbell = _doorbells.get(loop)
    if doorbell is None:
        # The selector's type is compared too: its descriptor must be one that epoll takes.
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
    """One eventfd of one loop, and what is to be called when it rings."""

    def __init__(self, loop: asyncio.AbstractEventLoop, epoll_descriptor: int) -> None:
        # Weak: the table above would keep the loop alive for ever.
        self._loop = weakref.ref(loop)
        self._callbacks: deque[Callback] = deque()
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Threads that still may ring hold this object: the number is not free before nobody can write to it.
        weakref.finalize(self, os.close, self._descriptor).atexit = False
        loop.add_reader(self._descriptor, self._answer)
        epoll = select.epoll.fromfd(os.dup(epoll_descriptor))  # the same one; it closes its own number
        epoll.modify(self._descriptor, select.EPOLLIN | select.EPOLLET)
        epoll.close()

    def ring(self, callback: Callback) -> None:
        """Have the loop call back.

        Raises:
            RuntimeError: The loop is closed, as ``call_soon_threadsafe`` has it.
        """
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise RuntimeError("Event loop is closed")
        self._callbacks.append(callback)
        os.eventfd_write(self._descriptor, 1)

    def _answer(self) -> None:
        # Who rings after the last pop has found nothing rings after this edge: there will be another.
        callbacks = self._callbacks
        while callbacks:
            try:
                callbacks.popleft()()
            except Exception as error:  # one that fails must not keep back the others
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a callback of gateway.adapters failed", "exception": error}
                )
