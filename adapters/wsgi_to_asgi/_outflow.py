"""A response body on its way from one worker to one loop: a buffer bounded in bytes, with few wake-ups.

The worker appends and sleeps only while the buffer is full; the loop takes all there is and sleeps only while it is
empty. Small chunks are many, so appending takes no lock:

- Only the worker counts what was produced, only the loop what was released; each reads the other's count.
- The worker appends, then reads ``_notified``; the loop clears ``_notified``, then looks once more. Append and look
  take turns on the deque (as in `hand_off._ports.Outbox`), so either the loop finds the chunk or the worker
  sees that it has to wake it.
- To sleep, and to be woken from it, takes the lock: that is rare, and must not be missed.

No WSGI here, and no ASGI.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar, cast

from gateway.adapters.hand_off._ports import Port

T = TypeVar("T")


class Outflow(Generic[T]):
    """What one worker pushes and one loop takes; entries may be of any kind, their size is the pusher's word."""

    # Where every one begins; an attribute is set on the instance when it changes. Those that are read for each chunk
    # begin on the instance: there a read costs a tenth.
    #: The loop's note: the last entry was taken.
    ended = False
    _blocked = False
    _closed = False  # the worker's note: no entry will follow
    _gate: threading.Lock | None = None

    def __init__(self, port: Port, high: int) -> None:
        """Make an empty one.

        Args:
            port: Of the loop that takes.
            high: Bytes that may wait; one more entry goes in before the worker sleeps.
        """
        self._port = port
        self._high = high
        self._lock = threading.Lock()
        self._entries: deque[T | None] = deque()  # None is the end
        #: Set where there is something to take, or to look at.
        self.progress = port.signal()
        #: The loop's note: nobody wants the rest.
        self.gone = False
        self._notified = False
        self._produced = 0
        self._released = 0

    # -------------------------------------------------------------------------------------------- the worker's side

    def _put(self, entry: T, size: int, *, last: bool = False) -> bool:
        """Hand an entry over and wake the loop; sleep while too much waits. Tells whether more is wanted."""
        if self.gone:
            return False
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
        """Say that no entry will follow; without a wake-up where the worker's own end follows at once."""
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
        """Return what was pushed since the last time, and note in `ended` whether it is the end.

        Whoever gets nothing waits for `progress` before asking again.
        """
        entries = self._entries
        if not entries:
            if self.gone or self.ended:
                return []
            self._notified = False
            if not entries:
                return []
            self._notified = True
        pop = entries.popleft
        taken = [pop() for _ in range(len(entries))]  # only this side pops
        if taken[-1] is None:
            self.ended = True
            taken.pop()
        return cast("list[T]", taken)  # None stands at the end alone

    def release(self, size: int) -> None:
        """Say that bytes were sent, so that the worker may go on."""
        with self._lock:
            self._released += size
            if self._blocked and self._produced - self._released <= self._high // 2:
                self._open_gate()

    def abort(self) -> None:
        """Say that nobody wants the rest: the worker stops at its next chunk."""
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
