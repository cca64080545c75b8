"""One instance serves all threads and loops: what belongs to a request never shows in another."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from gateway import client as _client
from gateway import drivers
from gateway.contract import BuildContext, Hooks, Middleware, as_middleware, finished, io, peek, transform
from gateway.exchange import Outcome, Request, Response
from tests.shows import shows

REQUESTS = 240


class Suffix:
    """Appends what it was made with, at the end."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def push(self, chunk: bytes, /) -> bytes:
        return chunk

    def finish(self) -> bytes:
        return self.text


@dataclass(frozen=True, kw_only=True)
class Slotted(Middleware):
    """Keeps the request's path in a slot and says it in every later hook."""

    ended: Any

    def build(self, context: BuildContext) -> Hooks:
        slot = context.slot(str)
        ended = self.ended

        class Built(Hooks):
            def on_request(self, request: Request) -> None:
                slot[request] = request.path

            def on_response(self, request: Request, response: Response) -> None:
                response.headers.append("x-slot", slot[request])

            def on_body(self, request: Request, response: Response) -> Suffix:
                return Suffix(slot[request].encode())

            def on_finish(self, request: Request, outcome: Outcome) -> None:
                ended.append((slot[request], outcome.kind))

        return Built()


@as_middleware
def simple(request: Request) -> Any:
    path = request.path
    response = yield
    response.headers.append("x-simple", path)


@as_middleware
def full(request: Request, *, ended: Any) -> Any:
    path = request.path
    said = yield from io(str, _later, path)
    response = yield
    response.headers.append("x-full", said)
    yield from peek(1)
    yield from transform(Suffix(path.encode()))
    outcome = yield from finished()
    ended.append((path, outcome.kind))


async def _later(*value: Any) -> Any:
    await asyncio.sleep(0)
    return value[0] if value else None


def chain(ended: list[Any]) -> list[Middleware]:
    return [simple(), Slotted(ended=ended), simple(), full(ended=ended), simple()]


def check(path: str, headers: list[tuple[str, str]], body: bytes) -> None:
    values = {name: [value for found, value in headers if found == name] for name, _ in headers}
    assert values["x-simple"] == [path] * 3
    assert values["x-slot"] == values["x-full"] == [path]
    assert body == b"ab" + path.encode() * 2


@shows("A slot is per request, typed, and unseen by the application")
@shows("One instance serves all threads and loops")
def test_threads_that_share_a_wsgi_chain_see_their_own_request_only() -> None:
    ended: list[Any] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        if environ["PATH_INFO"].endswith("7"):
            raise ValueError(environ["PATH_INFO"])
        yield b"b"

    serve = drivers.build_wsgi(chain(ended), app)
    gate = threading.Barrier(8)

    def request(number: int) -> None:
        if number < 8:
            gate.wait(20)
        path = f"/{number}"
        heads: list[Any] = []
        body: Any = serve(
            {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": ""},
            lambda status, headers, exc_info=None: heads.append(headers) or (lambda data: None),
        )
        try:
            if number % 10 == 7:
                with pytest.raises(ValueError, match=path):
                    b"".join(body)
            elif number % 10 == 3:
                next(iter(body))
            else:
                whole = b"".join(body)
                check(path, heads[0], whole)
        finally:
            body.close()

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(request, range(REQUESTS)))
    finally:
        sys.setswitchinterval(switch)
    kinds = {7: "failed", 3: "aborted"}
    expected = [(f"/{number}", kinds.get(number % 10, "completed")) for number in range(REQUESTS) for _ in "ab"]
    assert sorted(ended) == sorted(expected)


