"""Background tasks on the running event loop, and a private loop in a thread for callers without a loop.

Supports asyncio and trio. An application's coroutine may outlive one call (a streamed response, a WebSocket, a
lifespan). It runs as a background task of the loop that calls it. It gives its outcome to the waiting code and never
raises into the loop. `ClientLoop` carries calls from synchronous code to one private loop.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from types import ModuleType
from typing import Any, Literal, TypeVar

import anyio

from gateway.errors import ApplicationError, ConfigurationError
from gateway.testing.leaks import ENDS_BY

__all__ = ["Backend", "ClientLoop", "Notifier", "running_loop", "spawn"]

T = TypeVar("T")
Backend = Literal["asyncio", "trio"]
AsyncCall = Callable[[], Coroutine[object, object, T]]

_background: set[asyncio.Task[None]] = set()


async def _nothing() -> None:
    pass


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the asyncio loop of this thread, or None if trio runs here or no loop runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def spawn(run: AsyncCall[None], name: str) -> None:
    """Run a coroutine function in the background of the running loop. It must not raise."""
    if (loop := running_loop()) is not None:
        task = loop.create_task(run(), name=name)
        _background.add(task)
        task.add_done_callback(_background.discard)
        return
    _trio().lowlevel.spawn_system_task(run, name=name, context=copy_context())


def _trio() -> ModuleType:
    import trio

    return trio


class Notifier:
    """Wakes the tasks that wait for a state to change; they check the state themselves. Free while no task waits."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake all tasks that wait now. Call it only from their event loop."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next `notify`."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()


class ClientLoop:
    """One private event loop in one daemon thread, started by the first call.

    The thread ends with `stop`, or with the interpreter; ``at_end`` runs before the remaining tasks are cancelled. It
    must not raise. Exceptions that asyncio can only log go into ``failures``: those of a task that nobody awaits.
    """

    def __init__(
        self, backend: Backend, failures: list[BaseException] | None = None, at_end: AsyncCall[None] | None = None
    ) -> None:
        if backend not in ("asyncio", "trio"):
            raise ConfigurationError(f"backend must be 'asyncio' or 'trio', got {backend!r}")
        self._backend: Backend = backend
        self._failures = failures if failures is not None else []
        self._at_end = at_end or _nothing
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._post: Callable[[AsyncCall[None]], None] | None = None
        self._ready: Future[None] = Future()
        self._end: Callable[[], None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def run(self, call: AsyncCall[T], seconds: float | None = None) -> T:
        """Run a coroutine function on the loop, in the caller's context, and return its result.

        Args:
            call: Coroutine function that ends or cancels within ``seconds``, if the loop runs.
            seconds: Its own limit. None means that it has no limit.

        Raises:
            ApplicationError: The loop does not run, because the application blocks it.
        """
        post = self._post or self._start()
        future: Future[T] = Future()
        post(partial(_resolve, call, future))
        try:
            return future.result(None if seconds is None else seconds + 2 * ENDS_BY)
        except TimeoutError:
            if future.done():
                raise
        raise ApplicationError(
            "the application blocks the event loop: it calls something that does not return, without await; "
            f"its thread is here:\n{_where(self._thread)}"
        )

    def stop(self, *, join: bool = True) -> None:
        """Cancel the remaining tasks of the loop and end the thread. Does nothing if the loop never started.

        Args:
            join: Wait for the thread.

        Raises:
            ApplicationError: A task does not end, although it was cancelled, or blocks the loop.
        """
        with self._lock:
            thread, end = self._thread, self._end
            self._thread = self._post = self._end = None
            self._ready = Future()
        if thread is None or end is None:
            return
        end()
        if join and thread is not threading.current_thread():
            thread.join(ENDS_BY)
            if thread.is_alive():
                raise ApplicationError(
                    "the client's event loop does not end: the application blocks it, or a task of the application "
                    f"goes on after it was cancelled; its thread is here:\n{_where(thread)}"
                )

    @property
    def thread(self) -> threading.Thread | None:
        """The loop's thread, or None if the loop does not run."""
        return self._thread

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            self._failures.append(error)
        loop.default_exception_handler(context)

    def _start(self) -> Callable[[AsyncCall[None]], None]:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=partial(anyio.run, self._main, backend=self._backend), name="gateway-testing", daemon=True
                )
                self._thread.start()
            ready = self._ready
        ready.result()
        if self._post is None:  # pragma: no cover  # stopped by another thread in between
            raise RuntimeError("the client was closed while it started")
        return self._post

    async def _main(self) -> None:
        stop = anyio.Event()
        if self._backend == "asyncio":
            loop = self.loop = asyncio.get_running_loop()
            loop.set_exception_handler(self._failed)
            tasks: set[asyncio.Task[None]] = set()

            def start(call: AsyncCall[None]) -> None:
                task = loop.create_task(call(), name="gateway.testing: call")
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            def post(call: AsyncCall[None]) -> None:
                loop.call_soon_threadsafe(start, call)

            self._post = post

            def end() -> None:
                loop.call_soon_threadsafe(stop.set)

            self._end = end
            self._ready.set_result(None)
            await stop.wait()
            await self._at_end()
            return
        token = _trio().lowlevel.current_trio_token()
        async with anyio.create_task_group() as group:

            def post_trio(call: AsyncCall[None]) -> None:
                token.run_sync_soon(group.start_soon, call)

            self._post = post_trio

            def end_trio() -> None:
                token.run_sync_soon(stop.set)

            self._end = end_trio
            self._ready.set_result(None)
            await stop.wait()
            await self._at_end()
            group.cancel_scope.cancel()


def _where(thread: threading.Thread | None) -> str:
    frame = sys._current_frames().get((thread and thread.ident) or 0)
    return "".join(traceback.format_stack(frame)).rstrip() if frame is not None else "(the thread has ended)"


async def _resolve(call: Callable[[], Awaitable[T]], future: Future[T]) -> None:
    # The context is the caller's. There, sniffio may name the loop of the caller.
    if (sniffio := sys.modules.get("sniffio")) is not None:
        sniffio.current_async_library_cvar.set(None)
    try:
        result = await call()
    except anyio.get_cancelled_exc_class():
        future.cancel()
        raise
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
