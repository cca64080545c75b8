"""A new thread for each job, for jobs that last: the thread starts with the job and ends with it.

A pool (`_workers`) keeps its threads, because its jobs are short. A job that holds its thread for hours gains nothing
from that, and hundreds of idle threads would stay after a busy hour.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

_numbers = itertools.count(1)


class NoThread(RuntimeError):
    """The system could not start a thread."""


class OwnThreads:
    """Threads of one event loop, one for each job. The caller limits their number by `pending`.

    The threads are daemons, as those of `Workers` are.
    """

    def __init__(self, flush: Callable[[], None], *, prepare: Callable[[], None] | None = None) -> None:
        """Make an empty set.

        Args:
            flush: Called in the thread after its job; wakes the loop if the mailbox holds results.
            prepare: Called in the thread before its job.
        """
        self._flush = flush
        self._prepare = prepare
        #: Number of jobs that were submitted and are not done yet.
        self.pending = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Start a thread for ``job``, which must not raise. Decrement `pending` when it has ended. Loop thread only.

        Raises:
            NoThread: The job was counted, but does not run.
        """
        self.pending += 1
        name = f"gateway-websocket-{next(_numbers)}"
        try:
            threading.Thread(target=self._run, args=(job,), name=name, daemon=True).start()
        except RuntimeError as error:
            raise NoThread("the system could not start a thread for a WebSocket") from error

    def _run(self, job: Callable[[], None]) -> None:
        if self._prepare is not None:
            self._prepare()
        job()
        self._flush()

    def close(self) -> None:
        """Do nothing: each thread ends with its job."""
