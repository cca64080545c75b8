"""Callbacks on their way from any thread to one event loop; one wake-up of the loop runs all that wait.

Waking a loop is a system call and the largest cost of a small request.

No wake-up is lost, even without a lock. A poster appends to the mailbox and then reads the flag. The loop clears
the flag and then pops until the mailbox is empty. The interpreter's lock orders append and pop (in a free-threaded
build, the deque's own lock does). If the append comes before the loop's last pop, that pop finds the callback. If it
comes after, the poster sees the cleared flag and wakes the loop. Keep the order of these lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

Callback: TypeAlias = Callable[[], None]


class Mailbox:
    """Callbacks on their way to the loop; one wake-up runs all of them."""

    __slots__ = ("_callbacks", "_signalled", "_wake")

    def __init__(self, wake: Callable[[Callback], None]) -> None:
        """Make a mailbox.

        Args:
            wake: Has the loop call the given function. Called in any thread; does nothing once the loop has ended.
        """
        self._wake = wake
        self._callbacks: deque[Callback] = deque()
        self._signalled = False

    def leave(self, callback: Callback) -> None:
        """Add a callback without a wake-up. The caller must make sure that `flush` is called later. Any thread."""
        self._callbacks.append(callback)

    def post(self, callback: Callback) -> None:
        """Add a callback and wake the loop. Any thread."""
        # Append before the flag is read: a cleared flag then means that the loop's last pop may have missed it.
        self._callbacks.append(callback)
        if not self._signalled:
            self._signalled = True
            self._wake(self._drain)

    def flush(self) -> None:
        """Wake the loop if callbacks wait in the mailbox. Any thread."""
        if self._callbacks and not self._signalled:
            self._signalled = True
            self._wake(self._drain)

    def _drain(self) -> None:
        # Clear the flag before the pops: a poster that appends after the last pop must see it cleared.
        self._signalled = False
        pop = self._callbacks.popleft
        while True:
            try:
                callback = pop()
            except IndexError:
                return
            callback()
