"""WSGI served as ASGI: threads, loops, processes; what is started, shared, and let go."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import asgiref.sync
import pytest

from gateway.adapters.hand_off._ports import AsyncioPort
from gateway.adapters.hand_off._workers import Workers
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.adapters.wsgi_to_asgi._exchange import RequestCycle
from gateway.adapters.wsgi_to_asgi._input import Inbox
from gateway.adapters.wsgi_to_asgi._run import Run
from gateway.errors import ApplicationError
from tests.adapters.driving import BACKENDS, Server, http_scope, run_on, serve

Environ = dict[str, Any]


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def hello(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def worker_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("gateway-wsgi")}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for happens in other threads
        await anyio.sleep(0.005)


async def request(adapter: Any, **scope: Any) -> Server:
    server = Server()
    await adapter(http_scope(**scope), server.receive, server.send)
    return server


@pytest.mark.parametrize("number", [5, 40], ids=["A46", "A46b"])
def test_blocking_requests_run_at_once_up_to_the_number_of_threads(number: int, backend: str) -> None:
    together = threading.Barrier(number, timeout=25)

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        together.wait()
        return hello(environ, start_response)

    adapter = WsgiToAsgi(app)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(number):
                tasks.start_soon(request, adapter)

    run_on(backend, main)


def test_no_more_than_threads_requests_run_at_once(backend: str) -> None:
    lock = threading.Lock()
    running = most = 0
    pair = threading.Barrier(2, timeout=25)

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pair.wait()
        with lock:
            running -= 1
        return hello(environ, start_response)

    adapter = WsgiToAsgi(app, threads=2)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(request, adapter)

    run_on(backend, main)
    assert most == 2


def test_a_request_beyond_the_queue_gets_503_with_retry_after(backend: str) -> None:
    entered = threading.Event()
    go_on = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        entered.set()
        assert go_on.wait(25)
        return hello(environ, start_response)

    adapter = WsgiToAsgi(app, threads=1, queue=1)
    answers: list[Server] = []

    async def one() -> None:
        answers.append(await request(adapter))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await anyio.to_thread.run_sync(entered.wait, 25)
            tasks.start_soon(one)
            await until(lambda: adapter._ports.all[0].workers.pending == 2)
            refused = await request(adapter)
            assert refused.status == 503
            assert dict(refused.headers)[b"retry-after"] == b"1"
            assert refused.complete
            go_on.set()

    run_on(backend, main)
    assert [answer.content for answer in answers] == [b"hello", b"hello"]


def test_creating_an_adapter_starts_no_thread_and_sequential_requests_one(backend: str) -> None:
    before = worker_threads()
    adapter = WsgiToAsgi(hello)
    assert worker_threads() == before

    async def main() -> None:
        for _ in range(20):
            await request(adapter)

    run_on(backend, main)
    assert len(worker_threads() - before) == 1


def test_A62_one_adapter_serves_one_loop_after_another_and_two_at_once() -> None:
    adapter = WsgiToAsgi(hello)
    for backend in [*BACKENDS, *BACKENDS]:
        assert serve(adapter, backend=backend).content == b"hello"
    together = threading.Barrier(2, timeout=25)
    answers: list[bytes] = []

    async def main() -> None:
        await anyio.to_thread.run_sync(together.wait)
        for _ in range(50):
            answers.append((await request(adapter)).content)

    threads = [threading.Thread(target=run_on, args=(backend, main)) for backend in ("asyncio", "trio")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b"hello"] * 100


def test_loops_that_are_closed_are_forgotten_and_their_threads_end() -> None:
    before = worker_threads()
    adapter = WsgiToAsgi(hello)
    for backend in [*BACKENDS, *BACKENDS]:
        serve(adapter, backend=backend)
    assert len(adapter._ports.all) == 1
    gc.collect()
    ended = sorted(worker_threads() - before, key=lambda thread: int(thread.name.rpartition("-")[2]))[:-1]
    for thread in ended:
        thread.join(20)
    assert len(worker_threads() - before) <= 1


def test_threads_end_with_the_adapter_and_with_the_lifespan(backend: str) -> None:
    before = worker_threads()
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(messages)}

    async def send(message: dict[str, Any]) -> None:
        pass

    async def main() -> None:
        adapter = WsgiToAsgi(hello)
        await request(adapter)
        [thread] = worker_threads() - before
        await adapter({"type": "lifespan"}, receive, send)
        await anyio.to_thread.run_sync(thread.join, 20)
        assert not thread.is_alive()
        assert (await request(adapter)).content == b"hello"  # a server may still have one
        [thread] = worker_threads() - before
        del adapter
        gc.collect()
        await anyio.to_thread.run_sync(thread.join, 20)
        assert not thread.is_alive()

    run_on(backend, main)


FORKED = """
    import asyncio, os, sys, warnings
    warnings.simplefilter("ignore")
    from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
    from tests.adapters.driving import Server, http_scope, serve

    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"hello"]

    adapter = WsgiToAsgi(app)
    assert serve(adapter).content == b"hello"
    child = os.fork()
    if not child:
        assert serve(adapter).content == b"hello"
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert serve(adapter).content == b"hello"
    print("both")
