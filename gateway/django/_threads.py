"""Django's ASGI handler, with threads that stay for its synchronous code.

Django runs the synchronous code of one request in one thread, because transactions and connections belong to a thread.
By itself it makes that thread when the request comes, and ends it afterwards; a persistent database connection ends
with it. `ReusedThreads` lends each request a thread that is free, and takes it back.

A thread is lent again only when everything that the request gave it is done. A cancelled request may leave a running
call behind, so its thread comes back when that call returns.

asyncio only, as Django's handler is. Sources: asgiref ``ThreadSensitiveContext`` (``executor=``, from 3.13 on); ASGI
Lifespan 2.0.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Scope

__all__ = ["DjangoAsgi", "ReusedThreads"]

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds that a thread may be free. Then it ends when another thread is taken back.
_IDLE = 60


class DjangoAsgi:
    """Django's ASGI handler as a complete application: it supports the lifespan and refuses WebSockets.

    Django's handler raises for both.

    Args:
        app: Django's handler.
        threads: Threads to lend; None to leave that to Django.
    """

    def __init__(self, app: ASGIApplication, threads: ReusedThreads | None) -> None:
        self.app = app
        self.threads = threads

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if self.threads is not None:
                await self.threads.close()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        elif self.threads is None:
            await self.app(scope, receive, send)
        else:
            await self.threads.run(self.app, scope, receive, send)


class ReusedThreads:
    """Threads that are lent to requests, one for each request at a time.

    Args:
        most: Maximum number of requests at once, per event loop; others wait in order. None: no limit.

    Raises:
        ConfigurationError: The installed asgiref takes no executor.
    """

    def __init__(self, most: int | None = None) -> None:
        if "executor" not in inspect.signature(ThreadSensitiveContext).parameters:
            raise ConfigurationError(
                f"reuse_threads=True needs asgiref 3.13 or newer, and {version('asgiref')} is installed; run: "
                'pip install "asgiref>=3.13"'
            )
        self._most = most
        #: Free threads, each with the time since when it is free; the one that was used last is at the end.
        self._free: deque[tuple[float, _Thread]] = deque()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def run(self, app: ASGIApplication, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Call the application; its thread-sensitive code runs in one of the threads."""
        loop = asyncio.get_running_loop()
        turn = None
        if self._most is not None:
            turn = self._turns.setdefault(loop, asyncio.Semaphore(self._most))
            await turn.acquire()
        # Threads at the other end stay free if there are fewer requests, and end.
        thread = self._free.pop()[1] if self._free else _Thread()
        try:
            # asgiref is older in the type checker's eyes than `executor`; `__init__` has looked.
            context: Any = ThreadSensitiveContext
            async with context(executor=thread):
                await app(scope, receive, send)
        finally:
            if thread.is_free():
                self._take_back(thread, turn)
            else:
                thread.submit(_nothing).add_done_callback(
                    lambda _: _on_loop(loop, lambda: self._take_back(thread, turn), otherwise=thread.end)
                )

    def _take_back(self, thread: _Thread, turn: asyncio.Semaphore | None) -> None:
        now = monotonic()
        self._free.append((now, thread))
        while self._free[0][0] < now - _IDLE:
            self._free.popleft()[1].end()
        if turn is not None:
            turn.release()

    async def close(self) -> None:
        """End the free threads, and close their database connections."""
        ends = [thread.end() for _, thread in self._free]
        self._free.clear()
        await asyncio.gather(*(asyncio.wrap_future(end) for end in ends))


class _Thread(ThreadPoolExecutor):
    """One thread, which starts with its first call."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="django")
        self._last: Future[Any] | None = None

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        self._last = future = super().submit(fn, *args, **kwargs)
        return future

    def is_free(self) -> bool:
        """Return whether every call has returned: calls run in order, but a call before a cancelled one may run."""
        return self._last is None or (self._last.done() and not self._last.cancelled())

    def end(self) -> Future[None]:
        """Close the database connections of the thread, then end it; does not wait."""
        closed = self.submit(connections.close_all)
        self.shutdown(wait=False)
        return closed


def _nothing() -> None:
    pass


def _on_loop(loop: asyncio.AbstractEventLoop, do: Callable[[], None], *, otherwise: Callable[[], object]) -> None:
    """Call a function on the loop, or the other one at once if the loop is closed."""
    try:
        loop.call_soon_threadsafe(do)
    except RuntimeError:
        otherwise()
