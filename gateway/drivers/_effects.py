"""Run the IO that a generator asks for: by plain calls, or by awaits under asyncio or trio.

The only effect here is :class:`~gateway.contract.Io`. After a cancellation IO runs shielded from it and limited in
time, so that a hook can write its record and nothing hangs.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable
from types import CoroutineType
from typing import Final, TypeVar, cast

from gateway.contract import Io, Steps
from gateway.errors import ConfigurationError
from gateway.loops import in_trio

__all__ = [
    "FINISH_SECONDS",
    "perform_async",
    "perform_plain",
    "run_async",
    "run_last",
    "run_plain",
    "run_shielded",
]

T = TypeVar("T")

#: How long IO may take in ``on_finish`` of a cancelled exchange.
FINISH_SECONDS: Final = 5.0
_CUT: Final = "IO after a cancelled exchange took more than %s seconds and was cut"

logger = logging.getLogger("gateway.drivers")


def run_plain(steps: Steps[T]) -> T:
    """Run to the end; every IO is a plain call."""
    sent: object = None
    error: BaseException | None = None
    while True:
        try:
            effect = cast("object", steps.send(sent) if error is None else steps.throw(error))
        except StopIteration as stop:
            return cast("T", stop.value)
        sent = error = None
        try:
            sent = perform_plain(effect)
        except BaseException as raised:
            error = raised


async def run_async(steps: Steps[T]) -> T:
    """Run to the end; every IO is awaited."""
    sent: object = None
    error: BaseException | None = None
    while True:
        try:
            effect = cast("object", steps.send(sent) if error is None else steps.throw(error))
        except StopIteration as stop:
            return cast("T", stop.value)
        sent = error = None
        try:
            sent = await perform_async(effect)
        except BaseException as raised:
            error = raised


def perform_plain(effect: object) -> object:
    """Do the IO of one effect by a plain call."""
    result = _known(effect).plain()
    if type(result) is CoroutineType:
        result.close()
        raise ConfigurationError(
            f"io(sync, coroutine, ...) takes a plain function first, which WSGI calls, got one that returned {result!r}"
        )
    return result


def perform_async(effect: object) -> Awaitable[object]:
    """Begin the IO of one effect; the caller awaits it."""
    result = _known(effect).coroutine()
    if not hasattr(result, "__await__"):
        raise ConfigurationError(
            f"io(sync, coroutine, ...) takes a coroutine function second, which ASGI awaits, got one that returned "
            f"{result!r}"
        )
    return result


def _known(effect: object) -> Io:
    if type(effect) is Io:
        return effect
    raise ConfigurationError(f"here a generator may only `yield from` io(...), got {effect!r}")


async def run_shielded(steps: Steps[None], seconds: float = FINISH_SECONDS) -> None:
    """Run to the end although the caller was cancelled, for at most so many seconds.

    After that the IO is cancelled. A further cancellation of the caller waits as long.
    """
    if in_trio():
        trio = sys.modules["trio"]
        with trio.move_on_after(seconds, shield=True) as scope:
            await run_async(steps)
        if scope.cancelled_caught:
            logger.error(_CUT, seconds)
        return
    task = asyncio.ensure_future(run_async(steps))
    until = time.monotonic() + seconds
    while not task.done() and (left := until - time.monotonic()) > 0:
        try:
            await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            # We are on the way out with a cancellation already; this one says the same.
            continue
    if not task.done():
        logger.error(_CUT, seconds)
        task.cancel()
        return
    task.result()


async def run_last(steps: Steps[None], error: BaseException | None) -> None:
    """Run what belongs to the end of an exchange, which this error ended, if any did.

    After a cancellation it is shielded and limited. After a ``GeneratorExit`` the coroutine is being closed and nothing
    can be awaited any more: hooks run, and their IO is cut where they ask for it.
    """
    if error is None or isinstance(error, Exception):
        await run_async(steps)
    elif isinstance(error, GeneratorExit):
        _run_closing(steps, error)
    else:
        await run_shielded(steps)


def _run_closing(steps: Steps[None], error: BaseException) -> None:
    try:
        steps.send(None)
        while True:
            logger.error("IO after an exchange whose coroutine was closed cannot run and was cut")
            steps.throw(error)
    except (StopIteration, GeneratorExit):
        return
