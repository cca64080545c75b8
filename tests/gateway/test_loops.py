"""`gateway.loops` has the same behaviour on asyncio and on trio."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
import trio

from gateway import loops

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(main: Callable[[], Awaitable[None]]) -> None:
        async def checked() -> None:
            assert loops.in_trio() == (request.param == "trio")
            await main()

        if request.param == "trio":
            trio.run(checked)
        else:
            asyncio.run(checked())

    return run


def test_without_a_loop_nothing_runs_in_trio_and_there_is_no_running_loop() -> None:
    assert not loops.in_trio()
    with pytest.raises(RuntimeError):
        loops.running_loop()


def test_the_running_loop_is_the_same_object_within_a_run(run: Run) -> None:
    async def main() -> None:
        first = loops.running_loop()
        await loops.sleep(0)
        assert loops.running_loop() is first

    run(main)


def test_a_block_ends_without_an_error_when_the_time_is_up(run: Run) -> None:
    async def main() -> None:
        event = loops.new_event()
        async with loops.move_on_after(0.01):
            await event.wait()
            pytest.fail("nothing sets the event")
        assert not event.is_set()

    run(main)


def test_a_block_that_ends_in_time_or_has_no_limit_is_not_cut(run: Run) -> None:
    async def main() -> None:
        event = loops.new_event()
        event.set()
        ended = []
        for seconds in (60.0, None):
            async with loops.move_on_after(seconds):
                await event.wait()
                await loops.sleep(0.001)
                ended.append(seconds)
        assert ended == [60.0, None]

    run(main)


def test_a_timeout_of_the_block_itself_is_raised(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match="the block's"):
            async with loops.move_on_after(60):
                raise TimeoutError("the block's")

    run(main)


def test_the_outer_of_two_limits_ends_both_blocks(run: Run) -> None:
    async def main() -> None:
        begun = time.monotonic()
        async with loops.move_on_after(0.01):
            async with loops.move_on_after(60):
                await loops.new_event().wait()
            pytest.fail("the outer limit ends here too")
        assert time.monotonic() - begun < 30

    run(main)


name: contextvars.ContextVar[str] = contextvars.ContextVar("name")


def test_a_thread_has_the_context_and_the_arguments_of_the_call(run: Run) -> None:
    def call(number: int, *, word: str) -> tuple[int, str, str, bool]:
        return number, word, name.get(), threading.current_thread() is threading.main_thread()

    async def main() -> None:
        name.set("the caller's")
        assert await loops.in_thread(call, 1, word="a") == (1, "a", "the caller's", False)

    run(main)


def test_an_error_in_a_thread_is_raised_by_the_call(run: Run) -> None:
    def fail() -> None:
        raise ValueError("x")

    async def main() -> None:
        with pytest.raises(ValueError, match="x"):
            await loops.in_thread(fail)

    run(main)
