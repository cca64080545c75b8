"""A circuit breaker: after a failure it pauses the use of a store, then lets one request at a time try again.

Without it, a store that hangs would cost every request the whole time limit. The pause doubles with each failed try,
up to a limit. So an outage delays ever fewer requests, and its end is still noticed soon.

Pure, except for a lock that threads and event loops may share. The clock is an argument.

Source: the pattern "Circuit Breaker" of M. Nygard, "Release It!".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Breaker"]

#: Pause after the first failure, in seconds. Short, because that failure may be only a lost connection.
FIRST_PAUSE: Final = 0.1
#: Maximum seconds between two tries.
LONGEST_PAUSE: Final = 30.0


class Breaker:
    """Decide which requests may use a store.

    Call :meth:`enter` before each use. If it returns a ticket, use the store, then pass the ticket to
    :meth:`succeeded` or :meth:`failed`. A ticket that is never passed back (the request was cancelled) delays the next
    try by ``lease`` seconds only.

    Args:
        lease: Seconds that a try may take.
        clock: Function that returns monotonic seconds.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._lock = threading.Lock()
        #: Seconds of the current pause; 0 while every request uses the store.
        self._pause = 0.0
        self._next_try = 0.0
        self._ticket = 0

    def enter(self) -> int | None:
        """Return a ticket if the store may be used now, else None."""
        if not self._pause:  # the usual case, so it does not take the lock
            return self._ticket
        with self._lock:
            now = self._clock()
            if self._pause and now < self._next_try:
                return None
            self._next_try = now + self._lease  # other requests wait for this try, but not longer than the lease
            return self._ticket

    def succeeded(self, ticket: int) -> bool:
        """Let every request use the store again; return whether this ends an outage."""
        if not self._pause:
            return False
        with self._lock:
            ended = bool(self._pause)
            self._pause = 0.0
            self._ticket += 1
            return ended

    def failed(self, ticket: int) -> bool:
        """Begin a pause, twice as long as the last pause; return whether this begins an outage.

        Ignores an old ticket: its request used the store before the last failure or success, so it adds no news.
        """
        with self._lock:
            if ticket != self._ticket:
                return False
            self._ticket += 1
            began = not self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if self._pause else FIRST_PAUSE
            self._next_try = self._clock() + self._pause
            return began

    @property
    def seconds_left(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._next_try - self._clock()) if self._pause else 0.0
