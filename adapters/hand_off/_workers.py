"""Threads that run a blocking application for one event loop, woken as rarely as can be.

Not `concurrent.futures`: a job here needs no future, no work item and no semaphore, and its result goes back through
the outbox together with those of others. Threads are daemons: one that is stuck in an application must not keep the
process from ending (the standard executor joins them at exit).

Theory of operation. Waking a thread costs more than a small request, and under the interpreter's lock a woken thread
can only wait for that lock. So not every job wakes a thread. At most one worker is the *scout*: woken, and without a
job so far. The scout takes the first job that waits; if more are waiting it makes the next worker the scout, and then
runs its own. As long as jobs are quick, the first worker does them all, one after another. When it blocks it lets go of
the interpreter's lock, the scout runs, takes the next job and wakes the next scout: blocking jobs get a thread each, at
once, up to the limit. In a free-threaded build the scouts follow each other without waiting.

The same holds for results. A worker *leaves* a result in the outbox, and wakes the loop when it finds no more jobs. If
it goes on with another job, somebody else must see to the result in case that job blocks: the scout does, or, where
there is none, the worker itself before it goes on. The rules that keep this true, which the mutex orders:

- whoever stops to be the scout flushes the outbox *after* that is known;
- whoever goes on with a result in the outbox asks *after* leaving it whether there is a scout;
- whoever goes to sleep is in the idle list *before* it flushes, so that the loop it wakes finds it there.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

Job: TypeAlias = Callable[[], None]

_numbers = itertools.count(1)


class Workers:
    """Up to ``threads`` worker threads, grown as jobs wait, and ended by `close` or with the last reference.

    `submit` and `done` belong to the loop's thread. A pool does not outlive a fork: its port checks the process id.
    """

    def __init__(self, threads: int, flush: Job, *, prepare: Job | None = None) -> None:
        """Make a pool that has no thread yet.

        Args:
            threads: The most threads that run at once.
            flush: Called by a worker; hands what was left in the outbox to the loop.
            prepare: Called by a worker before each job; must be cheap.
        """
        self.threads = threads
        #: Jobs that were submitted and are not done yet, waiting ones included.
        self.pending = 0
        # The threads know the crew alone; whoever drops the pool ends them.
        self._crew = _Crew(threads, flush, prepare)
        self._end = weakref.finalize(self, self._crew.stop)
        self._end.atexit = False

    @property
    def size(self) -> int:
        """How many threads there are."""
        return self._crew.size

    def submit(self, job: Job) -> None:
        """Have a worker call ``job``, which must not raise and whose end is told by `done`. Loop thread only."""
        self.pending += 1
        self._crew.add(job)

    def done(self) -> None:
        """Count a job as done. Loop thread only."""
        self.pending -= 1

    def close(self) -> None:
        """End every thread once the jobs that were submitted are done. A closed pool takes no more jobs."""
        self._end()


class _Crew:
    """What the threads of one pool share."""

    __slots__ = ("flush", "idle", "jobs", "mutex", "prepare", "scouting", "size", "stopped", "threads")

    def __init__(self, threads: int, flush: Job, prepare: Job | None) -> None:
        self.threads = threads
        self.flush = flush
        self.prepare = prepare
        self.size = 0
        self.jobs: deque[Job] = deque()
        self.mutex = threading.Lock()
        #: Gates of sleeping workers; the last to sleep is the first to be woken, its memory is warm.
        self.idle: list[threading.Lock] = []
        self.scouting = False
        self.stopped = False

    def add(self, job: Job) -> None:
        """Add a job, and see that somebody comes for it."""
        self.jobs.append(job)
        with self.mutex:
            wake = None if self.scouting else self._next_scout()
        if wake is not None:
            wake()

    def _next_scout(self) -> Job | None:
        """Make a worker the scout, if any is free or may be started; return what wakes it. Under the mutex."""
        self.scouting = True
        if self.idle:
            return self.idle.pop().release
        if self.size < self.threads:
            self.size += 1
            return self._start
        self.scouting = False
        return None

    def _start(self) -> None:
        name = f"gateway-wsgi-{next(_numbers)}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        scout = True  # who starts a thread makes it the scout
        left = False  # whether this worker left something in the outbox since it last looked after it
        jobs, mutex, flush, prepare = self.jobs, self.mutex, self.flush, self.prepare
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                with mutex:
                    if jobs:
                        continue
                    if scout:
                        self.scouting = False
                    if self.stopped:
                        self.size -= 1
                        break
                    self.idle.append(gate)
                flush()
                gate.acquire()
                scout, left = True, False
                continue
            if scout:
                scout = False
                with mutex:
                    wake = self._next_scout() if jobs else None
                    if wake is None:
                        self.scouting = False
                if wake is not None:
                    wake()
                flush()
            elif left:
                with mutex:
                    watched = self.scouting
                if not watched:
                    flush()
            if prepare is not None:
                prepare()
            job()
            del job  # what it holds must not live until the next one
            left = True
        flush()

    def stop(self) -> None:
        with self.mutex:
            self.stopped = True
            gates, self.idle = self.idle, []
        for gate in gates:
            gate.release()
