"""A set of recently used keys. It forgets the other keys, so that their data can be deleted.

It has three generations, and a used key moves to the youngest. When the youngest is full or too old, a new one begins.
The set then forgets two keys of the oldest generation for each new key, so that no request pays for all of them. It
forgets a key only if nothing used the key for a whole generation.

Pure. Not thread-safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Generations"]


class Generations:
    """Keys by the time of their last use.

    Args:
        forget: Function that is called with each forgotten key.
        most: Maximum number of keys of one generation.
        seconds: Maximum age of a generation in seconds.
        clock: Function that returns monotonic seconds.
    """

    def __init__(
        self,
        forget: Callable[[str], None],
        *,
        most: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._forget = forget
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._oldest: set[str] = set()
        self._until = clock() + seconds

    def __len__(self) -> int:
        return len(self._young) + len(self._old) + len(self._oldest)

    def use(self, key: str) -> None:
        """Record the use of a key."""
        if key in self._young:
            return
        now = self._clock()
        if len(self._young) >= self._most or now >= self._until:
            for forgotten in self._oldest:  # few, because each new key has already removed two
                self._forget(forgotten)
            self._young, self._old, self._oldest = set(), self._young, self._old
            self._until = now + self._seconds
        self._young.add(key)
        self._old.discard(key)
        self._oldest.discard(key)
        for _ in range(min(2, len(self._oldest))):
            self._forget(self._oldest.pop())
