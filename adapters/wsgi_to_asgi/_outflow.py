"""A response body on its way from one worker to one loop: a buffer bounded in bytes, with few wake-ups.

The worker appends, and sleeps only while the buffer is full. The loop takes everything, and sleeps only while it is
empty. Small chunks are frequent, so appending takes no lock:

- Only the worker counts the produced bytes, only the loop the released bytes. Each reads the other count.
- The worker appends, then reads ``_notified``. The loop clears ``_notified``, then looks once more. The deque orders
  append and look (as in `hand_off._mailbox`). So either the loop finds the chunk, or the worker sees the cleared
  flag and wakes the loop.
- The worker's sleep at a full buffer, and the wake-up from it, take the lock. They are rare, and must not be missed.

This module knows neither WSGI nor ASGI.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar, cast

from gateway.adapters.hand_off._ports import Port

T = TypeVar("T")


class Outflow(Generic[T]):
    """Entries of any kind that one worker pushes and one loop takes. The worker states the size of each entry."""

    # Defaults on the class; an instance sets an attribute when it changes. Attributes that are read for each chunk are
    # set on the instance in __init__, where a read costs a tenth.
    #: Set by the loop: the last entry was taken.
    ended = False
    _blocked = False
    _closed = False  # set by the worker: no entry will follow
    _gate: threading.Lock | None = None

    def __init__(self, port: Port, high: int) -> None:
        """Make an empty buffer.

        Args:
            port: The port of the loop that takes.
            high: Number of bytes that may wait. The entry that exceeds it is still added, then the worker sleeps.
        """
        self._port = port
        self._high = high
        self._lock = threading.Lock()
        self._entries: deque[T | None] = deque()  # None marks the end
        #: Set when there are entries to take, or when the state of the run has changed.
        self.progress = port.signal()
        #: Set by the loop: it does not want the rest.
        self.gone = False
        self._notified = False
        self._produced = 0
        self._released = 0

    # -------------------------------------------------------------------------------------------- the worker's side

    def _put(self, entry: T, size: int, *, last: bool = False) -> bool:
        """Hand over an entry and wake the loop; sleep while too much waits. Returns whether the loop wants more."""
        if self.gone:
            return False
        # Append before `_notified` is read: the loop clears it, and then looks at the entries once more.
        self._entries.append(entry)
        if last:
            self._closed = True
            self._entries.append(None)
        self._produced += size
        if not self._notified:
            self._notify()
        if self._produced - self._released > self._high:
            self._wait_for_room()
        return not self.gone

    def _put_end(self, *, wake: bool) -> None:
        """Mark the end. Pass ``wake=False`` if the job ends at once, because its end wakes the loop anyway."""
        if not self._closed:
            self._closed = True
            self._entries.append(None)
            if wake and not self._notified:
                self._notify()

    def _notify(self) -> None:
        self._notified = True
        self._port.post(self.progress.set)

    def _wait_for_room(self) -> None:
        with self._lock:
            if self.gone or self._produced - self._released <= self._high:
                return
            self._blocked = True
            gate = self._gate
            if gate is None:
                gate = self._gate = threading.Lock()
                gate.acquire()
        gate.acquire()

    # ---------------------------------------------------------------------------------------------- the loop's side

    def take(self) -> list[T]:
        """Return the entries that were pushed since the last call, and set `ended` if they include the end.

        After an empty result, wait for `progress` before the next call.
        """
        entries = self._entries
        if not entries:
            if self.gone or self.ended:
                return []
            # Clear the flag, then look again: a worker that appends after this look sees the cleared flag and wakes us.
            self._notified = False
            if not entries:
                return []
            self._notified = True
        pop = entries.popleft
        taken = [pop() for _ in range(len(entries))]  # only the loop pops, so all of them are there
        if taken[-1] is None:
            self.ended = True
            taken.pop()
        return cast("list[T]", taken)  # None is only ever the last entry

    def release(self, size: int) -> None:
        """Count bytes as sent, so that a sleeping worker may continue."""
        with self._lock:
            self._released += size
            if self._blocked and self._produced - self._released <= self._high // 2:
                self._open_gate()

    def abort(self) -> None:
        """Discard the rest: the worker stops at its next chunk."""
        with self._lock:
            self.gone = True
            if self._blocked:
                self._open_gate()
        self._entries.clear()
        self.progress.set()

    def _open_gate(self) -> None:
        self._blocked = False
        if self._gate is not None:
            self._gate.release()
