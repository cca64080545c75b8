"""asyncio or trio: events, timeouts, pauses and threads under one name, for code that runs on either.

The server chooses the loop, and a coroutine finds out when it runs. trio is used only if it runs this code, so it is
never imported here. Every function here means the same on both. Cancellation and task groups do not, so
code that needs them asks `in_trio` and writes both.

Sources: asyncio "Synchronization Primitives", "Coroutines and Tasks"; trio "Trio's core functionality".
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = ["Event", "in_thread", "in_trio", "move_on_after", "new_event", "running_loop", "sleep"]

T = TypeVar("T")
P = ParamSpec("P")


class Event(Protocol):
    """The common methods of ``asyncio.Event`` and ``trio.Event``. Use it on the loop that made it only."""

    def set(self) -> object: ...
    def is_set(self) -> bool: ...
    def wait(self) -> Awaitable[object]: ...


def in_trio() -> bool:
    """Tell whether trio runs this code."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def running_loop() -> object:
    """Return the asyncio loop or the trio token that runs this code.

    Raises:
        RuntimeError: No loop runs in this thread.
    """
    return _trio().lowlevel.current_trio_token() if in_trio() else asyncio.get_running_loop()


def new_event() -> Event:
    """Return an event of the running loop that is not set."""
    event: Event = _trio().Event() if in_trio() else asyncio.Event()
    return event


async def sleep(seconds: float) -> None:
    """Pause for some seconds; 0 gives the loop one turn."""
    await (_trio() if in_trio() else asyncio).sleep(seconds)


@contextlib.asynccontextmanager
async def move_on_after(seconds: float | None) -> AsyncGenerator[None, None]:
    """End the ``async with`` block without an error when the time is up.

    Args:
        seconds: The limit; None for no limit.
    """
    if in_trio():
        with _trio().move_on_after(math.inf if seconds is None else seconds):
            yield
        return
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():  # an error of the block itself
            raise


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a worker thread, with the context variables of the caller.

    A cancellation does not end the thread: the function runs to its end. Under trio it must not return a coroutine.
    """
    if in_trio():
        result: T = await _trio().to_thread.run_sync(functools.partial(function, *args, **kwargs))
        return result
    return await asyncio.to_thread(function, *args, **kwargs)


def _trio() -> Any:  # Any, because trio is not imported here, so it has no types
    return sys.modules["trio"]