@shows("One instance serves all threads and loops")
def test_tasks_that_share_an_asgi_chain_see_their_own_request_only() -> None:
    ended: list[Any] = []
    rng = random.Random(5)

    async def pause() -> None:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pause()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await pause()
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await pause()
        if scope["path"].endswith("7"):
            raise ValueError(scope["path"])
        if scope["path"].endswith("3"):
            await asyncio.Event().wait()
        await send({"type": "http.response.body", "body": b"b"})

    serve = drivers.build_asgi(chain(ended), app)

    async def request(number: int) -> None:
        path = f"/{number}"
        got: list[Any] = []
        streamed = asyncio.Event()

        async def send(message: Any) -> None:
            await pause()
            got.append(message)
            if message["type"] == "http.response.body":
                streamed.set()

        async def receive() -> Any:
            return await asyncio.Event().wait()

        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        task = asyncio.ensure_future(serve(scope, receive, send))
        if number % 10 == 3:
            await streamed.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif number % 10 == 7:
            with pytest.raises(ValueError, match=path):
                await task
        else:
            await task
            headers = [(name.decode(), value.decode()) for name, value in got[0]["headers"]]
            check(path, headers, b"".join(message["body"] for message in got[1:]))

    async def main() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*map(request, range(REQUESTS)))

    asyncio.run(main())
    kinds = {7: "failed", 3: "aborted"}
    expected = [(f"/{number}", kinds.get(number % 10, "completed")) for number in range(REQUESTS) for _ in "ab"]
    assert sorted(ended) == sorted(expected)


@shows("One instance serves all threads and loops")
def test_loops_of_several_threads_share_an_asgi_chain() -> None:
    ended: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"ab"})

    serve = drivers.build_asgi(chain(ended), app)

    async def request(path: str) -> None:
        got: list[Any] = []

        async def send(message: Any) -> None:
            got.append(message)

        async def receive() -> Any:
            return await asyncio.Event().wait()

        await serve({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)
        headers = [(name.decode(), value.decode()) for name, value in got[0]["headers"]]
        check(path, headers, b"".join(message["body"] for message in got[1:]))

    async def several(loop: int) -> None:
        await asyncio.gather(*(request(f"/{loop}-{number}") for number in range(20)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda loop: asyncio.run(several(loop)), range(4)))
    assert len(ended) == 4 * 20 * 2
    assert {kind for _, kind in ended} == {"completed"}


@pytest.mark.parametrize("io_in", ["on_response", "generator"])
def test_a_second_head_while_a_hook_waits_for_its_io_runs_no_hook_again(io_in: str) -> None:
    """Two tasks of an application send a head; the first is taken and its hooks are under way."""
    log: list[str] = []
    sent: list[Any] = []

    async def main() -> None:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def look_up() -> None:
            asked.set()
            await goes_on.wait()

        class Looks(Middleware):
            def on_response(self, request: Request, response: Response) -> Any:
                log.append("inner")
                yield from io(lambda: None, look_up)
                response.headers.append("x-looked", "up")

        @as_middleware
        def looks(request: Request) -> Any:
            response = yield
            log.append("inner")
            yield from io(lambda: None, look_up)
            response.headers.append("x-looked", "up")

        class Outer(Middleware):
            def on_response(self, request: Request, response: Response) -> None:
                log.append(f"outer {response.status}")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            first = asyncio.create_task(send({"type": "http.response.start", "status": 200, "headers": []}))
            await asked.wait()
            second = asyncio.create_task(send({"type": "http.response.start", "status": 500, "headers": []}))
            await asyncio.sleep(0)
            goes_on.set()
            await first
            await second
            await send({"type": "http.response.body", "body": b"hello"})

        async def receive() -> Any:
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append((message["type"].rpartition(".")[2], message.get("status"), message.get("headers")))

        chain: list[Middleware] = [Outer(), Looks() if io_in == "on_response" else looks()]
        async with asyncio.timeout(20):
            scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
            await drivers.build_asgi(chain, app)(scope, receive, send)

    asyncio.run(main())
    assert log == ["inner", "outer 200"]
    # The second head is the server's to refuse, and it does not look like the first.
    assert ("start", 200, [(b"x-looked", b"up")]) in sent
    assert [part for part in sent if part[0] == "start" and part[1] == 500] in ([], [("start", 500, [])])
    assert sent[-1][0] == "body"


async def serve(chain: list[Middleware], app: Any, send: Any) -> None:
    """Serve one request whose client stays."""

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async with asyncio.timeout(20):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await drivers.build_asgi(chain, app)(scope, receive, send)


@pytest.mark.parametrize("kind", ["start", "body"])
def test_no_message_overtakes_a_head_whose_hook_waits_for_its_io(kind: str) -> None:
    sent: list[Any] = []

    async def main() -> None:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def look_up() -> None:
            asked.set()
            await goes_on.wait()

        class Looks(Middleware):
            def on_response(self, request: Request, response: Response) -> Any:
                yield from io(lambda: None, look_up)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            first = asyncio.create_task(send({"type": "http.response.start", "status": 200, "headers": []}))
            await asked.wait()
            message = {"type": "http.response.start", "status": 500, "headers": []}
            if kind == "body":
                message = {"type": "http.response.body", "body": b"hello"}
            second = asyncio.create_task(send(message))
            await asyncio.sleep(0)
            goes_on.set()
            await first
            await second

        async def send(message: Any) -> None:
            sent.append(message.get("status", "body"))

        await serve([Looks()], app, send)

    asyncio.run(main())
    assert sent[0] == 200


@pytest.mark.parametrize("late", [False, True])
def test_a_second_head_before_the_first_is_sent_does_not_run_the_hooks_again(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    sent: list[Any] = []
    monkeypatch.setattr(_client, "LOOK_AFTER", -1.0 if late else 1e9)

    async def look_up() -> None:
        await asyncio.sleep(0)

    class Looks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            ran.append(response.status)
            yield from io(lambda: None, look_up)

        def on_finish(self, request: Request, outcome: Outcome) -> None: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            for status in (200, 500):
                group.create_task(send({"type": "http.response.start", "status": status, "headers": []}))

    async def send(message: Any) -> None:
        sent.append(message["status"])

    asyncio.run(serve([Looks()], app, send))
    assert ran == [200]
    assert sent == [200, 500], "the server judges the second one"


def test_messages_wait_in_each_part_of_a_response_phase() -> None:
    sent: list[Any] = []

    async def main() -> None:
        waits: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]
        asked: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]

        def wait(number: int) -> Any:
            async def waiting() -> None:
                asked[number].set()
                await waits[number].wait()

            return io(lambda: None, waiting)

        class Looks(Middleware):
            def on_response(self, request: Request, response: Response) -> Any:
                yield from wait(0)
                yield from peek(1)
                yield from wait(1)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(send({"type": "http.response.start", "status": 200, "headers": []}))
                for number, message in enumerate((b"one", b"two")):
                    await asked[number].wait()
                    more = {"body": message, "more_body": number == 0}
                    group.create_task(send({"type": "http.response.body", **more}))
                    await asyncio.sleep(0)
                    waits[number].set()

        async def send(message: Any) -> None:
            sent.append(message.get("status") or message["body"])

        await serve([Looks()], app, send)

    asyncio.run(main())
    assert sent == [200, b"one", b"two"]


