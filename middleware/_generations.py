"""A set of the keys that were used lately; it forgets the others, so that their data can be given up.

Three generations: a key that is used is in the youngest. When that is full or old, each generation grows older, and
keys of the oldest are forgotten, two for each new key, so that no request pays for all of them. A key that is forgotten
was not used for a whole generation.

Pure; not for several threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Generations"]


class Generations:
    """Keys by the time of their last use.

    Args:
        forget: Function that is called with each key that is given up.
        most: Keys of one generation at most.
        seconds: How long a generation lasts at most.
        clock: Function that returns seconds that only rise.
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
        """Note that a key is used."""
        if key in self._young:
            return
        now = self._clock()
        if len(self._young) >= self._most or now >= self._until:
            for forgotten in self._oldest:  # few: two of them went with each key that came
                self._forget(forgotten)
            self._young, self._old, self._oldest = set(), self._young, self._old
            self._until = now + self._seconds
        self._young.add(key)
        self._old.discard(key)
        self._oldest.discard(key)
        for _ in range(min(2, len(self._oldest))):
            self._forget(self._oldest.pop())
