"""A thread that writes log records, so that an event loop does not wait for a disk or a pipe.

It starts with the first record, in the process that serves, and is joined at the end with everything written. Records
wait in a queue without bound: a log line is small, and dropping it is worse than the memory.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from queue import SimpleQueue

__all__ = ["LogThread", "handle", "wants"]


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


def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    """Hand a record to the logger's handlers, or to standard output where nobody has given it one."""
    if logger.hasHandlers():
        logger.handle(record)
    elif logger.filter(record):
        sys.stdout.write(record.getMessage() + "\n")
        sys.stdout.flush()


class LogThread:
    """Writes the records of one logger, in order."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._running: tuple[int, SimpleQueue[logging.LogRecord | None], threading.Thread] | None = None

    def put(self, record: logging.LogRecord) -> None:
        """Queue a record; never waits."""
        running = self._running
        if running is None or running[0] != os.getpid():
            running = self._start()
        running[1].put(record)

    def _start(self) -> tuple[int, SimpleQueue[logging.LogRecord | None], threading.Thread]:
        with self._lock:
            pid = os.getpid()
            if self._running is None or self._running[0] != pid:
                queue: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
                thread = threading.Thread(target=self._write, args=(queue,), name="gateway-log", daemon=True)
                thread.start()
                atexit.register(self.close)
                self._running = (pid, queue, thread)
            return self._running

    def _write(self, queue: SimpleQueue[logging.LogRecord | None]) -> None:
        while (record := queue.get()) is not None:
            try:
                handle(self._logger, record)
            except Exception:
                # A handler that raises must not end the thread, or every later line would be lost in silence.
                logging.getLogger("gateway.middleware.access_log").exception(
                    "a handler of %s raised", self._logger.name
                )

    def close(self) -> None:
        """Write what waits and end the thread; the next record starts another."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            atexit.unregister(self.close)
            if running[0] == os.getpid():
                running[1].put(None)
                running[2].join()
