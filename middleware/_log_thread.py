"""A thread that writes log lines, so that an event loop does not wait for a disk or a pipe.

It starts with the first line, in the process that serves, and is joined at the end with everything written. If its
disk or pipe stands still, `MOST` lines wait and further ones are dropped, because the process would run out of memory
otherwise; a warning counts them. A thread that is woken for each line costs more than to write it, so once woken it
lets a moment pass in which more lines come.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["CLOSE_SECONDS", "MOMENT", "MOST", "LogThread", "wants"]

T = TypeVar("T")
_log = logging.getLogger("gateway.middleware.access_log")

#: How long a line waits for others, seconds.
MOMENT: Final = 0.02
#: How long the end waits for the thread, seconds: a log that stands still must not keep a process from its end.
CLOSE_SECONDS: Final = 5.0
#: How many lines wait at most.
MOST: Final = 50_000


def wants(logger: logging.Logger) -> bool:
    """Tell whether a record of level INFO is to be written: unless somebody gave the logger, or one above it, a level.

    The root's level does not count. Its default, WARNING, is nobody's will, and servers leave it there when they give
    the root a handler; whoever puts an access log into a chain wants its lines.
    """
    each: logging.Logger | None = logger
    while each is not None and each.parent is not None:
        if each.level:
            return each.isEnabledFor(logging.INFO)
        each = each.parent
    return logger.manager.disable < logging.INFO


class _Running(Generic[T]):
    """A thread of one process, and what waits for it."""

    def __init__(self, write: Callable[[T], None]) -> None:
        self.pid = os.getpid()
        self.waiting: deque[T] = deque()
        self.dropped = 0
        self.some = threading.Event()
        self.closing = threading.Event()
        self._write = write
        self.thread = threading.Thread(target=self._run, name="gateway-log", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.closing.is_set():
            self.some.wait()
            # Before the look: who comes after it sets it anew.
            self.some.clear()
            self.closing.wait(MOMENT)
            while self.waiting:
                try:
                    self._write(self.waiting.popleft())
                except Exception:
                    # A handler that raises must not end the thread, or every later line would be lost in silence.
                    _log.exception("a line could not be logged")
            if self.dropped:
                # A line that is dropped in between is counted by the next warning.
                dropped = self.dropped
                self.dropped -= dropped
                _log.warning("%d lines were dropped, because %d waited for a log that took none", dropped, MOST)


class LogThread(Generic[T]):
    """Hands what it is given to a function, in order.

    Args:
        write: Called in the thread; what it raises is logged.
    """

    def __init__(self, write: Callable[[T], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._running: _Running[T] | None = None

    def put(self, item: T) -> None:
        """Queue an item, or drop it if `MOST` wait; never waits."""
        running = self._running
        if running is None or running.pid != os.getpid():
            running = self._start()
        if len(running.waiting) >= MOST:
            running.dropped += 1
            return
        running.waiting.append(item)
        if not running.some.is_set():
            running.some.set()

    def _start(self) -> _Running[T]:
        with self._lock:
            if self._running is None or self._running.pid != os.getpid():
                self._running = _Running(self._write)
                atexit.register(self.close)
            return self._running

    def close(self) -> None:
        """Write what waits and end the thread, or leave it after `CLOSE_SECONDS`; the next item starts another."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            atexit.unregister(self.close)
            if running.pid == os.getpid():
                running.closing.set()
                running.some.set()
                running.thread.join(CLOSE_SECONDS)
