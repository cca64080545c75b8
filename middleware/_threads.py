"""Call a blocking function in a worker thread of the running event loop (asyncio or trio).

This is the asynchronous half of ``io(...)`` for a middleware whose IO has only a blocking API: files, and libraries
without ``async``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

__all__ = ["threaded"]

T = TypeVar("T")
P = ParamSpec("P")


def threaded(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a coroutine function that calls a function in a thread and returns its result.

    A cancellation does not end the thread: the function runs to its end, and its result is discarded.
    """

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_run():
            result = await trio.to_thread.run_sync(lambda: function(*args, **kwargs))
            return cast("T", result)  # trio is not imported here, so it has no types
        return await asyncio.to_thread(function, *args, **kwargs)

    return call
