"""Run a generator's IO in one colour: plain calls, or awaits under asyncio or trio.

The effects are :class:`~gateway.contract.Io` only; what else a course asks for belongs to the driver. After a
cancellation IO runs shielded from it and limited in time, so that a hook can write its record and nothing hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, cast

from gateway.contract import Io, Steps
from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.protocols import ASGIReceive

__all__ = [
    "FINISH_SECONDS",
    "in_thread",
    "in_trio",
    "is_gone",
    "let_others_run",
    "run_async",
    "run_last",
    "run_plain",
    "run_shielded",
]

T = TypeVar("T")
P = ParamSpec("P")

#: How long IO may take in ``on_finish`` of a cancelled exchange.
FINISH_SECONDS: Final = 5.0
_CUT: Final = "IO after a cancelled exchange took more than %s seconds and was cut"

logger = logging.getLogger("gateway.drivers")


def in_trio() -> bool:
    """Return whether trio runs this thread's loop."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


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
            sent = _called(_known(effect))
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
            sent = await _begun(_known(effect))
        except BaseException as raised:
            error = raised


def _called(effect: Io) -> object:
    result = effect.plain()
    if type(result) is CoroutineType:
        result.close()
        raise ConfigurationError(
            f"io(sync, coroutine, ...) takes a plain function first, which WSGI calls, got one that returned {result!r}"
        )
    return result


def _begun(effect: Io) -> Awaitable[object]:
    result = effect.coroutine()
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

    What is unfinished then is cut by a cancellation of its own. A further cancellation of the caller waits as long.
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


async def is_gone(receive: ASGIReceive, seconds: float = 0.05) -> bool:
    """Return whether the server says that the client went away.

    Only for an exchange whose application has ended early: a ``receive()`` that is abandoned may lose a message.
    """
    gone = False

    async def wait() -> None:
        nonlocal gone
        ended = False
        while not gone:
            message = await receive()
            gone = message["type"] == "http.disconnect"
            if not message.get("more_body", False):
                if ended:
                    # A server that tells the end of the request again and again has no disconnect to tell.
                    return
                ended = True

    if in_trio():
        with sys.modules["trio"].move_on_after(seconds):
            await wait()
    else:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wait(), seconds)
    return gone


async def let_others_run() -> None:
    """Give the loop one turn."""
    if in_trio():
        await sys.modules["trio"].lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a worker thread, with this context's variables."""
    call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    if in_trio():
        answer: T = await sys.modules["trio"].to_thread.run_sync(call)
        return answer
    return await asyncio.get_running_loop().run_in_executor(None, call)
