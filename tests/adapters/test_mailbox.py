"""`gateway.adapters.hand_off._mailbox`: threads post callbacks, and few of them wake the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.adapters.hand_off._mailbox import Mailbox


def test_posts_of_many_threads_all_run_and_few_wake_the_loop() -> None:
    wakes = 0

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ran: list[int] = []

        def wake(callback: Callable[[], object]) -> None:
            nonlocal wakes
            wakes += 1
            loop.call_soon_threadsafe(callback)

        mailbox = Mailbox(wake)

        complete = asyncio.Event()

        def run() -> None:
            ran.append(1)
            if len(ran) == 4000:
                complete.set()

        def post() -> None:
            for _ in range(1000):
                mailbox.post(run)

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(30):
            await complete.wait()
        for thread in threads:
            thread.join()

    asyncio.run(main())
    assert wakes < 4000


def test_a_callback_that_fails_is_reported_and_does_not_stop_the_others() -> None:
    error = ValueError("x")

    def fail() -> None:
        raise error

    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        seen: list[object] = []
        loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
        mailbox = Mailbox(loop.call_soon)
        mailbox.leave(fail)
        mailbox.post(lambda: seen.append("the other"))
        await asyncio.sleep(0)
        return seen

    assert asyncio.run(main()) == [error, "the other"]


def test_left_callbacks_run_after_a_flush_or_the_next_post() -> None:
    wakes: list[Callable[[], object]] = []
    ran: list[str] = []
    mailbox = Mailbox(wakes.append)
    mailbox.flush()
    assert not wakes  # nothing waits
    mailbox.leave(lambda: ran.append("a"))
    assert not wakes
    mailbox.flush()
    mailbox.post(lambda: ran.append("b"))
    assert len(wakes) == 1
    wakes.pop()()
    assert ran == ["a", "b"]
    mailbox.flush()
    assert not wakes


def test_every_post_to_a_closed_loop_raises() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    mailbox = Mailbox(loop.call_soon_threadsafe)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            mailbox.post(lambda: None)
