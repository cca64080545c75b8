"""Threads that run a blocking application for one event loop, with as few wake-ups as possible.

Not `concurrent.futures`: a job here needs no future, no work item and no semaphore. Its result goes back through the
mailbox together with the results of other jobs. The threads are daemons, so that a thread stuck in an application does
not keep the process from ending. The standard executor joins its threads at exit.

Theory of operation. Waking a thread costs more than a small request, and under the interpreter's lock a woken thread
can only wait for that lock. So not every job wakes a thread. At most one worker is the *scout*: it was woken and has
not taken a job yet. The scout takes the first waiting job. If more jobs wait, it makes the next worker the scout, and
then runs its own job. As long as jobs are quick, the first worker runs them all, one after another. When a job blocks,
its worker releases the interpreter's lock. The scout then runs, takes the next job and wakes the next scout. So
blocking jobs get a thread each, at once, up to the limit. In a free-threaded build the scouts follow each other without
waiting.

A loop that opens a lock keeps the interpreter's lock, so the woken worker sleeps a second time, for that. This is good
if the rest of the loop's turn brings more jobs, because one worker then runs them all. It is a waste if requests come
one at a time. So the first worker sleeps at an eventfd (on Linux), because a write to it releases the interpreter's
lock. It is woken if jobs come one at a time, and the others if not. docs/explanation/hand-offs.md has measurements.

The same holds for results. A worker *leaves* a result in the mailbox, and wakes the loop when it finds no more jobs. If
it takes another job, that job may block, so another worker must flush the result. The scout does it. Without a
scout, the worker flushes before it runs the job. These rules keep this correct; the mutex orders their steps:

- A worker that stops scouting clears `scouting` *before* it flushes the mailbox.
- A worker that takes another job checks for a scout *after* it has put its result into the mailbox.
- A worker that goes to sleep adds itself to `idle` *before* it flushes, so that the loop it wakes finds it there.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

Job: TypeAlias = Callable[[], None]
#: Functions that make a worker sleep, and wake it.
Gate: TypeAlias = tuple[Callable[[], object], Callable[[], object]]

_numbers = itertools.count(1)


class Workers:
    """Up to ``threads`` worker threads. `close`, or dropping the last reference, ends them.

    The pool grows as jobs wait. Use it in the loop's thread only. A pool does not survive a fork: its
    port checks the process id.
    """

    def __init__(self, threads: int, flush: Job, *, prepare: Job | None = None) -> None:
        """Make a pool, which has no thread yet.

        Args:
            threads: Maximum number of threads.
            flush: Called by a worker; wakes the loop if the mailbox holds results.
            prepare: Called by a worker before each job; must be cheap.
        """
        self.threads = threads
        #: Number of jobs that were submitted and are not done yet, including the waiting ones.
        self.pending = 0
        self._one_at_a_time = True  # since the pool was last idle
        # The threads refer to the crew only, so that dropping the pool ends them.
        self._crew = _Crew(threads, flush, prepare)
        self._end = weakref.finalize(self, self._crew.stop)
        self._end.atexit = False

    @property
    def size(self) -> int:
        """Number of threads."""
        return self._crew.size

    def submit(self, job: Job) -> None:
        """Have a worker call ``job``, which must not raise. Decrement `pending` when it has ended. Loop thread only."""
        alone = not self.pending
        # The rest of the loop's turn may bring more jobs. At the first one, the last time is the best guess.
        self._crew.add(job, one_at_a_time=alone and self._one_at_a_time)
        self._one_at_a_time = alone
        self.pending += 1

    def close(self) -> None:
        """End every thread once the jobs that were submitted are done. A closed pool takes no more jobs."""
        self._end()


class _Crew:
    """State that the threads of one pool share."""

    __slots__ = ("first", "flush", "idle", "jobs", "mutex", "prepare", "scouting", "size", "stopped", "threads")

    def __init__(self, threads: int, flush: Job, prepare: Job | None) -> None:
        self.threads = threads
        self.flush = flush
        self.prepare = prepare
        self.size = 0
        self.jobs: deque[Job] = deque()
        self.mutex = threading.Lock()
        #: Wake the sleeping workers. The last to sleep is woken first, because its memory is still in the caches.
        self.idle: list[Callable[[], object]] = []
        #: Wakes the first worker, which sleeps at an eventfd; None while it does not sleep.
        self.first: Callable[[], object] | None = None
        self.scouting = False
        self.stopped = False

    def add(self, job: Job, *, one_at_a_time: bool) -> None:
        """Add a job, and wake or start a worker for it unless a scout is on its way."""
        self.jobs.append(job)
        with self.mutex:
            wake = None if self.scouting else self._next_scout(one_at_a_time)
        if wake is not None:
            wake()

    def _next_scout(self, one_at_a_time: bool = False) -> Callable[[], object] | None:
        """Make an idle or new worker the scout, and return the function that wakes it. Call it under the mutex."""
        first = self.first
        self.scouting = True
        if first is None or not one_at_a_time:
            if self.idle:
                return self.idle.pop()
            if self.size < self.threads:
                self.size += 1
                return self._start
        self.first = None
        self.scouting = first is not None
        return first

    def _start(self) -> None:
        name = f"gateway-wsgi-{next(_numbers)}"
        threading.Thread(target=self._work, args=(self.size == 1,), name=name, daemon=True).start()

    def _work(self, first: bool) -> None:
        descriptor = _eventfd() if first and self.threads > 1 else None  # a single worker has jobs of both kinds
        sleep, wake_up = _lock_gate() if descriptor is None else _eventfd_gate(descriptor)
        scout = True  # `_next_scout` made the new thread the scout
        left = False  # True while this worker may have an unflushed result in the mailbox
        jobs, mutex, flush, prepare = self.jobs, self.mutex, self.flush, self.prepare
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                with mutex:
                    # Check again under the mutex: `add` wakes no worker if this one scouts, or if all are busy.
                    if jobs:
                        continue
                    if scout:
                        self.scouting = False
                    if self.stopped:
                        self.size -= 1
                        break
                    if descriptor is None:
                        self.idle.append(wake_up)
                    else:
                        self.first = wake_up
                # After the append: the loop that this wakes may submit a job, and must find this worker idle.
                flush()
                sleep()
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
                # After `scouting` was cleared: a result that was left before then may rely on this flush.
                flush()
            elif left:
                # This job may block, so its last result needs a scout that will flush it, or a flush now.
                with mutex:
                    watched = self.scouting
                if not watched:
                    flush()
            if prepare is not None:
                prepare()
            job()
            del job  # free the objects of this job before the next job comes
            left = True
        flush()
        if descriptor is not None:
            os.close(descriptor)

    def stop(self) -> None:
        with self.mutex:
            self.stopped = True
            idle, self.idle = self.idle, []
            if self.first is not None:
                idle.append(self.first)
                self.first = None
        for wake in idle:
            wake()


def _lock_gate() -> Gate:
    lock = threading.Lock()
    lock.acquire()
    return lock.acquire, lock.release


def _eventfd_gate(descriptor: int) -> Gate:
    return partial(os.eventfd_read, descriptor), partial(os.eventfd_write, descriptor, 1)


def _eventfd() -> int | None:
    """Return a new eventfd, or None if this system has none or no descriptor is left."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.eventfd(0)
    return None
