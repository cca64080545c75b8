"""A thread that writes log lines, so that an event loop does not wait for a disk or a pipe.

The thread starts with the first line, in the process that serves. At the end of the process it writes all lines and is
joined. If the disk or pipe blocks, up to `MOST` lines wait and further lines are dropped, because memory is limited.
A warning counts the dropped lines. Waking a thread for each line costs more than writing the line, so the thread waits
a moment for further lines after it wakes.
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

#: Seconds that a line waits for other lines.
MOMENT: Final = 0.02
#: Seconds that `close` waits for the thread. A log that blocks must not keep the process alive.
CLOSE_SECONDS: Final = 5.0
#: Maximum number of waiting lines.
MOST: Final = 50_000


def wants(logger: logging.Logger) -> bool:
    """Return whether to write records of level INFO: yes, unless the nearest level below the root is higher.

    The root's level does not count. Its default is WARNING, and servers keep it when they add a handler to the root.
    An application that has an access log in its chain wants the lines all the same.
    """
    each: logging.Logger | None = logger
    while each is not None and each.parent is not None:
        if each.level:
            return each.isEnabledFor(logging.INFO)
        each = each.parent
    return logger.manager.disable < logging.INFO


class _WriterThread(Generic[T]):
    """The thread of one process, and its waiting lines."""

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
            # Clear before reading the queue: an item that arrives later sets the event again.
            self.some.clear()
            self.closing.wait(MOMENT)
            while self.waiting:
                try:
                    self._write(self.waiting.popleft())
                except Exception:
                    # An exception of a handler must not end the thread, or every later line would be lost silently.
                    _log.exception("a log line could not be written")
            if self.dropped:
                # Subtract, because `put` may drop another line meanwhile. The next warning counts that line.
                dropped = self.dropped
                self.dropped -= dropped
                _log.warning(
                    "%d log lines were dropped, because the log was too slow and %d lines were waiting", dropped, MOST
                )


class LogThread(Generic[T]):
    """Pass items to a function in a thread, in order.

    Args:
        write: Function that is called in the thread. Its exceptions are logged.
    """

    def __init__(self, write: Callable[[T], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._running: _WriterThread[T] | None = None

    def put(self, item: T) -> None:
        """Queue an item, or drop it if `MOST` items wait. Never blocks."""
        running = self._running
        if running is None or running.pid != os.getpid():  # a forked child does not have the thread
            running = self._start()
        if len(running.waiting) >= MOST:
            running.dropped += 1
            return
        running.waiting.append(item)
        if not running.some.is_set():  # usually set already, and `is_set` takes no lock
            running.some.set()

    def _start(self) -> _WriterThread[T]:
        with self._lock:
            if self._running is None or self._running.pid != os.getpid():
                self._running = _WriterThread(self._write)
                atexit.register(self.close)
            return self._running

    def close(self) -> None:
        """Write the waiting items and join the thread within `CLOSE_SECONDS`; the next item starts a new thread."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            atexit.unregister(self.close)
            if running.pid == os.getpid():
                running.closing.set()
                running.some.set()
                running.thread.join(CLOSE_SECONDS)
