"""`on_start` and `on_stop`: once per process, before the first request and at its end."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
import trio
import trio.testing

from gateway import drivers
from gateway._starting import lazy_parts
from gateway.contract import Middleware, Process, io
from gateway.drivers import _process
from gateway.exchange import Request
from tests.shows import shows


def store(log: list[Any], name: str, *, fails: bool = False) -> Middleware:
    async def connect(word: str) -> None:
        await asyncio.sleep(0)
        log.append(f"{name} {word} async")

    def connect_plain(word: str) -> None:
        log.append(f"{name} {word} plain")

    class Store(Middleware):
        def on_start(self, process: Process) -> Any:
            assert process.pid == os.getpid()
            if fails:
                raise OSError("no store")
            yield from io(connect_plain, connect, f"start {process.interface}")

        def on_stop(self, process: Process) -> Any:
            yield from io(connect_plain, connect, "stop")

        def on_request(self, request: Request) -> None:
            log.append(f"{name} request")

    return Store()


def lifespan(chain: list[Middleware], app: Any) -> list[Any]:
    sent: list[Any] = []
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"] if "message" not in message else message)

    asyncio.run(drivers.build_asgi(chain, app)({"type": "lifespan", "state": {}}, receive, send))
    return sent


@shows("on_start and on_stop run once per process, before the first request and at the end; IO is allowed")
def test_a_lifespan_starts_outermost_first_and_stops_innermost_first_around_the_application() -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["ready"] = True
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            log.append(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    assert lifespan([store(log, "a"), store(log, "b")], app) == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert log == [
        "a start asgi async",
        "b start asgi async",
        "startup",
        "shutdown",
        "b stop async",
        "a stop async",
    ]


@pytest.mark.parametrize("reads", [True, False])
def test_an_application_without_a_lifespan_does_not_stop_the_hooks(reads: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if reads:
            await receive()
        raise TypeError("http only")

    log: list[Any] = []
    assert lifespan([store(log, "a")], app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == ["a start asgi async", "a stop async"]


def test_a_failed_start_is_told_to_the_server_and_stops_what_was_started(caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        pytest.fail("the application was started")

    sent = lifespan([store(log, "a"), store(log, "b", fails=True)], app)
    assert sent == [{"type": "lifespan.startup.failed", "message": "OSError: no store"}]
    assert log == ["a start asgi async", "a stop async"]
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("gateway.drivers", "on_start failed, and the server is told so")
    assert "Traceback" in caplog.text, "the server gets one line, which has no place"


def test_a_failed_start_that_the_application_swallows_stays_failed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(OSError, match="no store"):
            await receive()

    sent = lifespan([store([], "a", fails=True)], app)
    assert sent == [{"type": "lifespan.startup.failed", "message": "OSError: no store"}]


def test_an_application_that_fails_its_startup_and_raises_stops_the_hooks_once() -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no store"})
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        lifespan([store(log, "a"), store(log, "b")], app)
    assert log == ["a start asgi async", "b start asgi async", "b stop async", "a stop async"]


@shows("on_start and on_stop run once per process, before the first request and at the end; IO is allowed")
def test_without_a_lifespan_the_first_of_many_requests_starts_the_hooks() -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def nothing(*args: Any) -> Any: ...

    async def main() -> None:
        serve = drivers.build_asgi([store(log, "a")], app)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await asyncio.gather(*(serve(scope, nothing, nothing) for _ in range(5)))

    asyncio.run(main())
    assert log == ["a start asgi async", *["a request"] * 5]


@shows("on_start and on_stop run once per process, before the first request and at the end; IO is allowed")
def test_wsgi_threads_start_the_hooks_once() -> None:
    log: list[Any] = []
    gate = threading.Barrier(4)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return []

    serve = drivers.build_wsgi([store(log, "a")], app)

    def request() -> None:
        gate.wait(20)
        list(serve({"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None))

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert log == ["a start wsgi plain", *["a request"] * 4]


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_probe_or_a_servers_hook_starts_the_hooks_of_a_wsgi_group_alone(interface: Any) -> None:
    log: list[Any] = []

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    async def asgi(scope: Any, receive: Any, send: Any) -> None: ...

    chain = [store(log, "a")]
    served: Any = drivers.build_wsgi(chain, wsgi) if interface == "wsgi" else drivers.build_asgi(chain, asgi)
    for part in lazy_parts(served, interface):
        part.start()
    started = ["a start wsgi plain"] if interface == "wsgi" else []  # a loop starts the other, by its lifespan
    assert log == started
    if interface == "wsgi":
        served({"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None)
        assert log == [*started, "a request"], "a request does not start it again"


@shows("on_start and on_stop run once per process, before the first request and at the end; IO is allowed")
def test_the_hooks_stop_when_the_interpreter_exits() -> None:
    program = """
