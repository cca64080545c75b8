"""The signal that wakes a request's task within the callback of its worker."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from gateway.adapters.hand_off._ports import AsyncioSignal

Runner = Callable[[Coroutine[Any, Any, None]], None]

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody's")


LOOPS = ["asyncio", "asyncio, debug", "uvloop"]
if sys.version_info >= (3, 12):
    LOOPS.append("eager tasks")


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Runner:
    """Run a coroutine on each kind of loop."""

    def run(main: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(debug="debug" in request.param, loop_factory=factory) as runner:
            if sys.version_info >= (3, 12) and request.param == "eager tasks":
                runner.get_loop().set_task_factory(asyncio.eager_task_factory)
            runner.run(main)

    return run


async def _begun(main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Return a task that has come to where it waits."""
    task = asyncio.create_task(main)
    await asyncio.sleep(0)
    return task


def test_the_task_goes_on_within_the_callback_that_sets(run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        signal = AsyncioSignal(loop)
        order: list[str] = []

        async def wait() -> None:
            name.set("the task's")
            await signal
            order.append(f"{name.get()} step")

        def callback() -> None:
            order.append(f"before {name.get()}")
            signal.set()
            order.append(f"after {name.get()}")

        task = await _begun(wait())
        loop.call_soon(callback)
        await task
        assert order == ["before nobody's", "the task's step", "after nobody's"]

    run(main())


def test_set_within_a_task_wakes_the_other_in_its_own_turn(run: Runner) -> None:
    async def main() -> None:
        signal = AsyncioSignal(asyncio.get_running_loop())
        order: list[str] = []

        async def wait() -> None:
            await signal
            order.append("woken")

        task = await _begun(wait())
        signal.set()
        order.append("set")
        await task
        assert order == ["set", "woken"]

    run(main())


def test_set_without_a_waiter_is_forgotten(run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        signal = AsyncioSignal(loop)
        signal.set()
        task = await _begun(_wait(signal))
        await asyncio.sleep(0)
        assert not task.done()
        loop.call_soon(signal.set)
        loop.call_soon(signal.set)
        await task

    run(main())


async def _wait(signal: AsyncioSignal) -> None:
    await signal


def test_a_waiting_task_is_cancelled_with_its_message_and_may_wait_again(run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        signal = AsyncioSignal(loop)
        seen: list[object] = []

        async def wait() -> None:
            try:
                await signal
            except asyncio.CancelledError as error:
                seen.extend(error.args)
            await signal
            seen.append("woken")

        task = await _begun(wait())
        assert task.cancel("enough")
        signal.set()  # too late: the task goes on already, and not twice
        await asyncio.sleep(0)
        assert seen == ["enough"]
        loop.call_soon(signal.set)
        await task
        assert seen == ["enough", "woken"]

    run(main())


def test_a_cancellation_that_came_before_the_wait_ends_it(run: Runner) -> None:
    async def main() -> None:
        signal = AsyncioSignal(asyncio.get_running_loop())

        async def wait() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await signal

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(wait())

    run(main())


def test_a_set_and_a_cancellation_at_once_cancel(run: Runner) -> None:
    async def main() -> None:
        signal = AsyncioSignal(asyncio.get_running_loop())
        task = await _begun(_wait(signal))
        signal.set()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main())


def test_a_timeout_ends_the_wait(run: Runner) -> None:
    async def main() -> None:
        signal = AsyncioSignal(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await signal

    run(main())
