"""Callbacks on their way from any thread to one event loop; one wake-up of the loop runs all that wait.

Waking a loop is a system call and the largest cost of a small request. Both directions have a mailbox: a port for the
results of its workers, a loop in another thread for the requests of WSGI threads.

No wake-up is lost, even without a lock. A poster appends to the mailbox and then reads the flag. The loop clears
the flag and then pops until it sees the mailbox empty. The interpreter's lock orders append and look (in a
free-threaded build, the deque's own lock does). If the append comes before the loop's last look, the loop pops the
callback. If it comes after, the poster sees the cleared flag and wakes the loop. Keep the order of these lines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

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
