"""Threads that run a blocking application for one event loop.

Not `concurrent.futures`: a job here needs no future, no work item and no idle semaphore, its result goes back through
the port's outbox together with those of others. Threads are daemons: one that is stuck in an application must not keep
the process from ending (the standard executor joins them at exit).

`submit` and `done` belong to the loop's thread, so the counters need no lock. Threads start when they are needed, in
the process that needs them: a pool never outlives a fork, its port checks the process id.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

Job: TypeAlias = Callable[[], None]

_numbers = itertools.count(1)


class Workers:
    """Up to ``threads`` worker threads, grown as jobs wait, and ended by `close` or with the last reference."""

    def __init__(self, threads: int, *, prepare: Job | None = None) -> None:
        """Make a pool that has no thread yet.

        Args:
            threads: The most threads that run at once.
            prepare: Called in a worker before each job; must be cheap.
        """
        self.threads = threads
        self.size = 0
        #: Jobs that were submitted and are not done yet, waiting ones included.
        self.pending = 0
        self._prepare = prepare
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        # The threads know the queue alone; whoever drops the pool ends them.
        self._end = weakref.finalize(self, self._jobs.put, None)
        self._end.atexit = False

    def submit(self, job: Job) -> None:
        """Have a worker call ``job``, which must not raise and whose end is told by `done`. Loop thread only."""
        self.pending += 1
        if self.pending > self.size and self.size < self.threads:
            self.size += 1
            threading.Thread(
                target=_work, args=(self._jobs, self._prepare), name=f"gateway-wsgi-{next(_numbers)}", daemon=True
            ).start()
        self._jobs.put(job)

    def done(self) -> None:
        """Count a job as done. Loop thread only."""
        self.pending -= 1

    @property
    def waiting(self) -> int:
        """How many jobs have no thread yet."""
        return max(0, self.pending - self.threads)

    def close(self) -> None:
        """End every thread once the jobs that were submitted are done. A closed pool takes no more jobs."""
        self._end()


def _work(jobs: SimpleQueue[Job | None], prepare: Job | None) -> None:
    while True:
        job = jobs.get()
        if job is None:
            jobs.put(None)  # for the next thread
            return
        if prepare is not None:
            prepare()
        job()
        del job  # what it holds must not live until the next job