"""

STUCK = """
    import asyncio, threading
    from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
    from tests.adapters.driving import Server, http_scope

    entered = threading.Event()

    def app(environ, start_response):
        entered.set()
        threading.Event().wait()

    async def main():
        server = Server()
        task = asyncio.create_task(WsgiToAsgi(app)(http_scope(), server.receive, server.send))
        await asyncio.to_thread(entered.wait)
        print("stuck")

    asyncio.run(main())
"""


def run_script(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_A63_an_adapter_that_served_before_a_fork_serves_in_the_child() -> None:
    assert run_script(FORKED) == "both"


def test_A72_a_stuck_worker_does_not_keep_the_process_alive() -> None:
    assert run_script(STUCK) == "stuck"


def test_A67_requests_leave_no_thread_task_or_object(backend: str) -> None:
    """What is counted is this package's: other tests' garbage is not."""
    adapter = WsgiToAsgi(hello)

    def count() -> int:
        gc.collect()
        return sum(str(type(thing).__module__).startswith("gateway.adapters") for thing in gc.get_objects())

    async def main() -> None:
        for _ in range(100):
            await request(adapter)
        threads, objects = len(worker_threads()), count()
        for _ in range(1500):
            await request(adapter)
        await anyio.lowlevel.checkpoint()
        assert len(worker_threads()) == threads
        assert count() <= objects
        if backend != "trio":
            assert len(asyncio.all_tasks()) == 1

    run_on(backend, main)


def test_A67_a_request_is_gone_without_the_garbage_collector(backend: str) -> None:
    """Cycles would make the collector run more often the more requests there are."""

    def reading(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield environ["wsgi.input"].read()
        yield b""

    bodies: list[tuple[bytes, ...]] = [(), (b"x",), (b"x" * 65536,) * 3]

    async def main() -> None:
        for adapter in (WsgiToAsgi(hello), WsgiToAsgi(reading), WsgiToAsgi(reading, inline=True)):
            for body in bodies:
                for _ in range(5):
                    server = Server(body)
                    length = b"%d" % sum(map(len, body))
                    await adapter(http_scope(headers=[(b"content-length", length)]), server.receive, server.send)
                    server = Server()
                    await adapter(http_scope(), server.receive, server.send)
        await anyio.sleep(0.01)

    gc.collect()
    gc.disable()
    try:
        run_on(backend, main)
        left = [thing for thing in gc.get_objects() if issubclass(type(thing), Run | RequestCycle | Inbox)]
        assert len(left) <= 3  # each adapter's worker may hold the one it is just putting down
    finally:
        gc.enable()


def test_A67_streams_leave_no_task(backend: str) -> None:
    sent = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        assert sent.wait(25)
        sent.clear()
        yield b"b"

    async def on_send(message: dict[str, Any]) -> None:
        if message.get("body") == b"a":
            sent.set()

    adapter = WsgiToAsgi(app)

    async def main() -> None:
        for _ in range(50):
            server = Server(on_send=on_send)
            await adapter(http_scope(), server.receive, server.send)
            assert server.content == b"ab"
        await anyio.lowlevel.checkpoint()
        if backend != "trio":
            assert len(asyncio.all_tasks()) == 1

    run_on(backend, main)


# ------------------------------------------------------------------------------------------------------- asgiref


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
@pytest.mark.parametrize("sensitive", [False, True], ids=["A58", "A58-thread-sensitive"])
def test_async_to_sync_in_a_view_runs_on_the_servers_loop(sensitive: bool, backend: str) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def inner() -> bytes:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return b"from the loop"

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [asgiref.sync.async_to_sync(inner)()]

    async def main() -> None:
        adapter = WsgiToAsgi(app, thread_sensitive=sensitive)
        for _ in range(3):
            assert (await request(adapter)).content == b"from the loop"
        assert loops == [asyncio.get_running_loop()] * 3

    run_on(backend, main)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_thread_sensitive_requests_run_in_asgirefs_one_thread(backend: str) -> None:
    threads: list[threading.Thread] = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        threads.append(threading.current_thread())
        start_response("200 OK", [])
        yield b"a"
        threads.append(threading.current_thread())

    adapter = WsgiToAsgi(app, thread_sensitive=True)

    async def main() -> None:
        threads.append(await asgiref.sync.sync_to_async(threading.current_thread)())
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(request, adapter)

    run_on(backend, main)
    assert len(threads) == 11
    assert len(set(threads)) == 1


def test_thread_sensitive_under_trio_is_one_thread_of_ours() -> None:
    threads: set[threading.Thread] = set()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        threads.add(threading.current_thread())
        assert environ["wsgi.multithread"] is False
        return hello(environ, start_response)

    adapter = WsgiToAsgi(app, thread_sensitive=True)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(request, adapter)

    run_on("trio", main)
    assert len(threads) == 1


def test_without_a_thread_of_asgiref_the_request_fails() -> None:
    adapter = WsgiToAsgi(hello, thread_sensitive=True)

    async def main() -> None:
        asgiref.sync.SyncToAsync.deadlock_context.set(True)
        with pytest.raises(RuntimeError, match="deadlock"):
            await request(adapter)

    run_on("asyncio", main)


# -------------------------------------------------------------------------------------------------------- inline


def test_inline_runs_on_the_loop_and_takes_no_thread(backend: str) -> None:
    before = worker_threads()
    seen: list[Any] = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        seen.append((threading.current_thread(), environ["wsgi.multithread"]))
        start_response("200 OK", [])
        yield environ["wsgi.input"].read()
        yield b"!"

    adapter = WsgiToAsgi(app, inline=True)
    server = serve(
        adapter, lambda: Server([b"bo", b"dy"]), backend=backend, method="POST", headers=[(b"content-length", b"4")]
    )
    assert server.content == b"body!"
    assert seen == [(threading.current_thread(), False)]
    assert worker_threads() <= before


def test_inline_sends_a_list_in_two_messages(backend: str) -> None:
    assert serve(WsgiToAsgi(hello, inline=True), backend=backend).kinds == ["start", "body"]


def test_inline_takes_a_thread_for_a_body_that_must_be_waited_for(backend: str) -> None:
    threads: list[threading.Thread] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        threads.append(threading.current_thread())
        start_response("200 OK", [])
        return [b"%d" % len(environ["wsgi.input"].read())]

    server = serve(
        WsgiToAsgi(app, inline=True),
        lambda: Server([b"x" * 50_000] * 4),
        backend=backend,
        method="POST",
        headers=[(b"content-length", b"200000")],
    )
    assert server.content == b"200000"
    assert threads != [threading.current_thread()]


@pytest.mark.parametrize("step", ["call", "iteration", "close", "send"])
def test_inline_errors_reach_the_server_and_close_is_called(step: str, backend: str) -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"a"
            if step == "iteration":
                raise ZeroDivisionError

        def close(self) -> None:
            closed.append(True)
            if step == "close":
                raise ZeroDivisionError

    def app(environ: Environ, start_response: Any) -> Body:
        if step == "call":
            raise ZeroDivisionError
        start_response("200 OK", [])
        return Body()

    async def on_send(message: dict[str, Any]) -> None:
        if step == "send" and message["type"] == "http.response.body":
            raise ZeroDivisionError

    async def main() -> None:
        server = Server(on_send=on_send)
        with pytest.raises(ZeroDivisionError):
            await WsgiToAsgi(app, inline=True)(http_scope(), server.receive, server.send)
        assert server.complete == (step == "close")

    run_on(backend, main)
    assert len(closed) == (step != "call")


def test_inline_refuses_a_body_without_start_response() -> None:
    with pytest.raises(ApplicationError):
        serve(WsgiToAsgi(lambda environ, start_response: [b"x"], inline=True))


# ------------------------------------------------------------------------------------------------- parts by themselves


def test_workers_run_every_job_that_was_submitted_before_they_are_closed() -> None:
    before = worker_threads()
    workers = Workers(3, lambda: None)
    done: list[int] = []
    all_done = threading.Event()

    def job(number: int) -> None:
        done.append(number)
        if len(done) == 50:
            all_done.set()

    for number in range(50):
        workers.submit(lambda number=number: job(number))  # type: ignore[misc]
    assert 1 <= workers.size <= 3
    workers.close()
    assert all_done.wait(20)
    for thread in worker_threads() - before:
        thread.join(20)
    assert sorted(done) == list(range(50))


class Pool:
    """A pool and the threads that ran its jobs; the test is its loop."""

    def __init__(self, threads: int) -> None:
        self.workers = Workers(threads, lambda: None)

    def run(self, at_once: int) -> set[int]:
        """Run jobs that wait for each other, and return the ids of their threads once they sleep again."""
        ran: set[int] = set()
        together = threading.Barrier(at_once)

        def job() -> None:
            together.wait(20)
            ran.add(threading.get_ident())

        for _ in range(at_once):
            self.workers.submit(job)
        crew = self.workers._crew
        wait_until(lambda: len(crew.idle) + (crew.first is not None) == crew.size and len(ran) == at_once)
        for _ in range(at_once):
            self.workers.pending -= 1
        return ran


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.skipif(sys.platform != "linux", reason="the first worker sleeps at an eventfd on Linux only")
def test_the_first_worker_has_the_jobs_that_come_one_at_a_time() -> None:
    pool = Pool(3)
    (first,) = pool.run(1)
    assert pool.run(1) == {first}
    assert pool.workers.size == 1
    assert len(pool.run(3)) == 3  # every worker
    assert first not in pool.run(1)  # several came the last time
    assert pool.run(1) == {first}
    pool.workers.close()


def test_a_pool_without_an_eventfd_runs_every_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(initial: int) -> int:
        raise OSError("too many open files")

    monkeypatch.setattr(os, "eventfd", refuse, raising=False)
    pool = Pool(2)
    for at_once in (1, 1, 2, 1, 1):
        assert len(pool.run(at_once)) == at_once
    assert pool.workers._crew.first is None
    pool.workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the first worker sleeps at an eventfd on Linux only")
def test_a_closed_pool_ends_its_threads_and_closes_its_descriptor() -> None:
    before = worker_threads()
    pool = Pool(3)
    pool.run(3)
    started = worker_threads() - before
    wake: Any = pool.workers._crew.first
    (descriptor, _) = wake.args
    os.fstat(descriptor)
    pool.workers.close()
    for thread in started:
        thread.join(20)
        assert not thread.is_alive()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_results_for_a_closed_loop_are_dropped() -> None:
    loop = asyncio.new_event_loop()
    port = AsyncioPort(loop, 1)
    loop.close()
    port.post(lambda: pytest.fail("a closed loop runs nothing"))
    assert port.gone
