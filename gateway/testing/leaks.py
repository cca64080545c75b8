"""What an application or a test leaves behind: tasks, threads, iterables that nobody closed.

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

# Threads of pools that are kept on purpose, of our own loops, and those that Python did not start (it cannot tell when
# they end).
_KEPT = ("Dummy-", "gateway", "AnyIO", "asyncio_", "ThreadPoolExecutor", "Trio", "pydevd")
_OWN_TASKS = "gateway"
#: Seconds in which what is about to end may end.
GRACE = 0.5


@dataclass(frozen=True)
class LeakReport:
    """What was left. True when there is something."""

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
    """What ran before; `left` says what has come since and is still there."""

    threads: set[int | None] = field(default_factory=set[int | None])
    tasks: weakref.WeakSet[asyncio.Task[object]] = field(default_factory=weakref.WeakSet[asyncio.Task[object]])

    @classmethod
    def take(cls, loop: asyncio.AbstractEventLoop | None = None) -> Snapshot:
        """Note the threads, and the tasks of a loop."""
        snapshot = cls({thread.ident for thread in threading.enumerate()})
        for task in _tasks(loop):
            snapshot.tasks.add(task)
        return snapshot

    def left(self, tasks: Iterable[str] = (), iterables: Iterable[str] = ()) -> LeakReport:
        """Say which threads have come since and are still there, after a moment in which they may end."""
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
        """Say which tasks of a loop have come since and are still there. On the loop's own thread."""
        return [
            repr(task.get_coro())
            for task in _tasks(loop)
            if task not in self.tasks
            and not task.done()
            and not task.get_name().startswith(_OWN_TASKS)
            # The loop's own finalizer of a generator that a test left half-way.
            and type(task.get_coro()).__name__ != "async_generator_athrow"
        ]


def _tasks(loop: asyncio.AbstractEventLoop | None) -> set[asyncio.Task[object]]:
    return asyncio.all_tasks(loop) if loop is not None and not loop.is_closed() else set()


class ClosingWatch:
    """Watches, from inside, whether what stands around a WSGI application closes the iterables that it got.

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
        """The requests whose iterable is not closed."""
        return list(self._open)

    def forget(self) -> None:
        """Begin anew: what is open now is not told again."""
        self._open.clear()

    def app(self, environ: Environ, start_response: Callable[..., Callable[[bytes], object]]) -> Iterable[bytes]:
        """The watched application."""
        iterable = self._app(environ, start_response)
        close = getattr(iterable, "close", None)
        # A server recognises its own file wrapper by type, so that one has to stay what it is.
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
