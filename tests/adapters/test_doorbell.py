"""`gateway.adapters.hand_off._mailbox`: any thread has a loop call something, and no descriptor is left."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.adapters.hand_off._mailbox import soon_threadsafe

pytestmark = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="this system has no eventfd")


def eventfds() -> int:
    """Return how many eventfds this process has open."""
    links = (str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return sum("eventfd" in link for link in links)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


def test_every_callback_of_many_threads_is_called(loop: asyncio.AbstractEventLoop) -> None:
    call_soon = soon_threadsafe(loop)
    called: list[int] = []

    def call(number: int) -> None:
        called.append(number)
        if len(called) == 8 * 500:
            loop.stop()

    def ring(first: int) -> None:
        for number in range(first, first + 500):
            call_soon(lambda number=number: call(number))

    threads = [threading.Thread(target=ring, args=(500 * index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    loop.call_later(60, loop.stop)
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert sorted(called) == list(range(8 * 500))


def test_a_failing_callback_is_logged_and_the_others_still_run(loop: asyncio.AbstractEventLoop) -> None:
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    call_soon = soon_threadsafe(loop)
    error = ValueError("x")

    def fail() -> None:
        raise error

    call_soon(fail)
    call_soon(loop.stop)
    loop.call_later(60, loop.stop)
    loop.run_forever()
    assert reported == [error]


def test_a_closed_loop_refuses_as_call_soon_threadsafe_does() -> None:
    loop = asyncio.SelectorEventLoop()
    call_soon = soon_threadsafe(loop)
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        call_soon(lambda: None)


def test_users_of_one_loop_share_one_descriptor() -> None:
    gc.collect()
    before = eventfds()
    loop = asyncio.SelectorEventLoop()
    rings = [soon_threadsafe(loop) for _ in range(3)]
    assert eventfds() == before + 1
    loop.close()
    del loop
    gc.collect()
    assert eventfds() == before + 1  # a thread could still ring
    rings.clear()
    gc.collect()
    assert eventfds() == before


def test_a_subclass_of_the_loop_is_woken_by_its_own_method() -> None:
    class Own(asyncio.SelectorEventLoop):
        pass

    loop = Own()
    assert soon_threadsafe(loop) == loop.call_soon_threadsafe
    loop.close()
