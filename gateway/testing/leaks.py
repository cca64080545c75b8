"""Leaks of an application or a test: tasks, threads, and iterables that were not closed.

Sources: PEP 3333 "Specification Details" (close).
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from gateway.protocols import Environ, WSGIApplication
from gateway.testing._wsgi_exchange import SentFileWrapper

__all__ = ["ClosingWatch", "LeakReport", "Snapshot"]

# Threads of pools that stay on purpose, of our own loops, and threads that Python did not start. Python does not know
# when the last kind ends.
_KEPT = ("Dummy-", "gateway", "AnyIO", "asyncio_", "ThreadPoolExecutor", "Trio", "pydevd")
_OWN_TASKS = "gateway"
#: Seconds to wait for threads and tasks that are about to end.
GRACE = 0.5
#: Seconds in which a cancelled task, and the thread of a stopped loop, must end.
ENDS_BY = 2.0


@dataclass(frozen=True)
class LeakReport:
    """The leaks that were found. True if there are any."""

    iterables: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.iterables or self.tasks or self.threads)

    def __str__(self) -> str:
        lines = [f"iterable not closed: {one}" for one in self.iterables]
        lines += [f"task not ended: {one}" for one in self.tasks]
        lines += [f"thread not ended: {one}" for one in self.threads]
        return "\n".join(lines) or "nothing left behind"


@dataclass
class Snapshot:
    """The threads and tasks at one moment. `left` finds those that are new since then and still there."""

    threads: set[int | None] = field(default_factory=set[int | None])
    tasks: weakref.WeakSet[asyncio.Task[object]] = field(default_factory=weakref.WeakSet[asyncio.Task[object]])

    @classmethod
    def take(cls, loop: asyncio.AbstractEventLoop | None = None) -> Snapshot:
        """Record the threads, and the tasks of a loop."""
        snapshot = cls({thread.ident for thread in threading.enumerate()})
        for task in _tasks(loop):
            snapshot.tasks.add(task)
        return snapshot

    def left(self, tasks: Iterable[str] = (), iterables: Iterable[str] = ()) -> LeakReport:
        """Report the threads that are new and still there, after a short wait for them to end."""
        deadline = time.monotonic() + GRACE
        while (threads := self._left_threads()) and time.monotonic() < deadline:
            time.sleep(0.005)
        return LeakReport(tuple(iterables), tuple(tasks), tuple(threads))

    def _left_threads(self) -> list[str]:
        return [
            thread.name
            for thread in threading.enumerate()
            if thread.ident not in self.threads and not thread.name.startswith(_KEPT)
        ]

    def left_tasks(self, loop: asyncio.AbstractEventLoop | None) -> list[str]:
        """Return the tasks of a loop that are new and still there. Call it in the loop's own thread."""
        return [
            repr(task.get_coro())
            for task in _tasks(loop)
            if task not in self.tasks
            and not task.done()
            and not task.get_name().startswith(_OWN_TASKS)
            # The loop's own finalizer of a generator that a test did not finish.
            and type(task.get_coro()).__name__ != "async_generator_athrow"
        ]


def _tasks(loop: asyncio.AbstractEventLoop | None) -> set[asyncio.Task[object]]:
    return asyncio.all_tasks(loop) if loop is not None and not loop.is_closed() else set()


class ClosingWatch:
    """Watches whether the code around a WSGI application closes the iterables that it gets.

    >>> def app(environ, start_response):
    ...     start_response("200 OK", [])
    ...     yield b"never closed"
    >>> watch = ClosingWatch(app)
    >>> iterable = watch.app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
    >>> watch.open
    ['GET /']
    >>> iterable.close(); watch.open
    []
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._open: list[str] = []

    @property
    def open(self) -> list[str]:
        """The requests whose iterable is still open."""
        return list(self._open)

    def forget(self) -> None:
        """Start again: do not report the iterables that are open now."""
        self._open.clear()

    def app(self, environ: Environ, start_response: Callable[..., Callable[[bytes], object]]) -> Iterable[bytes]:
        """The watched application."""
        iterable = self._app(environ, start_response)
        close = getattr(iterable, "close", None)
        # A server recognises its own file wrapper by type, so the wrapper must not be wrapped again.
        if close is None or isinstance(iterable, SentFileWrapper):
            return iterable
        label = f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
        self._open.append(label)
        return _Watched(iterable, cast(Callable[[], None], close), self._open, label)


class _Watched:
    def __init__(self, iterable: Iterable[bytes], close: Callable[[], None], still_open: list[str], label: str) -> None:
        self._iterable = iterable
        self._close = close
        self._still_open = still_open
        self._label = label

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._iterable)

    def close(self) -> None:
        if self._label in self._still_open:
            self._still_open.remove(self._label)
        self._label = ""
        self._close()
