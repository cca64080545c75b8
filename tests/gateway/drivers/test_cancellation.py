"""What ends an exchange from outside: a cancellation, a coroutine that is closed, a client that goes away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
    as_middleware,
    finished,
    io,
)
from gateway.exchange import FileBody, Outcome, Request, Response
from tests.gateway.drivers._side import BODY, START, logged, scope
from tests.shows import shows


@shows("on_error sees Exception only")
@shows("So do GeneratorExit and SystemExit")
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_is_no_exception_reaches_on_finish_as_aborted_and_goes_on(error: BaseException) -> None:
    log: list[Any] = []

    async def write() -> None:
        await asyncio.sleep(0)
        log.append("written")

    class Writes(Middleware):
        def on_error(self, request: Request, error: Exception) -> Response:
            raise AssertionError("asked about what is no Exception")

        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            log.append((outcome.kind, outcome.error))
            yield from io(lambda: None, write)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def main() -> None:
        # Such an error would end the loop from a task.
        with pytest.raises(type(error)):
            await drivers.build_asgi([Writes()], app)(scope(), app, app)

    asyncio.run(main())
    assert log == [("aborted", error), "written"]


@shows("So do GeneratorExit and SystemExit")
def test_a_coroutine_that_is_closed_runs_on_finish_and_awaits_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []

    class Pause:
        def __await__(self) -> Any:
            yield

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({**BODY, "more_body": True})
        await Pause()

    async def channel(message: Any = None) -> Any: ...

    class Asks(Middleware):
        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            try:
                yield from io(lambda: log.append("plain"), channel)
            finally:
                log.append("cleaned")

    def note(request: Request, outcome: Outcome) -> None:
        log.append((outcome.kind, type(outcome.error), outcome.bytes_sent))

    async def main() -> Any:
        chain = [logged("a", [], on_finish=note), Asks(), logged("z", [], on_finish=note)]
        running: Any = drivers.build_asgi(chain, app)(scope(), channel, channel)
        running.send(None)
        await asyncio.sleep(0)  # a watch begins
        return running

    running = asyncio.run(main())
    running.close()  # as the interpreter does with what a loop has left behind
    ended = ("aborted", GeneratorExit, 5)
    assert log == [ended, "cleaned", ended]
    assert "cannot run and was cut" in caplog.text


@shows("What a generator raises goes on at once, also where it waits for finished() in a finally")
@shows(
    "on_finish runs for each whose on_request was entered, also if it raised; k's own on_error is not offered "
    "k's exception"
)
@shows("Cancellation, asyncio's and trio's, reaches on_finish as aborted and goes on")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("form", ["hooks", "generator"])
def test_a_cancellation_while_a_hook_does_io_is_an_abort(backend: str, form: str) -> None:
    anyio = pytest.importorskip("anyio")
    log: list[Any] = []

    class Waits(Middleware):
        def on_request(self, request: Request) -> Any:
            try:
                yield from io(lambda: None, wait)
            finally:
                log.append("cleaned")

        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            log.append(outcome.kind)
            yield from io(lambda: None, write)

    @as_middleware
    def waits(request: Request) -> Any:
        try:
            yield from io(lambda: None, wait)
            yield
        finally:
            log.append("cleaned")
            outcome = yield from finished()
            log.append(outcome.kind)
            yield from io(lambda: None, write)

    async def wait() -> None:
        cancel()
        await anyio.sleep_forever()

    async def write() -> None:
        await anyio.sleep(0)
        log.append("written")

    def cancel() -> None:
        scopes[0].cancel()

    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("called although its guard never answered")

    async def main() -> None:
        middle = Waits() if form == "hooks" else waits()
        chain = [logged("a", log, on_finish=None), middle, logged("z", log, on_request=None, on_finish=None)]
        with anyio.CancelScope() as cancelled:
            scopes.append(cancelled)
            await drivers.build_asgi(chain, app)(scope(), app, app)
        assert cancelled.cancelled_caught

    anyio.run(main, backend=backend)
    assert log == ["cleaned", "aborted", "written", ("a", "on_finish")]


@shows("Cancellation, asyncio's and trio's, reaches on_finish as aborted and goes on")
def test_a_cancellation_reaches_on_finish_as_aborted_and_its_io_runs() -> None:
    log: list[Any] = []

    async def write() -> None:
        await asyncio.sleep(0.01)
        log.append("written")

    class Writes(Middleware):
        def on_error(self, request: Request, error: Exception) -> Response:
            log.append("on_error")
            return Response(500)

        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            log.append((outcome.kind, type(outcome.error).__name__))
            yield from io(lambda: None, write)

    async def main() -> None:
        entered = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            entered.set()
            await asyncio.Event().wait()

        async def nothing(*args: Any) -> Any: ...

        serve = drivers.build_asgi([Writes()], app)
        task = asyncio.ensure_future(serve(scope(), nothing, nothing))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log == [("aborted", "CancelledError"), "written"]


@shows("Cancellation, asyncio's and trio's, reaches on_finish as aborted and goes on")
def test_trio_runs_io_and_its_cancellation_is_an_abort() -> None:
    trio = pytest.importorskip("trio")
    log: list[Any] = []

    async def write(word: str) -> str:
        await trio.sleep(0.001)
        log.append(word)
        return word

    class Writes(Middleware):
        def on_request(self, request: Request) -> Any:
            yield from io(str, write, "in")

        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            log.append((outcome.kind, type(outcome.error).__name__))
            yield from io(str, write, "out")

    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            nursery.cancel_scope.cancel()
            await trio.sleep_forever()

        async def nothing(*args: Any) -> Any: ...

        async with trio.open_nursery() as nursery:
            await drivers.build_asgi([Writes()], app)(scope(), nothing, nothing)

    trio.run(main)
    assert log == ["in", ("aborted", "Cancelled"), "out"]


@shows("Outcome: status, bytes sent and received, first byte, duration, error, disconnected")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_that_goes_away_during_a_stream_is_seen_by_a_pending_receive(backend: str) -> None:
    anyio = pytest.importorskip("anyio")
    outcomes: list[Outcome] = []

    async def main() -> None:
        gone = anyio.Event()
        watched = anyio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await watched.wait()
            gone.set()
            await anyio.wait_all_tasks_blocked()
            assert (await receive())["type"] == "http.request"
            assert (await receive())["type"] == "http.disconnect"
            assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.body", "body": b"b"})

        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            watched.set()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None: ...

        chain = [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))]
        await drivers.build_asgi(chain, app)(scope(), receive, send)

    anyio.run(main, backend=backend)
    assert [(outcome.kind, outcome.disconnected, outcome.bytes_sent) for outcome in outcomes] == [("aborted", True, 2)]


@shows("Outcome: status, bytes sent and received, first byte, duration, error, disconnected")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["iterable", "file", "file-on-disk"])
@pytest.mark.parametrize("place", ["on_request", "on_response"])
def test_a_middleware_s_stream_stops_when_the_client_goes_away(
    place: str, kind: str, backend: str, tmp_path: Path
) -> None:
    import io as streams

    anyio = pytest.importorskip("anyio")
    ends: list[Outcome] = []
    closed: list[bool] = []
    sent = 0
    whole = 40 * 65536

    class Parts:
        def __iter__(self) -> Any:
            return iter([b"x" * 65536] * 40)

        def close(self) -> None:
            closed.append(True)

    path = tmp_path / "file"
    path.write_bytes(b"x" * whole)
    bodies: dict[str, Any] = {
        "iterable": Parts,
        "file": lambda: streams.BytesIO(b"x" * whole),
        "file-on-disk": lambda: FileBody(str(path), 0, whole),
    }
    made = logged("m", [], **{place: lambda *arguments: Response(200, body=bodies[kind]())})

    async def main() -> None:
        gone = anyio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            # As uvicorn does: it says nothing of the client, and does not wait.
            nonlocal sent
            sent += len(message.get("body", b""))
            if sent:
                gone.set()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({**START})
            await send({**BODY})

        chain = [logged("a", [], on_finish=lambda request, outcome: ends.append(outcome)), made]
        with anyio.fail_after(20):
            await drivers.build_asgi(chain, app)(scope(), receive, send)

    anyio.run(main, backend=backend)
    assert sent < whole / 2
    assert [(end.kind, end.disconnected, end.bytes_sent) for end in ends] == [("aborted", True, sent)]
    assert closed == ([True] if kind == "iterable" else [])


@shows("IO after a cancellation is shielded and limited")
def test_io_after_a_cancellation_is_limited_in_time(caplog: pytest.LogCaptureFixture) -> None:
    from gateway.drivers._effects import run_shielded

    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await run_shielded(io(lambda: None, hang), seconds=0.01)

    asyncio.run(main())
    assert "was cut" in caplog.text


@shows("IO after a cancellation is shielded and limited")
def test_io_after_a_cancellation_is_limited_in_time_under_trio(caplog: pytest.LogCaptureFixture) -> None:
    trio = pytest.importorskip("trio")
    from gateway.drivers._effects import run_shielded

    async def main() -> None:
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await run_shielded(io(lambda: None, trio.sleep_forever), seconds=0.01)
            with pytest.raises(trio.Cancelled):
                await trio.lowlevel.checkpoint()

    trio.run(main)
    assert "was cut" in caplog.text


@shows("IO after a cancellation is shielded and limited")
def test_io_after_a_cancellation_outlives_a_second_one() -> None:
    from gateway.drivers._effects import run_shielded

    done: list[bool] = []

    async def main() -> None:
        gate = asyncio.Event()

        async def slow() -> None:
            await gate.wait()
            done.append(True)

        task = asyncio.ensure_future(run_shielded(io(lambda: None, slow)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        gate.set()
        await task

    asyncio.run(main())
    assert done == [True]
