"""Threads that are lent to Django's ASGI handler, one request at a time each."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from gateway.django import _threads
from gateway.django._threads import DjangoAsgi, ReusedThreads
from gateway.errors import ConfigurationError
from tests import django_site

SECONDS = 10


async def _silent(*message: Any) -> Any:
    return {"type": "http.disconnect"}


def _run(main: Any) -> Any:
    django_site.configure()
    return asyncio.run(asyncio.wait_for(main, SECONDS))


def test_requests_one_after_the_other_use_one_thread() -> None:
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            seen.append(await sync_to_async(threading.get_ident)())

    async def main() -> None:
        threads = ReusedThreads()
        for _ in range(3):
            await threads.run(app, {}, _silent, _silent)
        await threads.close()

    _run(main())
    assert len(seen) == 6
    assert len(set(seen)) == 1


def test_requests_at_once_have_a_thread_each_and_the_limit_makes_others_wait() -> None:
    async def main(most: int | None) -> tuple[int, int]:
        threads = ReusedThreads(most)
        inside: set[int] = set()
        largest = 0
        seen: set[int] = set()
        both = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal largest
            mine = await sync_to_async(threading.get_ident)()
            assert mine not in inside, "two requests had one thread at once"
            inside.add(mine)
            seen.add(mine)
            largest = max(largest, len(inside))
            if largest == (most or 5):
                both.set()
            await both.wait()
            assert await sync_to_async(threading.get_ident)() == mine
            inside.discard(mine)

        await asyncio.gather(*(threads.run(app, {}, _silent, _silent) for _ in range(5)))
        await threads.close()
        return largest, len(seen)

    assert _run(main(None)) == (5, 5)
    assert _run(main(2)) == (2, 2)


def test_a_thread_that_a_cancelled_request_left_busy_is_not_lent() -> None:
    release, entered = threading.Event(), threading.Event()
    seen: list[int] = []

    def block() -> None:
        seen.append(threading.get_ident())
        entered.set()
        assert release.wait(SECONDS)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await sync_to_async(block)()

    async def quick(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await sync_to_async(threading.get_ident)())

    async def main() -> None:
        threads = ReusedThreads(2)
        task = asyncio.create_task(threads.run(slow, {}, _silent, _silent))
        await asyncio.to_thread(entered.wait, SECONDS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await threads.run(quick, {}, _silent, _silent)
        assert seen[0] != seen[1]
        release.set()
        # Two at once need both threads, so the busy one has come back when its call returned.
        meeting = threading.Barrier(2)
        met: set[int] = set()

        async def meets(scope: Any, receive: Any, send: Any) -> None:
            await sync_to_async(meeting.wait)(SECONDS)
            met.add(await sync_to_async(threading.get_ident)())

        await asyncio.gather(*(threads.run(meets, {}, _silent, _silent) for _ in range(2)))
        assert met == set(seen)
        await threads.close()

    _run(main())


def test_threads_that_nobody_needs_end_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(_threads, "monotonic", lambda: clock[0])
    used: set[threading.Thread] = set()

    async def main() -> None:
        threads = ReusedThreads()

        async def several(number: int) -> set[threading.Thread]:
            meeting = threading.Barrier(number)
            seen: set[threading.Thread] = set()

            async def app(scope: Any, receive: Any, send: Any) -> None:
                await sync_to_async(meeting.wait)(SECONDS)
                seen.add(await sync_to_async(threading.current_thread)())

            await asyncio.gather(*(threads.run(app, {}, _silent, _silent) for _ in range(number)))
            return seen

        used.update(await several(3))
        clock[0] += 59
        assert await several(3) == used  # none has ended
        clock[0] += 59
        [kept] = await several(1)
        clock[0] += 59
        assert await several(1) == {kept}
        for thread in used - {kept}:
            await asyncio.to_thread(thread.join, SECONDS)
            assert not thread.is_alive()
        assert kept.is_alive()
        await threads.close()
        await asyncio.to_thread(kept.join, SECONDS)

    _run(main())
    assert not any(thread.is_alive() for thread in used)


def test_the_lifespan_ends_the_threads_and_closes_their_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(_threads.connections, "close_all", lambda: closed.append(threading.current_thread().name))
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sync_to_async(threading.get_ident)()

    async def main() -> None:
        served = DjangoAsgi(app, ReusedThreads())
        waiting: asyncio.Queue[Any] = asyncio.Queue()

        async def send(message: Any) -> None:
            sent.append(message["type"])

        lifespan = asyncio.create_task(served({"type": "lifespan"}, waiting.get, send))
        await waiting.put({"type": "lifespan.startup"})
        await served({"type": "http"}, _silent, _silent)
        await waiting.put({"type": "lifespan.shutdown"})
        await lifespan

    _run(main())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(closed) == 1
    assert closed[0].startswith("django")


def test_an_error_of_the_application_gives_the_thread_back() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sync_to_async(threading.get_ident)()
        raise RuntimeError("in the view")

    async def main() -> None:
        threads = ReusedThreads(1)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="in the view"):
                await threads.run(app, {}, _silent, _silent)
        assert len(threads._free) == 1
        await threads.close()

    _run(main())


def test_an_asgiref_without_executors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        def __init__(self) -> None: ...

    monkeypatch.setattr(_threads, "ThreadSensitiveContext", Older)
    with pytest.raises(ConfigurationError, match=r"needs asgiref 3\.13 or newer"):
        ReusedThreads()
