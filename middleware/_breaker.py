"""A circuit breaker: after a failure a store is left alone for a while, and one request at a time tries it again.

A store that hangs would otherwise cost every request the whole time limit. The pause doubles with each failed try, up
to a limit, so that an outage costs ever fewer requests their time and is still noticed soon after its end.

Pure but for its lock, which threads and loops may share; the clock is an argument.

Source: the pattern "Circuit Breaker" of M. Nygard, "Release It!".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Breaker"]

#: Seconds that follow the first failure. Short, because that may have been a lost connection only.
FIRST_PAUSE: Final = 0.1
#: Seconds between two tries at most.
LONGEST_PAUSE: Final = 30.0


class Breaker:
    """Decide which requests may ask a store.

    Call :meth:`enter` before each question. If it returns a ticket, ask, and hand the ticket to :meth:`succeeded` or
    :meth:`failed`. A ticket that is never handed back (the request was cancelled) holds the others up for ``lease``
    seconds only.

    Args:
        lease: Seconds that a try may take.
        clock: Function that returns seconds that only rise.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._lock = threading.Lock()
        #: Seconds of the current pause; 0 while the store is asked by every request.
        self._pause = 0.0
        self._next_try = 0.0
        self._ticket = 0

    def enter(self) -> int | None:
        """Return a ticket if the store may be asked now, else None."""
        if not self._pause:  # without the lock: the usual case
            return self._ticket
        with self._lock:
            now = self._clock()
            if self._pause and now < self._next_try:
                return None
            self._next_try = now + self._lease
            return self._ticket

    def succeeded(self, ticket: int) -> bool:
        """Let every request ask again; return whether an outage ends with this."""
        if not self._pause:
            return False
        with self._lock:
            ended = bool(self._pause)
            self._pause = 0.0
            self._ticket += 1
            return ended

    def failed(self, ticket: int) -> bool:
        """Begin a pause, twice as long as the last one; return whether an outage begins with this.

        Requests that asked before the last failure or success tell nothing new: their tickets are old.
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