from gateway import drivers
from gateway.contract import Middleware

class Says(Middleware):
    def on_start(self, process): print("start", process.interface)
    def on_stop(self, process): print("stop")

def app(environ, start_response):
    start_response("200 OK", [])
    return []

serve = drivers.build_wsgi([Says()], app)
for _ in range(2):
    serve({}, lambda *args: None)
print("served")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:-1] == ["start wsgi", "served", "stop"]


class Slow(Middleware):
    """It starts in as many steps as it is let."""

    def __init__(self, log: list[Any], gate: Any) -> None:
        object.__setattr__(self, "log", log)
        object.__setattr__(self, "gate", gate)

    async def _wait(self) -> None:
        self.log.append("begins")  # type: ignore[attr-defined]  # set above
        await self.gate()  # type: ignore[attr-defined]  # set above
        self.log.append("begun")  # type: ignore[attr-defined]  # set above

    def on_start(self, process: Process) -> Any:
        yield from io(lambda: None, self._wait)

    def on_stop(self, process: Process) -> None:
        self.log.append("stop")  # type: ignore[attr-defined]  # set above


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def ask(serve: Any) -> None:
    async def nothing(*args: Any) -> Any: ...

    await serve({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, nothing)


@pytest.mark.parametrize("kept", [False, True], ids=["collected", "kept"])
def test_a_start_whose_loop_was_closed_is_begun_anew(kept: bool, caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []
    ends = False

    async def gate() -> None:
        await (asyncio.sleep(0) if ends else asyncio.Event().wait())

    before = store(log, "a")
    serve = drivers.build_asgi([before, Slow(log, gate)], hello)
    loop = asyncio.new_event_loop()
    task: Any = loop.create_task(ask(serve))
    loop.run_until_complete(asyncio.sleep(0.01))
    assert log == ["a start asgi async", "begins"]
    loop.close()
    if not kept:
        # The task is destroyed as asyncio says, and what had begun stops in the plain colour.
        task._log_destroy_pending = False
        task = None
        gc.collect()
        assert log[2:] == ["a stop plain"]
    log.clear()
    ends = True
    asyncio.run(asyncio.wait_for(ask(serve), 20))
    assert log == ["a start asgi async", "begins", "begun", "a request"]
    if task is not None:
        task._log_destroy_pending = False
        task = None
        gc.collect()
        assert log[4:] == ["a stop plain"], "what is lost stops what it began, and nothing of the other's"
    log.clear()
    asyncio.run(asyncio.wait_for(ask(serve), 20))
    assert log == ["a request"]
    assert not caplog.records


def test_requests_on_other_loops_wait_for_the_start() -> None:
    log: list[Any] = []
    held = threading.Event()
    begun = threading.Event()

    async def gate() -> None:
        begun.set()
        await asyncio.to_thread(held.wait, 20)

    serve = drivers.build_asgi([Slow(log, gate)], hello)
    done: list[str] = []

    def request(name: str) -> None:
        asyncio.run(asyncio.wait_for(ask(serve), 20))
        done.append(name)

    async def second() -> None:
        waits = asyncio.ensure_future(ask(serve))
        await asyncio.sleep(0.01)
        assert not waits.done()
        held.set()
        await asyncio.wait_for(waits, 20)

    first = threading.Thread(target=request, args=("first",))
    first.start()
    assert begun.wait(20)
    asyncio.run(second())
    first.join(20)
    assert done == ["first"]
    assert log == ["begins", "begun"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_comes_to_wait_for_a_start_that_is_over_does_not_wait(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a start of another thread and the wait for it that start may end."""
    anyio = pytest.importorskip("anyio")
    monkeypatch.setattr(_process, "_LOOK_SECONDS", 1000.0)

    async def main() -> None:
        starting = _process._Starting()
        starting.over()
        with anyio.fail_after(20):
            await starting.wait()

    anyio.run(main, backend=backend)


def test_a_cancelled_start_is_begun_by_who_waits() -> None:
    log: list[Any] = []

    async def main() -> None:
        gate = asyncio.Event()
        serve = drivers.build_asgi([Slow(log, gate.wait)], hello)
        first, second = asyncio.ensure_future(ask(serve)), asyncio.ensure_future(ask(serve))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        gate.set()
        await asyncio.wait_for(second, 20)

    asyncio.run(main())
    assert log == ["begins", "begins", "begun"]


@shows("on_start and on_stop run once per process, before the first request and at the end; IO is allowed")
def test_under_trio_the_others_wait_too() -> None:
    log: list[Any] = []

    async def gate() -> None:
        await trio.testing.wait_all_tasks_blocked()

    async def main() -> None:
        serve = drivers.build_asgi([Slow(log, gate)], hello)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(ask, serve)

    trio.run(main)
    assert log == ["begins", "begun"]