def test_a_head_goes_out_though_the_task_of_another_was_cancelled_while_it_looked_for_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(_client, "LOOK_AFTER", -1.0)

    class Waits(Middleware):
        def on_finish(self, request: Request, outcome: Outcome) -> None: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first = asyncio.create_task(send({"type": "http.response.start", "status": 200, "headers": []}))
        await asyncio.sleep(0)
        second = asyncio.create_task(send({"type": "http.response.start", "status": 503, "headers": []}))
        await asyncio.sleep(0)
        first.cancel()
        await second

    async def send(message: Any) -> None:
        sent.append(message["status"])

    asyncio.run(serve([Waits()], app, send))
    assert sent == [503]


def test_a_hook_that_goes_on_after_the_end_of_its_exchange_sends_nothing() -> None:
    sent: list[Any] = []
    ends: list[str] = []

    async def main() -> None:
        asked, goes_on = asyncio.Event(), asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def look_up() -> None:
            asked.set()
            await goes_on.wait()

        class Looks(Middleware):
            def on_response(self, request: Request, response: Response) -> Any:
                yield from io(lambda: None, look_up)

            def on_finish(self, request: Request, outcome: Outcome) -> None:
                ends.append(outcome.kind)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            message = {"type": "http.response.start", "status": 200, "headers": []}
            tasks.append(asyncio.create_task(send(message)))
            await asked.wait()
            raise ValueError

        async def receive() -> Any:
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(20):
            scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
            with pytest.raises(ValueError):  # the application's own
                await drivers.build_asgi([Looks()], app)(scope, receive, send)
            goes_on.set()
            await tasks[0]

    asyncio.run(main())
    assert sent == []
    assert ends == ["failed"]
