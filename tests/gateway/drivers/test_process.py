"""`on_start` and `on_stop`: once per process, before the first request and at its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import Middleware, Process, io
from gateway.exchange import Request


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


def test_a_failed_start_is_told_to_the_server_and_stops_what_was_started() -> None:
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        pytest.fail("the application was started")

    sent = lifespan([store(log, "a"), store(log, "b", fails=True)], app)
    assert sent == [{"type": "lifespan.startup.failed", "message": "OSError: no store"}]
    assert log == ["a start asgi async", "a stop async"]


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
