"""Each sentence of the contract's semantics, in the naive and the specialised driver of both interfaces."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from wsgiref.util import FileWrapper

import pytest

from gateway import drivers
from gateway.contract import (
    BuildContext,
    Hooks,
    Middleware,
    Refuse,
    as_middleware,
    finished,
    io,
    peek,
    reply,
    transform,
)
from gateway.drivers._course import has_body
from gateway.errors import ApplicationError, ConfigurationError
from gateway.exchange import FileBody, Outcome, Request, Response
from gateway.headers import Header
from tests.gateway.drivers._scenario import App, Boom, Fault, Record, asgi_app, run_asgi, run_wsgi, wsgi_app


class Side:
    """One interface and one driver."""

    def __init__(self, interface: str, reference: bool) -> None:
        self.interface = interface
        self.reference = reference

    def __str__(self) -> str:
        return f"{self.interface}-{'naive' if self.reference else 'special'}"

    def run(self, middleware: list[Middleware], app: App | None = None, method: str = "GET", body: bytes = b"") -> Any:
        """Run one request; return the record."""
        return self.serve(middleware, app or App(), method, body)

    def serve(self, middleware: list[Middleware], app: App, method: str, body: bytes) -> Record:
        from tests.gateway.drivers import _scenario

        run = run_wsgi if self.interface == "wsgi" else run_asgi
        original = _scenario.build_chain
        _scenario.build_chain = lambda record, chain: middleware
        try:
            return run([], app, Fault(), reference=self.reference, request={"method": method, "body": body})
        finally:
            _scenario.build_chain = original


SIDES = [Side(interface, reference) for interface in ("wsgi", "asgi") for reference in (True, False)]


@pytest.fixture(params=SIDES, ids=str)
def side(request: pytest.FixtureRequest) -> Side:
    side: Side = request.param
    return side


def logged(name: str, log: list[Any], **hooks: Any) -> Middleware:
    """Build a middleware that logs each defined hook before it does what is given."""

    def define(hook: str, act: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            log.append((name, hook))
            return act(*args) if callable(act) else act

        return call

    return type(name, (Middleware,), {hook: define(hook, act) for hook, act in hooks.items()})()


ALL = {"on_request": None, "on_response": None, "on_error": None, "on_finish": None}


def test_hooks_run_inwards_then_outwards(side: Side) -> None:
    log: list[Any] = []
    record = side.run([logged("a", log, **ALL), logged("b", log, **ALL)])
    assert log == [
        ("a", "on_request"),
        ("b", "on_request"),
        ("b", "on_response"),
        ("a", "on_response"),
        ("b", "on_finish"),
        ("a", "on_finish"),
    ]
    assert record.body == b"hello"


def test_a_short_circuit_is_seen_by_those_outside_only(side: Side) -> None:
    log: list[Any] = []
    answering = {**ALL, "on_request": lambda request: Response(401, body="no")}
    chain = [logged("a", log, **ALL), logged("k", log, **answering), logged("z", log, **ALL)]
    record = side.run(chain)
    assert log == [
        ("a", "on_request"),
        ("k", "on_request"),
        ("a", "on_response"),
        ("k", "on_finish"),
        ("a", "on_finish"),
    ]
    assert record.events == []
    assert record.body == b"no"
    assert ("content-length", "2") in record.headers


def test_an_error_in_on_request_is_not_offered_to_its_own_on_error(side: Side) -> None:
    log: list[Any] = []

    def fail(request: Request) -> None:
        raise ValueError("k")

    outer = {**ALL, "on_error": lambda request, error: Response(500, body=str(error))}
    record = side.run([logged("a", log, **outer), logged("k", log, **{**ALL, "on_request": fail})])
    assert log == [
        ("a", "on_request"),
        ("k", "on_request"),
        ("a", "on_error"),
        ("k", "on_finish"),
        ("a", "on_finish"),
    ]
    assert record.body == b"k"
    assert record.raised is None


def test_an_application_s_error_passes_every_on_error_outwards(side: Side) -> None:
    log: list[Any] = []
    outer = {**ALL, "on_error": Response(500, body="sorry")}
    record = side.run([logged("a", log, **outer), logged("b", log, **ALL)], App(fails="before"))
    assert [entry for entry in log if entry[1] != "on_request"] == [
        ("b", "on_error"),
        ("a", "on_error"),
        ("b", "on_finish"),
        ("a", "on_finish"),
    ]
    assert record.body == b"sorry"


def test_an_answer_to_an_error_passes_on_response_of_those_outside(side: Side) -> None:
    log: list[Any] = []
    side.run(
        [logged("a", log, **ALL), logged("b", log, **{**ALL, "on_error": Response(500)}), logged("c", log, **ALL)],
        App(fails="before"),
    )
    assert ("a", "on_response") in log
    assert ("b", "on_response") not in log
    assert ("c", "on_response") not in log


def test_an_unhandled_error_reaches_the_server_and_is_a_failure(side: Side) -> None:
    outcomes: list[Outcome] = []
    record = side.run(
        [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))], App(fails="before")
    )
    assert record.raised == "Boom('before')"
    assert outcomes[0].kind == "failed"
    assert repr(outcomes[0].error) == "Boom('before')"
    assert outcomes[0].status is None
    assert outcomes[0].first_byte_at is None


def test_after_the_head_is_committed_an_error_is_raised_and_nothing_looks_complete(side: Side) -> None:
    log: list[Any] = []
    chain = [logged("a", log, on_error=Response(500), on_finish=None)]
    record = side.run(chain, App(shape="chunks", chunks=(b"a", b"b"), fails="chunk1"))
    assert record.raised == "Boom('chunk1')"
    assert ("a", "on_error") not in log
    assert record.body == b"a"
    assert not record.ended


def test_on_error_sees_exceptions_only() -> None:
    log: list[Any] = []

    def exits(environ: Any, start_response: Any) -> Any:
        raise SystemExit(3)

    outcomes: list[Outcome] = []
    chain = [logged("a", log, on_error=Response(500), on_finish=lambda request, outcome: outcomes.append(outcome))]
    for reference in (True, False):
        with pytest.raises(SystemExit):
            drivers.build_wsgi(chain, exits, reference=reference)({}, lambda *args: lambda data: None)
    assert log == [("a", "on_finish")] * 2
    assert [outcome.kind for outcome in outcomes] == ["aborted"] * 2


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("reference", [True, False])
def test_what_is_no_exception_reaches_on_finish_as_aborted_and_goes_on(error: BaseException, reference: bool) -> None:
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
            await drivers.build_asgi([Writes()], app, reference=reference)(scope(), app, app)

    asyncio.run(main())
    assert log == [("aborted", error), "written"]


@pytest.mark.parametrize("reference", [True, False])
def test_a_coroutine_that_is_closed_runs_on_finish_and_awaits_nothing(
    reference: bool, caplog: pytest.LogCaptureFixture
) -> None:
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
        running: Any = drivers.build_asgi(chain, app, reference=reference)(scope(), channel, channel)
        running.send(None)
        await asyncio.sleep(0)  # a watch begins
        return running

    running = asyncio.run(main())
    running.close()  # as the interpreter does with what a loop has left behind
    ended = ("aborted", GeneratorExit, 5)
    assert log == [ended, "cleaned", ended]
    assert "cannot run and was cut" in caplog.text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("form", ["hooks", "generator"])
def test_a_cancellation_while_a_hook_does_io_is_an_abort(backend: str, reference: bool, form: str) -> None:
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
            await drivers.build_asgi(chain, app, reference=reference)(scope(), app, app)
        assert cancelled.cancelled_caught

    anyio.run(main, backend=backend)
    assert log == ["cleaned", "aborted", "written", ("a", "on_finish")]


@pytest.mark.parametrize("reference", [True, False])
def test_a_cancellation_reaches_on_finish_as_aborted_and_its_io_runs(reference: bool) -> None:
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

        serve = drivers.build_asgi([Writes()], app, reference=reference)
        task = asyncio.ensure_future(serve(scope(), nothing, nothing))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log == [("aborted", "CancelledError"), "written"]


@pytest.mark.parametrize("reference", [True, False])
def test_trio_runs_io_and_its_cancellation_is_an_abort(reference: bool) -> None:
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
            await drivers.build_asgi([Writes()], app, reference=reference)(scope(), nothing, nothing)

    trio.run(main)
    assert log == ["in", ("aborted", "Cancelled"), "out"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("reference", [True, False])
def test_a_client_that_goes_away_during_a_stream_is_seen_by_a_pending_receive(backend: str, reference: bool) -> None:
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
        await drivers.build_asgi(chain, app, reference=reference)(scope(), receive, send)

    anyio.run(main, backend=backend)
    assert [(outcome.kind, outcome.disconnected, outcome.bytes_sent) for outcome in outcomes] == [("aborted", True, 2)]


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/p", "headers": [], **more}


START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"hello"}


def converse(
    chain: list[Middleware], messages: list[dict[str, Any]], *, reference: bool, **more: Any
) -> list[dict[str, Any]]:
    """Let an application send the messages; return what the server gets."""
    got: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send({**message})

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        got.append(message)

    async def main() -> None:
        async with asyncio.timeout(20):
            await drivers.build_asgi(chain, app, reference=reference)(scope(**more), receive, send)

    asyncio.run(main())
    return got


def test_an_error_in_on_finish_is_logged_and_stops_no_other(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []

    def fail(request: Request, outcome: Outcome) -> None:
        raise ValueError("lost")

    with caplog.at_level(logging.ERROR, "gateway.drivers"):
        record = side.run([logged("a", log, on_finish=None), logged("b", log, on_finish=fail)])
    assert log == [("b", "on_finish"), ("a", "on_finish")]
    assert record.body == b"hello"
    assert record.raised is None
    assert "lost" in caplog.text


def test_a_traceback_keeps_the_middleware_s_name(side: Side) -> None:
    import traceback

    seen: list[str] = []

    class Guilty(Middleware):
        def on_response(self, request: Request, response: Response) -> None:
            raise ValueError("guilty")

    def note(request: Request, error: Exception) -> Response:
        seen.extend(frame.name for frame in traceback.extract_tb(error.__traceback__))
        return Response(500)

    side.run([logged("a", [], on_error=note), Guilty()])
    assert "on_response" in seen


def test_a_peek_holds_the_head_and_leaves_the_bytes_in_the_body(side: Side) -> None:
    seen: list[Any] = []

    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            data = yield from peek(4)
            seen.append(data)
            response.headers.append("x-start", repr(data))

    record = side.run([Peeks()], App(shape="chunks", chunks=(b"ab", b"cd", b"ef")))
    assert seen == [b"abcd"]
    assert record.body == b"abcdef"
    assert ("x-start", "b'abcd'") in record.headers


def test_an_error_while_a_head_is_held_is_raised_into_the_peeking_one_first(side: Side) -> None:
    log: list[Any] = []

    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            try:
                yield from peek(100)
            except Exception as error:
                log.append(("peek", repr(error)))
                raise

    chain = [
        logged("a", log, on_error=lambda request, error: Response(500, body="answer")),
        Peeks(),
        logged("z", log, **ALL),
    ]
    record = side.run(chain, App(shape="chunks", chunks=(b"ab",), fails="end"))
    assert [entry for entry in log if entry[1] != "on_request"] == [
        ("z", "on_response"),
        ("peek", "Boom('end')"),
        ("a", "on_error"),
        ("z", "on_finish"),
    ]
    assert record.body == b"answer"


class Limit:
    def __init__(self, left: int) -> None:
        self.left = left

    def push(self, chunk: bytes, /) -> bytes:
        self.left -= len(chunk)
        if self.left < 0:
            raise Refuse(413, "too large")
        return chunk

    def finish(self) -> bytes:
        return b""


class BodyLimit(Middleware):
    keeps_request_length = True

    def on_request_body(self, request: Request) -> Limit:
        return Limit(3)


class Trimmed(Middleware):
    def on_request_body(self, request: Request) -> Limit:
        return Limit(100)


@pytest.mark.parametrize("swallows", [True, False])
def test_a_refusal_in_a_request_body_replaces_the_answer(side: Side, swallows: bool) -> None:
    log: list[Any] = []
    app = App(reads=True, swallows=swallows)
    chain = [logged("a", log, on_response=None), BodyLimit(), logged("z", log, on_response=None, on_finish=None)]
    record = side.run(chain, app, "POST", b"payload")
    assert str(record.status)[:3] == "413"
    assert b"too large" in record.body
    assert log == [("a", "on_response"), ("z", "on_finish")]


@pytest.mark.parametrize("reference", [True, False])
def test_a_refusal_after_the_head_cuts_the_connection(reference: bool) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(Refuse):
            await receive()
        with contextlib.suppress(Refuse):
            await send({"type": "http.response.body", "body": b"all is well"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(Refuse):
        asyncio.run(drivers.build_asgi([BodyLimit()], app, reference=reference)(scope(), receive, send))
    assert sent == ["http.response.start"]


@pytest.mark.parametrize("answers", [True, False])
def test_a_refusal_is_the_answer_of_an_application_that_swallows_it_and_says_no_more(side: Side, answers: bool) -> None:
    import io as streams

    got: list[Any] = []

    def wsgi(environ: Any, start_response: Any) -> Any:
        with contextlib.suppress(Refuse):
            environ["wsgi.input"].read()
        return []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Refuse):
            await receive()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        got.append(message.get("status"))

    answer = {"on_response": lambda request, response: Response(499)} if answers else {"on_finish": None}
    chain = [logged("a", [], **answer), BodyLimit()]
    if side.interface == "wsgi":
        environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
        serve = drivers.build_wsgi(chain, wsgi, reference=side.reference)
        list(serve(environ, lambda line, *args: got.append(int(line[:3])) or (lambda data: None)))
    else:
        asyncio.run(drivers.build_asgi(chain, asgi, reference=side.reference)(scope(method="POST"), receive, send))
    assert got[0] == (499 if answers else 413)


@pytest.mark.parametrize("reference", [True, False])
def test_what_is_sent_after_a_refusal_has_cut_the_connection_goes_nowhere(reference: bool) -> None:
    got: list[Any] = []
    late: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY, "more_body": True})
        with contextlib.suppress(Refuse):
            await receive()
        late.append(send)  # for a task of its own, say

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        got.append(message["type"])

    async def main() -> None:
        with pytest.raises(Refuse):
            await drivers.build_asgi([BodyLimit()], app, reference=reference)(scope(method="POST"), receive, send)
        with pytest.raises(Refuse):
            await late[0]({**BODY})

    asyncio.run(main())
    assert got == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_what_is_written_after_a_refusal_has_cut_the_connection_goes_nowhere(reference: bool, waits: bool) -> None:
    import io as streams

    got: list[Any] = []
    log: list[Any] = []

    class Parts:
        def __init__(self, stream: Any, write: Any) -> None:
            self.stream, self.write = stream, write

        def __iter__(self) -> Iterator[bytes]:
            yield b"early"
            with contextlib.suppress(Refuse):
                self.stream.read()
            yield b"all is well"

        def close(self) -> None:
            with pytest.raises(Refuse):
                self.write(b"all is well")

    def app(environ: Any, start_response: Any) -> Any:
        return Parts(environ["wsgi.input"], start_response("200 OK", []))

    def start_response(line: str, *args: Any) -> Any:
        got.append(line)
        return got.append

    environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
    chain = [logged("a", log, on_response=None, **({"on_finish": None} if waits else {})), BodyLimit()]
    body: Any = drivers.build_wsgi(chain, app, reference=reference)(environ, start_response)
    with pytest.raises(Refuse):
        got.extend(body)
    body.close()
    assert got == ["200 OK", b"early"]
    assert log == [("a", "on_response"), ("a", "on_finish")][: 1 + waits]


@pytest.mark.parametrize("reference", [True, False])
def test_a_refusal_in_the_middle_of_a_stream_cuts_the_connection(reference: bool) -> None:
    sent: list[Any] = []
    log: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        with contextlib.suppress(Refuse):
            await receive()
        with contextlib.suppress(Refuse):
            await send({"type": "http.response.body", "body": b"all is well", "more_body": True})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message.get("body"))

    chain = [logged("a", log, on_finish=lambda request, outcome: log.append(outcome.bytes_sent)), BodyLimit()]
    post = {**scope(), "method": "POST", "headers": [(b"content-length", b"7")]}
    with pytest.raises(Refuse):
        asyncio.run(drivers.build_asgi(chain, app, reference=reference)(post, receive, send))
    assert sent == [None, b"early"]
    assert log == [("a", "on_finish"), 5]


@pytest.mark.parametrize("reference", [True, False])
def test_a_refusal_while_a_head_is_held_passes_those_outside_of_who_holds_it(reference: bool) -> None:
    log: list[Any] = []
    sent: list[Any] = []

    class Holds(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            log.append(("holds", "on_response"))
            yield from peek(100)
            log.append("never")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        with contextlib.suppress(Refuse):
            await receive()
        await send({"type": "http.response.body", "body": b"all is well"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"payload"}

    async def send(message: Any) -> None:
        sent.append(message.get("status") or message["body"][:3])

    chain = [logged("a", log, on_response=None), Holds(), logged("z", log, on_response=None), BodyLimit()]
    post = {**scope(), "method": "POST", "headers": [(b"content-length", b"7")]}
    asyncio.run(drivers.build_asgi(chain, app, reference=reference)(post, receive, send))
    assert sent[0] == 413
    assert log == [("z", "on_response"), ("holds", "on_response"), ("a", "on_response")]


@pytest.mark.parametrize("reference", [True, False])
def test_a_refusal_after_the_head_cuts_the_connection_on_wsgi(reference: bool) -> None:
    import io as streams

    got: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"early"
        with contextlib.suppress(Refuse):
            environ["wsgi.input"].read()
        yield b"all is well"

    environ = {"CONTENT_LENGTH": "7", "wsgi.input": streams.BytesIO(b"payload"), "REQUEST_METHOD": "POST"}
    body: Any = drivers.build_wsgi([BodyLimit()], app, reference=reference)(
        environ, lambda *args: got.append(args[0]) or (lambda data: None)
    )
    with pytest.raises(Refuse):
        got.extend(body)
    body.close()
    assert got == ["200 OK", b"early"]


@pytest.mark.parametrize("method", ["on_request_body", "on_body"])
def test_what_changes_a_body_is_a_transform(side: Side, method: str) -> None:
    record = side.run([logged("a", [], **{method: object()})], App(reads=True), "POST", b"abc")
    assert record.raised is not None
    assert f"{method} must return a Transform (push and finish) or None, got <object" in record.raised


def test_a_request_transform_drops_the_length_unless_it_keeps_it(side: Side) -> None:
    kept = side.run([BodyLimit()], App(reads=True), "POST", b"abc")
    assert kept.events[:2] == [("app", None, "3" if side.interface == "wsgi" else b"3"), ("read", b"abc")]
    dropped = side.run([Trimmed()], App(reads=True), "POST", b"abc")
    assert dropped.events[:2] == [("app", None, None), ("read", b"abc")]


def test_input_of_a_transform_ends_by_itself() -> None:
    import io as streams

    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append((environ["wsgi.input_terminated"], environ["wsgi.input"].read(), environ["wsgi.input"].read()))
        start_response("200 OK", [])
        return []

    environ = {"CONTENT_LENGTH": "3", "wsgi.input": streams.BytesIO(b"abcNEXT REQUEST"), "REQUEST_METHOD": "POST"}
    list(drivers.build_wsgi([Trimmed()], app)(environ, lambda *args: lambda data: None))
    assert seen == [(True, b"abc", b"")]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("chain", [[Trimmed()], [logged("a", [], on_finish=None)]], ids=["transforms", "counts"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "ends-by-itself"])
def test_nothing_is_read_ahead_of_the_application(reference: bool, chain: list[Middleware], declared: bool) -> None:
    class Interactive:
        """A client that sends its next line when the one before was taken."""

        lines = (b"a\n", b"b\n", b"c\n")

        def __init__(self) -> None:
            self.at = 0
            self.rest = b""

        def take(self, size: int, *, line: bool) -> bytes:
            taken = b""
            while size > len(taken):
                if not self.rest:
                    if self.at == len(self.lines):
                        break
                    assert self.at <= answered, "read before the line was answered: this would wait for ever"
                    self.rest, self.at = self.lines[self.at], self.at + 1
                part, self.rest = self.rest[: size - len(taken)], self.rest[size - len(taken) :]
                taken += part
                if line and taken.endswith(b"\n"):
                    break
            return taken

        def read(self, size: int) -> bytes:
            return self.take(size, line=False)

        def readline(self, size: int) -> bytes:
            return self.take(size, line=True)

    answered = 0
    got: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Any:
        nonlocal answered
        assert source.at == 0, "read before the application does"
        stream = environ["wsgi.input"]
        for read in (lambda: stream.readline(), lambda: stream.read(2), lambda: stream.readline(9)):
            got.append(read())
            answered += 1
        start_response("200 OK", [])
        return []

    source = Interactive()
    environ: dict[str, Any] = {"wsgi.input": source, "REQUEST_METHOD": "POST"}
    environ.update({"CONTENT_LENGTH": "6"} if declared else {"wsgi.input_terminated": True})
    list(drivers.build_wsgi(chain, app, reference=reference)(environ, lambda *args: lambda data: None))
    assert got == list(Interactive.lines)


def test_a_body_is_not_asked_for_before_the_application_reads(side: Side) -> None:
    log: list[Any] = []
    side.run([logged("a", log, on_request_body=None)], App(reads=False), "POST", b"abc")
    assert log == []


@pytest.mark.parametrize(("method", "body", "asked"), [("GET", b"", 0), ("POST", b"", 0), ("POST", b"abc", 1)])
def test_a_body_that_is_not_there_is_not_asked_for(side: Side, method: str, body: bytes, asked: int) -> None:
    log: list[Any] = []
    side.run([logged("a", log, on_request_body=None)], App(reads=True), method, body)
    assert len(log) == asked


def test_the_outcome_tells_what_was_sent_and_received(side: Side) -> None:
    outcomes: list[Outcome] = []
    chain = [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))]
    side.run(chain, App(reads=True, chunks=(b"abc", b"de"), shape="chunks"), "POST", b"payload")
    outcome = outcomes[0]
    assert (outcome.kind, outcome.status, outcome.bytes_sent, outcome.bytes_received) == ("completed", 200, 5, 7)
    assert outcome.first_byte_at is not None
    assert 0 <= outcome.first_byte_at <= outcome.duration
    assert outcome.error is None
    assert not outcome.disconnected


@pytest.mark.parametrize("reference", [True, False])
def test_background_work_does_not_alter_the_outcome(reference: bool) -> None:
    for fails in ("", "background"):
        record = Record()
        chain = [logged("a", [], on_finish=lambda request, outcome, record=record: record.note(outcome.kind))]
        serve = drivers.build_asgi(chain, asgi_app(record, App(fails=fails)), reference=reference)

        async def nothing(*args: Any) -> Any: ...

        try:
            asyncio.run(serve(scope(), nothing, nothing))
        except Exception as error:
            record.note(repr(error))
        expected = [("app", None, None), ("completed",), ("background",)]
        assert record.events == [*expected, *([("Boom('background')",)] if fails else [])]


@pytest.mark.parametrize("reference", [True, False])
def test_an_asgi_exchange_completes_when_the_last_send_returned(reference: bool) -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY, "more_body": True})
        log.append("last follows")
        await send({**BODY})
        log.append("background")

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        log.append(message["type"].rpartition(".")[2])

    async def receive() -> Any:
        return await asyncio.Event().wait()

    chain = [logged("a", [], on_finish=lambda request, outcome: log.append(outcome.kind))]
    asyncio.run(drivers.build_asgi(chain, app, reference=reference)(scope(), receive, send))
    assert log == ["start", "body", "last follows", "body", "completed", "background"]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("shape", ["list", "chunks", "lazy"])
def test_a_wsgi_exchange_completes_at_close_after_exhaustion(reference: bool, shape: str) -> None:
    for taken, kind in ((3, "completed"), (1, "aborted")):
        ends: list[Any] = []
        chain = [logged("a", [], on_finish=lambda request, outcome, ends=ends: ends.append(outcome))]
        app = wsgi_app(Record(), App(shape=shape, chunks=(b"one", b"two")))
        body: Any = drivers.build_wsgi(chain, app, reference=reference)(
            {"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
        )
        for _, _chunk in zip(range(taken), body, strict=False):
            assert ends == []
        assert ends == []
        body.close()
        body.close()
        assert [(end.kind, end.disconnected) for end in ends] == [(kind, kind == "aborted")]


# -- late starts


@pytest.mark.parametrize("given", ["200 OK", "200 "])
@pytest.mark.parametrize("hooks", [{}, {"on_finish": None}, {"on_body": None}], ids=["head", "finish", "body"])
@pytest.mark.parametrize("reference", [True, False])
def test_a_status_that_a_middleware_changes_has_its_own_phrase(
    reference: bool, hooks: dict[str, Any], given: str
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(given, [])
        return [b"gone"]

    lines: list[str] = []
    change = logged("a", [], on_response=lambda request, response: setattr(response, "status", 404), **hooks)
    call: Any = drivers.build_wsgi([change], app, reference=reference)
    list(call({"REQUEST_METHOD": "GET"}, lambda line, *head: lines.append(line)))
    assert lines == ["404 Not Found"]


@pytest.mark.parametrize("line", ["OK", "20 OK", "", b"200 OK", 200, "٢٠٠ OK"], ids=repr)
@pytest.mark.parametrize("hooks", [{"on_response": None}, {"on_finish": None}, ALL], ids=["head", "finish", "all"])
@pytest.mark.parametrize("reference", [True, False])
def test_what_is_no_status_line_is_the_application_s_fault_and_shown(
    reference: bool, hooks: dict[str, Any], line: Any
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(line, [])
        return [b""]

    call: Any = drivers.build_wsgi([logged("a", [], **hooks)], app, reference=reference)
    with pytest.raises(ApplicationError, match=r"three digits and a reason.* got ") as caught:
        list(call({"REQUEST_METHOD": "GET"}, lambda *head: lambda data: None))
    assert repr(line) in str(caught.value)


@pytest.mark.parametrize("reference", [True, False])
def test_a_chain_that_only_touches_heads_runs_at_start_response_and_again_on_a_restart(reference: bool) -> None:
    log: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        log.append("before")
        start_response("200 OK", [])
        log.append("between")
        try:
            raise ValueError
        except ValueError as error:
            start_response("500 Sorry", [], (ValueError, error, error.__traceback__))
        log.append("after")
        return [b""]

    def head(request: Request, response: Response) -> None:
        log.append(response.status)
        response.headers.append("x-times", "once")

    def server(status: str, headers: Any, exc_info: Any = None) -> Any:
        log.append((status, headers, exc_info is not None))
        return lambda data: None

    chain = [logged("a", [], on_response=head, on_finish=lambda request, outcome: log.append(outcome.status))]
    body: Any = drivers.build_wsgi(chain, app, reference=reference)({"REQUEST_METHOD": "GET"}, server)
    list(body)
    body.close()
    times = [("x-times", "once")]
    assert log == [
        "before",
        200,
        ("200 OK", times, False),
        "between",
        500,
        ("500 Sorry", times, True),
        "after",
        500,
    ]


def _flow_that_peeks() -> Middleware:
    @as_middleware
    def flow(request: Request) -> Any:
        yield
        yield from peek(1)

    return flow()


def _flow() -> Middleware:
    @as_middleware
    def flow(request: Request) -> Any:
        yield

    return flow()


DEFERRING = {
    "flow": _flow,
    "flow-that-peeks": _flow_that_peeks,
    "body": lambda: logged("a", [], on_body=None),
    "error": lambda: logged("a", [], on_error=None),
    "request-body": lambda: logged("a", [], on_request_body=None),
}


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("kind", DEFERRING)
def test_a_chain_of_generators_or_body_work_defers_the_head_to_the_first_chunk(kind: str, reference: bool) -> None:
    log: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        log.append("started")
        yield b""
        log.append("chunk")
        yield b"chunk"
        log.append("end")

    def server(status: str, headers: Any, exc_info: Any = None) -> Any:
        log.append(status)
        return lambda data: None

    chain = [DEFERRING[kind](), logged("z", log, on_response=None)]
    for chunk in drivers.build_wsgi(chain, app, reference=reference)({"REQUEST_METHOD": "GET"}, server):
        log.append(chunk)
    assert [entry for entry in log if entry != b""] == [
        "started",
        "chunk",
        ("z", "on_response"),
        "200 OK",
        b"chunk",
        "end",
    ]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [200, 204, 304])
def test_on_body_is_asked_where_there_is_a_body_only(side: Side, method: str, status: int) -> None:
    log: list[Any] = []
    side.run([logged("a", log, on_body=None)], App(status=status), method)
    assert log == ([("a", "on_body")] if (method, status) == ("GET", 200) else [])


class Upper:
    def push(self, chunk: bytes, /) -> bytes:
        return chunk.upper()

    def finish(self) -> bytes:
        return b"!"


class Shout(Middleware):
    def on_body(self, request: Request, response: Response) -> Upper:
        return Upper()


def test_a_body_in_one_part_has_its_new_length(side: Side) -> None:
    record = side.run([Shout()])
    assert record.body == b"HELLO!"
    assert ("content-length", "6") in record.headers


def test_a_streamed_body_loses_its_length(side: Side) -> None:
    record = side.run([Shout()], App(shape="chunks", chunks=(b"a", b"b")))
    assert record.body == b"AB!"
    assert not [value for name, value in record.headers if name == "content-length"]


def test_large_pushes_leave_the_event_loop() -> None:
    import threading

    threads: list[bool] = []

    class Notes:
        def push(self, chunk: bytes, /) -> bytes:
            threads.append(threading.current_thread() is threading.main_thread())
            return chunk

        def finish(self) -> bytes:
            return b""

    chain = [logged("a", [], on_body=lambda request, response: Notes())]
    large = b"x" * 200_000
    for reference in (True, False):
        record = run_side("asgi", reference, chain, App(shape="chunks", chunks=(large, b"small", large)))
        assert record.body == large + b"small" + large
    assert threads == [False, True, False] * 2


@pytest.mark.parametrize("reference", [True, False])
def test_large_pushes_of_a_body_run_one_at_a_time_and_in_order(reference: bool) -> None:
    import threading

    inside = threading.Lock()
    sizes: list[int] = []

    class Exclusive:
        def push(self, chunk: bytes, /) -> bytes:
            assert inside.acquire(blocking=False), "two pushes at once"
            sizes.append(len(chunk))
            inside.release()
            return chunk

        def finish(self) -> bytes:
            return b"."

    chain = [logged("a", [], on_body=lambda request, response: Exclusive())]
    chunks = [bytes([number]) * (200_000 - number) for number in range(8)]
    messages = [{**BODY, "body": chunk, "more_body": True} for chunk in chunks]
    got = converse(chain, [START, *messages, {**BODY, "body": b""}], reference=reference)
    assert b"".join(message.get("body", b"") for message in got) == b"".join(chunks) + b"."
    assert sizes == [len(chunk) for chunk in chunks]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [100, 101, 103, 199, 204, 304])
def test_no_body_belongs_to_these(method: str, status: int) -> None:
    assert not has_body(method, status)
    assert has_body(method, 200) is (method != "HEAD")


def run_side(interface: str, reference: bool, chain: list[Middleware], app: App) -> Record:
    return Side(interface, reference).serve(chain, app, "GET", b"")


def test_a_replaced_response_takes_the_place_of_all_of_it(side: Side) -> None:
    replacing = logged("a", [], on_response=lambda request, response: Response(299, [("x-new", "1")], b"new"))
    record = side.run([replacing], App(shape="chunks", chunks=(b"old", b"old")))
    assert record.body == b"new"
    assert record.headers == [("x-new", "1"), ("content-length", "3")]
    if side.interface == "wsgi":
        assert record.closed == 1


def test_a_replacement_does_not_pass_the_transforms_of_what_it_replaces(side: Side) -> None:
    replaces = logged("a", [], on_response=lambda request, response: Response(299, body=b"new"))
    record = side.run([replaces, logged("z", [], on_body=lambda request, response: Upper())])
    assert record.body == b"new"
    assert record.headers == [("content-length", "3")]


def test_what_is_answered_out_of_a_peek_that_failed_is_a_response_like_another(side: Side) -> None:
    class Catches(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            try:
                yield from peek(100)
            except Boom:
                return Response(520, body=b"caught")

    log: list[Any] = []
    chain = [logged("a", log, on_response=None, on_error=None), Catches()]
    record = side.run(chain, App(shape="chunks", chunks=(b"ab",), fails="end"))
    assert (str(record.status)[:3], record.body) == ("520", b"caught")
    assert log == [("a", "on_response")]


@pytest.mark.parametrize("hooks", [{}, {"on_finish": None}, {"on_body": None}], ids=["heads", "waits", "transforms"])
def test_on_response_can_look_up_fields_and_use_a_slot(side: Side, hooks: dict[str, Any]) -> None:
    class Types(Middleware):
        def build(self, context: BuildContext) -> Hooks:
            slot = context.slot(str)

            class Built(Hooks):
                def on_response(self, request: Request, response: Response) -> None:
                    slot[request] = response.headers.get("content-type") or "none"
                    response.headers.append("x-type", slot[request])

            return Built()

    record = side.run([Types(), logged("z", [], **hooks)] if hooks else [Types()])
    assert ("x-type", "text/plain") in record.headers


@pytest.mark.parametrize("hooks", [{}, {"on_finish": None}, {"on_body": None}], ids=["heads", "waits", "transforms"])
def test_the_head_of_an_application_has_its_reason_and_no_body(side: Side, hooks: dict[str, Any]) -> None:
    seen: list[Any] = []

    def look(request: Request, response: Response) -> None:
        seen.append((response.status, response.reason, response.body))

    side.run([logged("a", [], on_response=look, **hooks)], App(status=404))
    assert seen == [(404, "Fine" if side.interface == "wsgi" else None, None)]


def test_the_body_of_a_middleware_that_another_replaces_is_closed_once(side: Side) -> None:
    class Parts:
        closed = 0

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            raise AssertionError("read, though nobody sends it")

        def close(self) -> None:
            Parts.closed += 1

    made = logged("m", [], on_request=lambda request: Response(200, body=Parts()))
    replaces = logged("r", [], on_response=lambda request, response: Response(299, body="new"))
    assert side.run([replaces, made]).body == b"new"
    assert Parts.closed == 1
    again = logged("a", [], on_response=lambda request, response: Response(200, body=Parts()))
    assert side.run([replaces, again]).body == b"new"
    assert Parts.closed == 2


@pytest.mark.parametrize("reference", [True, False])
def test_the_sends_of_a_replaced_response_are_swallowed(reference: bool) -> None:
    replacing = logged("a", [], on_response=lambda request, response: Response(299, [("x-new", "1")], b"new"))
    coded = {
        **START,
        "headers": [(b"content-length", b"10"), (b"content-encoding", b"gzip"), (b"trailer", b"x-t")],
        "trailers": True,
    }
    trailers = {"type": "http.response.trailers", "headers": [(b"x-t", b"1")]}
    messages = [coded, {**BODY, "more_body": True}, {"type": "http.response.debug"}, BODY, trailers]
    assert converse([replacing], messages, reference=reference) == [
        {"type": "http.response.start", "status": 299, "headers": [(b"x-new", b"1"), (b"content-length", b"3")]},
        {"type": "http.response.body", "body": b"new", "more_body": False},
    ]


@pytest.mark.parametrize("hooks", [{}, {"on_finish": None}], ids=["heads", "waits"])
def test_writing_to_the_request_when_the_head_is_there_is_not_seen_by_the_server(
    side: Side, hooks: dict[str, Any]
) -> None:
    def write(request: Request, response: Response) -> None:
        request.headers.set("x-request", "late")

    def read(request: Request, response: Response) -> None:
        response.headers.append("x-seen", request.headers.get("x-request") or "nothing")

    record = side.run([logged("a", [], on_response=read), logged("z", [], on_response=write, **hooks)])
    assert ("x-seen", "late") in record.headers


def test_writing_to_the_request_is_seen_further_in_and_not_by_the_server(side: Side) -> None:
    def write(request: Request) -> None:
        request.headers.set("x-request", "seen")
        request.state["mine"] = 1

    def read(request: Request) -> None:
        assert request.headers.get("x-request") == "seen"
        assert request.state == {"mine": 1}

    record = side.run([logged("a", [], on_request=write), logged("b", [], on_request=read)])
    assert record.events[0][1] == ("seen" if side.interface == "wsgi" else b"seen")


def test_state_is_carried_by_the_scope_and_the_environ(side: Side) -> None:
    given = {"from": "outside"}
    seen: list[Any] = []
    chain = [logged("a", [], on_request=lambda request: seen.append(request.state))]

    async def nothing(*args: Any) -> Any: ...

    if side.interface == "asgi":
        serve = drivers.build_asgi(chain, asgi_app(Record(), App()), reference=side.reference)
        asyncio.run(serve(scope(**{"gateway.state": given}), nothing, nothing))
    else:
        wrapped = drivers.build_wsgi(chain, wsgi_app(Record(), App()), reference=side.reference)
        wrapped({"gateway.state": given}, lambda *args: lambda data: None)
    assert seen[0] is given


@pytest.mark.parametrize("reference", [True, False])
def test_messages_that_are_not_known_pass_in_order(reference: bool) -> None:
    log: list[Any] = []
    record = run_side("asgi", reference, [logged("a", log, **ALL)], App(shape="debug"))
    assert "http.response.debug" in record.extra
    record = run_side("asgi", reference, [logged("a", log, **ALL)], App(shape="hints"))
    assert record.extra[0] == "http.response.early_hint"


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_a_second_head_goes_to_the_server_as_it_came_and_no_hook_is_asked_again(waits: bool, reference: bool) -> None:
    """What to do with it is the server's business; without a chain it gets it too."""
    log: list[Any] = []

    def mark(request: Request, response: Response) -> None:
        response.headers.append("x-mark", "1")

    hooks = {"on_response": mark, **({"on_finish": None} if waits else {})}
    second = {**START, "status": 500}
    got = converse([logged("m", log, **hooks)], [START, second, BODY], reference=reference)
    assert [message.get("status") for message in got] == [200, 500, None]
    assert got[0]["headers"] == [(b"x-mark", b"1")]
    assert got[1] == second
    assert log == [("m", name) for name in hooks]


def _peeks(size: int | None) -> Middleware:
    def head(request: Request, response: Response) -> Any:
        yield from peek(size)

    return logged("p", [], on_response=head)


def _peeks_and_shouts() -> Middleware:
    @as_middleware
    def flow(request: Request) -> Any:
        yield
        yield from peek(3)
        yield from transform(Upper())

    return flow()


ORDERLY = {
    "head": lambda: [logged("a", [], on_response=None)],
    "finish": lambda: [logged("a", [], on_finish=None)],
    "flow": lambda: [_flow()],
    "peek-3": lambda: [_peeks(3)],
    "peek-all": lambda: [_peeks(None)],
    "transform": lambda: [Shout()],
    "peek-then-transform": lambda: [_peeks_and_shouts()],
    "transform-inside-a-peek": lambda: [_peeks(3), Shout(), logged("a", [], on_finish=None)],
}


WAITING = {
    "head": (lambda: [logged("a", [], on_response=None)], 0),
    "transform": (lambda: [Shout()], 1),
    "two-transforms": (lambda: [Shout(), Shout()], 1),
    "peek-1": (lambda: [_peeks(1)], 1),
    "peek-2": (lambda: [_peeks(2)], 2),
    "transform-around-a-peek": (lambda: [Shout(), _peeks(1)], 1),
    "peek-around-a-transform": (lambda: [_peeks(1), Shout()], 1),
    "peek-then-transform": (lambda: [_peeks_and_shouts()], 3),
}


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("kind", WAITING)
def test_a_head_waits_for_what_was_asked_for_and_no_chunk_longer(kind: str, reference: bool) -> None:
    make, chunks = WAITING[kind]
    out = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        for number in range(5):
            assert (out > 0) is (number >= chunks), f"after {number} chunks"
            await send({**BODY, "body": b"x", "more_body": True})
        await send({**BODY})

    async def send(message: Any) -> None:
        nonlocal out
        out += 1

    async def receive() -> Any:
        return await asyncio.Event().wait()

    asyncio.run(drivers.build_asgi(make(), app, reference=reference)(scope(), receive, send))


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("kind", ORDERLY)
def test_other_messages_keep_their_place_among_head_body_and_trailers(kind: str, reference: bool) -> None:
    def other(name: str) -> dict[str, Any]:
        return {"type": name}

    messages = [
        other("http.response.early_hint"),
        other("http.response.debug"),
        other("http.response.push"),
        {**START, "trailers": True},
        other("x.after-head"),
        {**BODY, "body": b"a", "more_body": True},
        other("x.after-a"),
        {**BODY, "body": b"bcd", "more_body": True},
        other("http.response.push"),
        {**BODY, "body": b"e"},
        {"type": "http.response.trailers", "headers": []},
    ]
    got: list[Any] = []
    for message in converse(ORDERLY[kind](), messages, reference=reference):
        name = message["type"].removeprefix("http.response.")
        if name != "body":
            got.append(name)
        elif got and isinstance(got[-1], bytes):
            got[-1] += message["body"]
        else:
            got.append(message["body"])
    a, bcd, e = (b"A", b"BCD", b"E!") if "transform" in kind else (b"a", b"bcd", b"e")
    expected = ["early_hint", "debug", "push", "start", "x.after-head", a, "x.after-a", bcd, "push", e, "trailers"]
    if kind == "peek-then-transform":  # what was held is transformed afterwards: no place in it can be told
        expected[5:9] = ["x.after-a", b"ABCD", "push"]
    assert got == expected


@pytest.mark.parametrize("reference", [True, False])
def test_trailers_pass_and_the_end_waits_for_them(reference: bool) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"].rpartition(".")[2])

    async def nothing() -> Any: ...

    chain = [logged("a", [], on_finish=lambda request, outcome: sent.append(outcome.kind))]
    serve = drivers.build_asgi(chain, asgi_app(Record(), App(shape="trailers")), reference=reference)
    asyncio.run(serve(scope(), nothing, send))
    assert sent == ["start", "body", "body", "trailers", "completed"]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("end", [{}, {"on_finish": lambda request, outcome: None}], ids=["heads", "end"])
def test_a_head_without_fields_still_announces_its_trailers(end: dict[str, Any], reference: bool) -> None:
    bare = {"type": "http.response.start", "status": 200, "trailers": True}
    messages = [bare, BODY, {"type": "http.response.trailers", "headers": []}]
    named = logged("a", [], on_response=lambda request, response: response.headers.append("x-a", "1"), **end)
    assert converse([named], messages, reference=reference)[0] == {**bare, "headers": [(b"x-a", b"1")]}


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("hook", ["on_body", "on_response", "on_finish"])
def test_trailers_are_announced_to_the_server_and_pass_a_chain(hook: str, reference: bool) -> None:
    def shout(*args: Any) -> Upper:
        return Upper()

    def look(request: Request, response: Response) -> Any:
        yield from peek(1)

    hooks = {"on_body": shout, "on_response": look, "on_finish": None}
    start = {**START, "trailers": True}
    trailers = {"type": "http.response.trailers", "headers": [(b"x-t", b"1")]}
    got = converse([logged("a", [], **{hook: hooks[hook]})], [start, BODY, trailers], reference=reference)
    assert [message["type"] for message in got] == [message["type"] for message in (start, BODY, trailers)]
    assert got[0]["trailers"] is True
    assert got[2] == trailers


@pytest.mark.parametrize("reference", [True, False])
def test_the_server_s_own_file_wrapper_passes_a_chain_untouched(reference: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    outcomes: list[Outcome] = []
    peeked: list[Any] = []
    closed: list[bool] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "7")])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    def check(request: Request, response: Response) -> Any:
        peeked.append((yield from peek(1)))

    for extra in ({}, {"on_response": check}, {"on_body": lambda request, response: pytest.fail("asked for a file")}):
        chain = [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome), **extra)]
        body = drivers.build_wsgi(chain, app, reference=reference)(
            {"wsgi.file_wrapper": FileWrapper, "REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
        )
        assert type(body) is FileWrapper
        file = body.filelike
        assert b"".join(body) == b"content"
        body.close()
        closed.append(file.closed)
    assert closed == [True] * 3
    assert [(outcome.kind, outcome.bytes_sent) for outcome in outcomes] == [("completed", 7)] * 3
    assert peeked == [None]


@pytest.mark.parametrize("reference", [True, False])
def test_pathsend_passes_chains_that_touch_heads_and_is_hidden_from_those_that_transform(reference: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append("http.response.pathsend" in scope["extensions"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
        await send({"type": "http.response.pathsend", "path": "/f"})

    offered: list[bool] = []
    outcomes: list[Any] = []
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def nothing() -> Any: ...

    def finish(request: Request, outcome: Outcome) -> None:
        outcomes.append((outcome.kind, outcome.bytes_sent))

    for extra in ({"on_response": None}, {"on_body": None}):
        own = {"http.response.pathsend": {}}
        serve = drivers.build_asgi([logged("a", [], on_finish=finish, **extra)], app, reference=reference)
        asyncio.run(serve(scope(extensions=own), nothing, send))
        assert own == {"http.response.pathsend": {}}
    assert offered == [True, False]
    assert outcomes == [("completed", 7)] * 2


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("kind", ["pathsend", "zerocopysend"])
def test_a_peek_at_a_file_that_an_asgi_server_sends_is_none(kind: str, reference: bool) -> None:
    seen: list[Any] = []

    def look(request: Request, response: Response) -> Any:
        seen.append((yield from peek(1)))

    messages = [START, {"type": f"http.response.{kind}", "path": "/f"}]
    got = converse([logged("a", [], on_response=look)], messages, reference=reference)
    assert got == messages
    assert seen == [None]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("transforms", [True, False])
def test_no_file_extension_is_offered_to_who_stands_inside_a_transform(reference: bool, transforms: bool) -> None:
    names = ("http.response.pathsend", "http.response.zerocopysend", "http.response.trailers")
    offered: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append(tuple(scope["extensions"]))
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any: ...

    chain = [logged("a", [], **({"on_body": None} if transforms else {"on_response": None}))]
    serve = drivers.build_asgi(chain, app, reference=reference)
    asyncio.run(serve(scope(extensions=dict.fromkeys(names)), channel, channel))
    assert offered == [names[2:] if transforms else names]


def test_a_middleware_s_file_is_sent_as_the_server_can(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    def answer(body: FileBody) -> list[Middleware]:
        return [logged("a", [], on_request=lambda request: Response(200, body=body))]

    whole, part = FileBody(str(path)), FileBody(str(path), 2, 3)
    for reference in (True, False):
        environ = {"wsgi.file_wrapper": FileWrapper, "REQUEST_METHOD": "GET"}
        sent = drivers.build_wsgi(answer(whole), wsgi_app(Record(), App()), reference=reference)(
            dict(environ), lambda *args: lambda data: None
        )
        assert isinstance(sent, FileWrapper)
        assert b"".join(sent) == b"0123456789"
        sent.close()
        assert run_side("wsgi", reference, answer(part), App()).body == b"234"
        assert run_side("asgi", reference, answer(whole), App()).body == b"0123456789"
        assert run_side("asgi", reference, answer(part), App()).body == b"234"

    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def nothing() -> Any: ...

    serve = drivers.build_asgi(answer(whole), asgi_app(Record(), App()))
    asyncio.run(serve(scope(extensions={"http.response.pathsend": {}}), nothing, send))
    assert messages[-1] == {"type": "http.response.pathsend", "path": str(path)}


def test_a_middleware_s_file_is_counted_where_the_server_sends_it(side: Side, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    outcomes: list[Any] = []
    sent: list[str] = []

    def end(request: Request, outcome: Outcome) -> None:
        outcomes.append((outcome.kind, outcome.status, outcome.bytes_sent))

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def nothing() -> Any: ...

    chain = [logged("a", [], on_request=lambda request: Response(200, body=FileBody(str(path))), on_finish=end)]
    if side.interface == "wsgi":
        serve = drivers.build_wsgi(chain, wsgi_app(Record(), App()), reference=side.reference)
        environ = {"wsgi.file_wrapper": FileWrapper, "REQUEST_METHOD": "GET"}
        body: Any = serve(environ, lambda *args: lambda data: None)
        assert type(body) is FileWrapper
        body.close()
    else:
        pathsend = scope(extensions={"http.response.pathsend": {}})
        serving = drivers.build_asgi(chain, asgi_app(Record(), App()), reference=side.reference)
        asyncio.run(serving(pathsend, nothing, send))
        assert sent == ["http.response.start", "http.response.pathsend"]
    assert outcomes == [("completed", 200, 10)]


@pytest.mark.parametrize("reference", [True, False])
def test_a_middleware_s_file_is_the_server_s_to_send_though_others_transform(reference: bool, tmp_path: Path) -> None:
    """The extension is hidden from the application alone."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"] == {}
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any:
        got.append(message["type"].rpartition(".")[2])

    replaces = logged("a", [], on_response=lambda request, response: Response(200, body=FileBody(str(path))))
    serve = drivers.build_asgi([replaces, logged("z", [], on_body=None)], app, reference=reference)
    asyncio.run(serve(scope(extensions={"http.response.pathsend": {}}), channel, channel))
    assert got == ["start", "pathsend"]


@pytest.mark.parametrize("reference", [True, False], ids=["reference", "specialised"])
@pytest.mark.parametrize(
    ("body", "offset", "count"), [((0, None), 0, 10), ((2, 3), 2, 3), ((7, None), 7, 3), ((7, 9), 7, 3)]
)
def test_a_part_of_a_file_is_sent_from_its_descriptor_where_the_server_can(
    reference: bool, body: tuple[int, int | None], offset: int, count: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    sent: list[tuple[str, int, int, bytes]] = []
    files: list[Any] = []
    outcomes: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] != "http.response.start":
            descriptor = message["file"].fileno()
            part = os.pread(descriptor, message["count"], message["offset"])
            files.append(message["file"])
            sent.append((message["type"], message["offset"], message["count"], part))

    async def nothing() -> Any: ...

    chain = [
        logged(
            "a",
            [],
            on_request=lambda request: Response(200, body=FileBody(str(path), *body)),
            on_finish=lambda request, outcome: outcomes.append((outcome.kind, outcome.bytes_sent)),
        )
    ]
    serve = drivers.build_asgi(chain, asgi_app(Record(), App()), reference=reference)
    asyncio.run(serve(scope(extensions={"http.response.zerocopysend": {}}), nothing, send))
    assert sent == [("http.response.zerocopysend", offset, count, b"0123456789"[offset : offset + count])]
    assert files[0].closed
    assert outcomes == [("completed", count)]


def test_io_runs_in_either_form_and_either_colour(side: Side) -> None:
    async def word_async(word: str) -> str:
        await asyncio.sleep(0)
        return f"async {word}"

    def word_plain(word: str) -> str:
        return f"plain {word}"

    log: list[str] = []

    class Uses(Middleware):
        def on_request(self, request: Request) -> Any:
            log.append((yield from io(word_plain, word_async, "request")))

        def on_response(self, request: Request, response: Response) -> Any:
            log.append((yield from io(word_plain, word_async, "response")))

        def on_finish(self, request: Request, outcome: Outcome) -> Any:
            log.append((yield from io(word_plain, word_async, "finish")))

    @as_middleware
    def flow(request: Request) -> Any:
        log.append((yield from io(word_plain, word_async, "before")))
        yield
        log.append((yield from io(word_plain, word_async, "after")))
        yield from finished()
        log.append((yield from io(word_plain, word_async, "end")))

    side.run([Uses(), flow()])
    colour = "plain" if side.interface == "wsgi" else "async"
    assert log == [f"{colour} {word}" for word in ("request", "before", "after", "response", "end", "finish")]


def test_what_io_raises_is_raised_at_the_yield(side: Side) -> None:
    async def fail_async() -> None:
        raise OSError("store is down")

    def fail() -> None:
        raise OSError("store is down")

    class Open(Middleware):
        def on_request(self, request: Request) -> Any:
            try:
                yield from io(fail, fail_async)
            except OSError as error:
                return Response(503, body=str(error))

    assert side.run([Open()]).body == b"store is down"


def test_io_whose_functions_are_exchanged_is_refused_and_shown(side: Side) -> None:
    async def later() -> int:
        return 1

    def now() -> int:
        return 1

    class Exchanged(Middleware):
        def on_request(self, request: Request) -> Any:
            yield from io(later, now)  # type: ignore[arg-type]  # wrong on purpose

    record = side.run([Exchanged()])
    assert record.raised is not None
    which = "a plain function first" if side.interface == "wsgi" else "a coroutine function second"
    assert f"io(sync, coroutine, ...) takes {which}" in record.raised


def test_the_generator_form_can_answer_replace_and_transform(side: Side) -> None:
    @as_middleware
    def answers(request: Request) -> Any:
        yield from reply(Response(418, body="teapot"))

    @as_middleware
    def replaces(request: Request) -> Any:
        yield
        yield from reply(Response(299, body="instead"))

    @as_middleware
    def shouts(request: Request) -> Any:
        yield
        yield from transform(Upper())

    assert side.run([answers()]).body == b"teapot"
    assert side.run([replaces()]).body == b"instead"
    assert side.run([shouts()]).body == b"HELLO!"


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("shape", ["list", "eager", "lazy"])
@pytest.mark.parametrize(
    ("hooks", "taken"),
    [({"on_response": None}, 0), ({"on_error": None}, 1), ({"on_body": lambda *args: Upper()}, 1)],
    ids=["touches-heads", "answers-errors", "transforms"],
)
def test_a_wsgi_head_is_told_when_the_call_returns_and_no_more_is_taken_than_it_needs(
    reference: bool, shape: str, hooks: dict[str, Any], taken: int
) -> None:
    record = Record()
    made: list[bytes] = []

    def app(environ: Any, start_response: Any) -> Any:
        def body() -> Iterator[bytes]:
            if shape == "lazy":
                start_response("200 OK", [])
            for chunk in (b"a", b"b", b"c"):
                made.append(chunk)
                yield chunk

        if shape != "lazy":
            start_response("200 OK", [])
        return [b"a", b"b", b"c"] if shape == "list" else body()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        record.starts += 1

    chain = [logged("m", [], **hooks)]
    body: Any = drivers.build_wsgi(chain, app, reference=reference)({"REQUEST_METHOD": "GET"}, start_response)
    assert record.starts == 1
    assert len(made) <= (1 if shape == "lazy" else taken)
    assert b"".join(body).lower().startswith(b"abc")
    getattr(body, "close", lambda: None)()
    assert record.starts == 1


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("shape", ["list", "eager"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_second_head_that_the_application_gives_up_changes_nothing(reference: bool, shape: str, waits: bool) -> None:
    hooks = {"on_response": None, "on_finish": None} if waits else {"on_response": None}
    log: list[Any] = []
    starts: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        with contextlib.suppress(ApplicationError):
            start_response("500 Sorry", [])
        return [b"abc"] if shape == "list" else iter([b"abc"])

    serve: Any = drivers.build_wsgi([logged("m", log, **hooks)], app, reference=reference)
    body = serve({"REQUEST_METHOD": "GET"}, lambda status, *args: starts.append(status))
    assert b"".join(body) == b"abc"
    getattr(body, "close", lambda: None)()
    assert starts == ["200 OK"]
    assert log == [("m", name) for name in hooks]


@pytest.mark.parametrize("hooks", [{}, {"on_finish": None}, {"on_error": None}], ids=["heads", "waits", "defers"])
def test_a_failed_response_phase_that_the_application_swallows_is_not_run_again(
    side: Side, hooks: dict[str, Any]
) -> None:
    log: list[Any] = []

    def fail(request: Request, response: Response) -> None:
        raise Boom("head")

    record = side.run([logged("m", log, on_response=fail), logged("z", [], **hooks)], App(swallows=True))
    assert log == [("m", "on_response")]
    assert record.raised == "Boom('head')"
    assert (record.starts, record.body) == (0, b"")


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("waits", [False, True])
def test_a_head_after_a_restart_that_failed_is_a_restart_too(reference: bool, waits: bool) -> None:
    starts: list[Any] = []
    closed: list[bool] = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"of the head that failed"])

        def close(self) -> None:
            closed.append(True)

    def fail(request: Request, response: Response) -> None:
        if response.status == 299:
            raise Boom("head")

    def other(request: Request, response: Response) -> Response | None:
        return Response(299, body=Parts()) if response.status == 500 else None

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError as error:
            exc_info = type(error), error, error.__traceback__
            with contextlib.suppress(Boom):
                start_response("500 Sorry", [], exc_info)
            start_response("503 Later", [], exc_info)
        return []

    chain = [
        logged("m", [], on_response=fail, **({"on_finish": None} if waits else {})),
        logged("z", [], on_response=other),
    ]
    body: Any = drivers.build_wsgi(chain, app, reference=reference)(
        {"REQUEST_METHOD": "GET"}, lambda line, headers, exc_info=None: starts.append((line, exc_info is not None))
    )
    with pytest.raises(Boom):
        list(body)
    body.close()
    assert starts == [("200 OK", False), ("503 Later", True)]
    assert closed == [True]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("waits", [False, True])
def test_a_second_head_is_an_error_though_the_first_was_replaced(reference: bool, waits: bool) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        with pytest.raises(ApplicationError, match="called twice"):
            start_response("500 Sorry", [])
        return [b"old"]

    replaces = {"on_response": lambda request, response: Response(299, body=b"new")}
    chain = [logged("m", [], **replaces, **({"on_finish": None} if waits else {}))]
    body: Any = drivers.build_wsgi(chain, app, reference=reference)({"REQUEST_METHOD": "GET"}, lambda *args: None)
    assert b"".join(body) == b"new"
    body.close()


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_in_the_place_of_a_restart_is_a_restart_too(reference: bool, waits: bool) -> None:
    starts: list[Any] = []

    def other(request: Request, response: Response) -> Response | None:
        return Response(503, body=b"later") if response.status == 500 else None

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError as error:
            start_response("500 Sorry", [], (type(error), error, error.__traceback__))
        return [b"sorry"]

    chain = [logged("m", [], on_response=other, **({"on_finish": None} if waits else {}))]
    body: Any = drivers.build_wsgi(chain, app, reference=reference)(
        {"REQUEST_METHOD": "GET"}, lambda line, headers, exc_info=None: starts.append((line[:3], exc_info is not None))
    )
    assert b"".join(body) == b"later"
    body.close()
    assert starts == [("200", False), ("503", True)]


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("waits", [False, True])
def test_what_is_written_after_a_second_head_was_given_up_is_sent(reference: bool, waits: bool) -> None:
    written: list[bytes] = []
    ends: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        with contextlib.suppress(ApplicationError):
            start_response("500 Sorry", [])
        write(b"abc")
        return [b"de"]

    waiting = {"on_finish": lambda request, outcome: ends.append((outcome.kind, outcome.bytes_sent))} if waits else {}
    chain = [logged("m", [], on_response=None, **waiting)]
    body: Any = drivers.build_wsgi(chain, app, reference=reference)(
        {"REQUEST_METHOD": "GET"}, lambda *args: written.append
    )
    assert (b"".join(written), b"".join(body)) == (b"abc", b"de")
    getattr(body, "close", lambda: None)()
    assert ends == [("completed", 5)] * waits


@pytest.mark.parametrize("reference", [True, False])
def test_a_wsgi_body_that_fails_before_the_head_is_closed_when_the_call_raises(reference: bool) -> None:
    log: list[Any] = []

    class Fails:
        def __iter__(self) -> Any:
            raise Boom("first")

        def close(self) -> None:
            log.append("closed")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Fails()

    chain = [logged("m", log, on_error=None, on_finish=None)]
    with pytest.raises(Boom, match="first"):
        drivers.build_wsgi(chain, app, reference=reference)({"REQUEST_METHOD": "GET"}, lambda *args: None)
    assert log == [("m", "on_error"), "closed", ("m", "on_finish")]


def test_a_file_that_a_middleware_answers_with_is_not_transformed(side: Side, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"as it is")
    log: list[Any] = []
    transforms = logged("t", log, on_response=None, on_body=lambda *args: Upper())
    answers = logged("f", [], on_request=lambda request: Response(200, body=FileBody(str(path))))
    assert side.run([transforms, answers]).body == b"as it is"
    assert log == [("t", "on_response")], "a file is not asked about"


def test_a_replacement_that_is_transformed_has_its_length_though_the_first_body_was_peeked_at(side: Side) -> None:
    class Peeks(Middleware):
        def on_response(self, request: Request, response: Response) -> Any:
            yield from peek(2)

    replaces = logged("r", [], on_response=lambda *args: Response(299, body="instead"))
    record = side.run([Shout(), replaces, Peeks()])
    assert record.body == b"INSTEAD!"
    assert dict(record.headers)["content-length"] == "8"


def test_a_generator_that_yields_twice_is_refused(side: Side) -> None:
    log: list[Any] = []

    @as_middleware
    def twice(request: Request) -> Any:
        yield
        try:
            yield
        except ConfigurationError:
            log.append("told")
            raise

    record = side.run([logged("a", log, on_error=None), twice(), logged("z", log, on_response=None)])
    assert "the bare `yield` runs the rest of the chain: once" in str(record.raised)
    assert log == [("z", "on_response"), "told", ("a", "on_error")]


def waits_in_finally(log: list[Any]) -> Middleware:
    @as_middleware
    def waits(request: Request) -> Any:
        try:
            yield
        finally:
            outcome = yield from finished()
            log.append((outcome.kind, outcome.status, type(outcome.error).__name__))

    return waits()


ENDS = [
    ("well", App(), ("completed", 200, "NoneType"), None),
    ("before-the-head", App(fails="before"), ("failed", None, "Boom"), "Boom('before')"),
    (
        "after-the-head",
        App(shape="eager", fails="chunk1", chunks=(b"a", b"b")),
        ("failed", 200, "Boom"),
        "Boom('chunk1')",
    ),
]


@pytest.mark.parametrize(("app", "end", "raised"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_a_generator_that_waits_in_finally_sees_every_end_and_hides_no_error(
    side: Side, app: App, end: Any, raised: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if side.interface == "asgi":
        app = replace(app, shape="chunks")
    log: list[Any] = []
    record = side.run([waits_in_finally(log)], app)
    assert (log, record.raised) == ([end], raised)
    assert not caplog.records, "the application's error is no error of on_finish"


def test_a_generator_that_catches_and_gives_no_answer_hides_no_error(side: Side) -> None:
    log: list[Any] = []

    @as_middleware
    def catches(request: Request) -> Any:
        try:
            yield
        except Boom:
            outcome = yield from finished()
            log.append((outcome.kind, repr(outcome.error)))

    record = side.run([catches()], App(fails="before"))
    assert (log, record.raised) == ([("failed", "Boom('before')")], "Boom('before')")


def test_io_takes_two_functions_on_either_side(side: Side) -> None:
    @as_middleware
    def calls(request: Request) -> Any:
        coroutine = fail_in_io_async()
        try:
            yield from io(list, coroutine)  # type: ignore[arg-type]  # what an untyped author writes
        finally:
            coroutine.close()
        yield

    record = side.run([calls()])
    assert "takes two functions, and what they are called with after them, got <coroutine object" in record.raised
    assert record.events == []


@pytest.mark.parametrize("answers", [False, True])
def test_an_error_of_a_generator_after_the_end_is_logged(
    side: Side, answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @as_middleware
    def fails(request: Request) -> Any:
        try:
            yield
        except Boom:
            if answers:
                yield from reply(Response(500, body="sorry"))
            yield from finished()
            if answers:
                raise  # the answer was its end
            raise Boom("late") from None

    record = side.run([fails()], App(fails="before"))
    assert (record.raised, record.body) == ((None, b"sorry") if answers else ("Boom('before')", b""))
    assert [str(entry.exc_info[1]) for entry in caplog.records if entry.exc_info] == ["before" if answers else "late"]


def fail_in_io() -> None:
    raise Boom("io")


async def fail_in_io_async() -> None:
    raise Boom("io")


@pytest.mark.parametrize("at", ["request", "response"])
@pytest.mark.parametrize("how", ["raises", "io"])
def test_an_error_of_a_generator_that_waits_in_finally_goes_on_at_once(
    side: Side, at: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []

    @as_middleware
    def fails(request: Request) -> Any:
        try:
            for phase in ("request", "response"):
                if phase == at and how == "raises":
                    raise Boom("own")
                if phase == at:
                    yield from io(fail_in_io, fail_in_io_async)
                if phase == "request":
                    yield
        finally:
            log.append((yield from finished()).kind)

    record = side.run([fails()])
    assert record.raised == ("Boom('own')" if how == "raises" else "Boom('io')")
    assert (log, record.body, record.events == []) == (["failed"], b"", at == "request")
    assert not caplog.records, "it is no error of on_finish"


def test_a_refusal_of_a_generator_that_waits_in_finally_stands_before_the_application(side: Side) -> None:
    log: list[Any] = []

    @as_middleware
    def guards(request: Request) -> Any:
        try:
            raise Refuse(403)
            yield
        finally:
            log.append((yield from finished()).status)

    record = side.run([guards()])
    assert (str(record.status)[:3], log, record.events) == ("403", [403], [])


def test_an_error_of_a_generator_that_it_has_answered_goes_nowhere(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []

    @as_middleware
    def answers(request: Request) -> Any:
        try:
            yield from io(fail_in_io, fail_in_io_async)
        except Boom:
            yield from reply(Response(503, body="later"))
            log.append((yield from finished()).status)

    record = side.run([answers()])
    assert (record.body, record.raised, record.events, log) == (b"later", None, [], [503])
    assert not caplog.records


def test_what_fails_after_the_end_of_a_generator_is_logged(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    @as_middleware
    def fails(request: Request) -> Any:
        yield
        yield from finished()
        yield from io(fail_in_io, fail_in_io_async)

    record = side.run([fails()], App())
    assert record.raised is None
    assert [str(entry.exc_info[1]) for entry in caplog.records if entry.exc_info] == ["io"]


def ask_nothing() -> Any:
    yield


AFTER_THE_END: dict[str, Any] = {
    "yield": ask_nothing,
    "reply": lambda: reply(Response(201)),
    "transform": lambda: transform(cast("Any", None)),
    "peek": peek,
    "finished": finished,
}


@pytest.mark.parametrize("asks", AFTER_THE_END)
def test_after_its_end_a_generator_can_do_io_only(side: Side, asks: str, caplog: pytest.LogCaptureFixture) -> None:
    @as_middleware
    def late(request: Request) -> Any:
        yield
        yield from finished()
        yield from AFTER_THE_END[asks]()

    record = side.run([late()], App())
    assert (str(record.status)[:3], record.raised) == ("200", None)
    (error,) = (entry.exc_info[1] for entry in caplog.records if entry.exc_info)
    assert isinstance(error, ConfigurationError)
    assert "after finished() only io() is left" in str(error)


def test_a_generator_in_a_peek_that_waits_in_finally_hides_no_error(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []

    @as_middleware
    def peeks(request: Request) -> Any:
        yield
        try:
            yield from peek(100)
        finally:
            log.append((yield from finished()).kind)

    shape = "eager" if side.interface == "wsgi" else "chunks"
    record = side.run([peeks()], App(shape=shape, fails="chunk1", chunks=(b"a", b"b")))
    assert (log, record.raised, record.body) == (["failed"], "Boom('chunk1')", b"")
    assert not caplog.records


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("form", ["waits", "io"])
def test_a_generator_that_is_cancelled_runs_its_finally_to_the_end(
    reference: bool, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []

    async def write() -> None:
        await asyncio.sleep(0)
        log.append("written")

    @as_middleware
    def writes(request: Request) -> Any:
        try:
            yield
        finally:
            yield from io(lambda: None, write)

    async def main() -> None:
        entered = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            entered.set()
            await asyncio.Event().wait()

        async def nothing(*args: Any) -> Any: ...

        middleware = waits_in_finally(log) if form == "waits" else writes()
        task = asyncio.ensure_future(
            drivers.build_asgi([middleware], app, reference=reference)(scope(), nothing, nothing)
        )
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log == ([("aborted", None, "CancelledError")] if form == "waits" else ["written"])
    assert not caplog.records


def test_constants_are_appended_from_the_innermost_outwards(side: Side) -> None:
    def constant(value: str, **hooks: Any) -> Middleware:
        return type("C", (Middleware,), {"constant_headers": (Header("X-C", value),), **hooks})()

    def values(chain: list[Middleware]) -> list[str]:
        return [value for name, value in side.run(chain).headers if name == "x-c"]

    assert values([constant("1"), constant("2")]) == ["2", "1"]
    assert values([constant("1"), constant("2"), logged("a", [], on_request=None)]) == ["2", "1"]

    def again(self: Any, request: Request, response: Response) -> None:
        response.headers.append("x-c", "hook")

    assert values([constant("1"), constant("2", on_response=again), constant("3")]) == ["3", "2", "hook", "1"]


def test_nothing_defined_is_the_application_itself() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    def wsgi(environ: Any, start_response: Any) -> Any: ...

    assert drivers.build_asgi([], app) is app
    assert drivers.build_asgi([logged("a", [])], app, reference=False) is app
    assert drivers.build_wsgi([], wsgi) is wsgi
    assert drivers.build_wsgi([logged("a", [])], wsgi, reference=False) is wsgi


TIERS = {
    "head": {"on_response": None},
    "request+head": {"on_request": None, "on_response": None},
    "finish": {"on_request": None, "on_response": None, "on_finish": None},
    "body": {"on_body": None},
}


@pytest.mark.parametrize("tier", TIERS)
def test_what_a_chain_does_not_ask_for_stands_not_in_the_way(tier: str) -> None:
    chain = [logged("a", [], **TIERS[tier])]
    seen: list[Any] = []
    given = [b"body"]

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return given

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope is own, receive is channel))
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any: ...

    body: Any = drivers.build_wsgi(chain, wsgi, reference=False)(
        {"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
    )
    assert (body is given) is (tier != "finish"), "only who waits for the end wraps a body that nobody transforms"
    own = scope()
    asyncio.run(drivers.build_asgi(chain, asgi, reference=False)(own, channel, channel))
    assert seen == [(True, tier != "finish")]


def test_the_naive_driver_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.drivers.reference import ReferenceAsgi, ReferenceWsgi

    def wsgi(environ: Any, start_response: Any) -> Any: ...

    async def asgi(scope: Any, receive: Any, send: Any) -> None: ...

    monkeypatch.setenv("GATEWAY_REFERENCE", "1")
    assert isinstance(drivers.build_wsgi([logged("a", [], **ALL)], wsgi), ReferenceWsgi)
    assert isinstance(drivers.build_asgi([logged("a", [], **ALL)], asgi), ReferenceAsgi)
    monkeypatch.setenv("GATEWAY_REFERENCE", "0")
    assert not isinstance(drivers.build_asgi([logged("a", [], **ALL)], asgi), ReferenceAsgi)
    assert not isinstance(drivers.build_wsgi([logged("a", [], **ALL)], wsgi), ReferenceWsgi)


def test_a_wrong_return_value_is_an_error_that_says_so(side: Side) -> None:
    record = side.run([logged("a", [], on_request="text")])
    assert record.raised is not None
    assert "on_request must return a Response or None" in record.raised


def test_build_must_return_hooks() -> None:
    class Wrong(Middleware):
        def build(self, context: Any) -> Any:
            return 3

    with pytest.raises(ConfigurationError, match="must return Hooks"):
        drivers.build_wsgi([Wrong()], lambda environ, start_response: [])


def test_an_application_that_ends_early_has_failed() -> None:
    outcomes: list[Outcome] = []
    chain = [logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))]
    for reference in (True, False):
        run_side("asgi", reference, chain, App(shape="chunks", fails="unfinished"))
    assert [outcome.kind for outcome in outcomes] == ["failed"] * 2
    assert all(isinstance(outcome.error, ApplicationError) for outcome in outcomes)


def test_the_hooks_of_build_are_the_ones_that_run(side: Side) -> None:
    log: list[Any] = []

    class Inner(Hooks):
        def on_response(self, request: Request, response: Response) -> None:
            log.append("built")

    class Outer(Middleware):
        def build(self, context: Any) -> Hooks:
            assert context.interface == side.interface
            return Inner()

    side.run([Outer()])
    assert log == ["built"]


def test_an_input_under_a_transform_reads_as_pep_3333_says() -> None:
    import io as streams

    from gateway._requests import WsgiRequest
    from gateway.drivers._request_body import InputStream, RequestBody

    text = b"one\ntwo\n\nlast"

    def stream(length: int | None = len(text), source: bytes = text + b"NEXT") -> InputStream:
        return InputStream(streams.BytesIO(source), RequestBody([], WsgiRequest({})), length)

    assert stream().read() == text
    assert stream().read(None) == text
    assert stream(None, text).read(-1) == text
    assert [stream().read(0), stream().read(3), stream().read(1000)] == [b"", b"one", text]
    lines = [b"one\n", b"two\n", b"\n", b"last"]
    assert list(stream()) == lines
    assert stream().readlines() == lines
    assert list(stream(None, text)) == lines
    assert stream().readlines(5) == lines[:2]
    assert stream().readlines(None) == lines
    limited = stream()
    assert [limited.readline(2), limited.readline(5), limited.readline(0), limited.readline()] == [
        b"on",
        b"e\n",
        b"",
        b"two\n",
    ]
    assert stream(0, b"").readline() == b""


def test_an_input_without_a_body_stays_as_it_is() -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ["wsgi.input"])
        start_response("200 OK", [])
        return []

    source = object()
    for reference in (True, False):
        serve = drivers.build_wsgi([Trimmed()], app, reference=reference)
        for more in ({}, {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": ""}):
            list(serve({"wsgi.input": source, "REQUEST_METHOD": "GET", **more}, lambda *args: lambda data: None))
    assert seen == [source] * 6


def test_a_chunked_body_is_wrapped_on_wsgi_too() -> None:
    import io as streams

    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    for reference in (True, False):
        environ = {
            "wsgi.input": streams.BytesIO(b"abc"),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        }
        serve = drivers.build_wsgi([BodyLimit()], app, reference=reference)
        list(serve(environ, lambda *args: lambda data: None))
        assert type(environ["wsgi.input"]) is not streams.BytesIO
    assert seen == [b"abc", b"abc"]


@pytest.mark.parametrize("reference", [True, False])
def test_a_server_sees_how_long_a_list_is(reference: bool) -> None:
    chain = [logged("a", [], on_finish=None)]
    body: Any = drivers.build_wsgi(chain, wsgi_app(Record(), App(chunks=(b"a",))), reference=reference)(
        {"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
    )
    if not reference:
        assert len(body) == 1
    assert list(body) == [b"a"]
    body.close()
    body.close()


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("shape", ["list", "eager", "lazy"])
@pytest.mark.parametrize("hook", ["on_finish", "on_error", "on_request_body"])
def test_a_body_that_is_iterated_twice_goes_on_where_it_was(hook: str, shape: str, reference: bool) -> None:
    app = wsgi_app(Record(), App(shape=shape, chunks=(b"a", b"b", b"c")))
    body: Any = drivers.build_wsgi([logged("m", [], **{hook: None})], app, reference=reference)(
        {"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None
    )
    if isinstance(body, list):  # the application's own
        return
    assert next(iter(body)) == b"a"
    assert b"".join(body) == b"bc"
    body.close()


@pytest.mark.parametrize("reference", [True, False])
def test_a_file_object_and_an_iterable_are_bodies_and_are_closed(reference: bool) -> None:
    import io as streams

    class Parts:
        closed = 0

        def __iter__(self) -> Any:
            return iter([b"one", b"two"])

        def close(self) -> None:
            Parts.closed += 1

    for interface in ("wsgi", "asgi"):
        file = streams.BytesIO(b"content")
        record = run_side(interface, reference, [logged("a", [], on_request=Response(200, body=file))], App())
        assert record.body == b"content"
        assert file.closed
        record = run_side(interface, reference, [logged("a", [], on_request=Response(200, body=Parts()))], App())
        assert record.body == b"onetwo"
    assert Parts.closed == 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("kind", ["iterable", "file", "file-on-disk"])
@pytest.mark.parametrize("place", ["on_request", "on_response"])
def test_a_middleware_s_stream_stops_when_the_client_goes_away(
    place: str, kind: str, reference: bool, backend: str, tmp_path: Path
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
            await drivers.build_asgi(chain, app, reference=reference)(scope(), receive, send)

    anyio.run(main, backend=backend)
    assert sent < whole / 2
    assert [(end.kind, end.disconnected, end.bytes_sent) for end in ends] == [("aborted", True, sent)]
    assert closed == ([True] if kind == "iterable" else [])


def test_io_after_a_cancellation_is_limited_in_time(caplog: pytest.LogCaptureFixture) -> None:
    from gateway.drivers._colour import run_shielded

    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await run_shielded(io(lambda: None, hang), seconds=0.01)

    asyncio.run(main())
    assert "was cut" in caplog.text


def test_io_after_a_cancellation_is_limited_in_time_under_trio(caplog: pytest.LogCaptureFixture) -> None:
    trio = pytest.importorskip("trio")
    from gateway.drivers._colour import run_shielded

    async def main() -> None:
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await run_shielded(io(lambda: None, trio.sleep_forever), seconds=0.01)
            with pytest.raises(trio.Cancelled):
                await trio.lowlevel.checkpoint()

    trio.run(main)
    assert "was cut" in caplog.text


def test_io_after_a_cancellation_outlives_a_second_one() -> None:
    from gateway.drivers._colour import run_shielded

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


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_request_that_ends_early_after_its_head_leaves_the_generator_of_another_alone(
    interface: str, reference: bool
) -> None:
    log: list[Any] = []
    heads: list[Any] = []

    @as_middleware
    def flow(request: Request) -> Any:
        response = yield
        response.headers.append("x-flow", request.path)

    def end(request: Request, outcome: Outcome) -> None:
        log.append((request.path, outcome.kind))

    chain = [flow(), logged("a", [], on_finish=end)]

    def plain() -> None:
        def app(environ: Any, start_response: Any) -> Any:
            if environ["PATH_INFO"] == "/second":
                assert next(iter(first)) == b"part"
                first.close()
            start_response("200 OK", [])
            return [b"part", b"rest"]

        def start_response(line: str, headers: Any, *rest: Any) -> Any:
            heads.append(headers)
            return lambda data: None

        serve = drivers.build_wsgi(chain, app, reference=reference)
        first: Any = serve({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/first"}, start_response)
        second: Any = serve({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/second"}, start_response)
        list(second)
        second.close()

    async def concurrent() -> None:
        began, failed = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/first":
                await send({**START})
                await began.wait()
                raise Boom
            began.set()
            await failed.wait()
            await send({**START})
            await send({**BODY})

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                heads.append([(name.decode(), value.decode()) for name, value in message["headers"]])

        async def receive() -> Any:
            return await asyncio.Event().wait()

        serve = drivers.build_asgi(chain, app, reference=reference)
        async with asyncio.timeout(20):
            first = asyncio.ensure_future(serve(scope(path="/first"), receive, send))
            second = asyncio.ensure_future(serve(scope(path="/second"), receive, send))
            with pytest.raises(Boom):
                await first
            failed.set()
            await second

    if interface == "wsgi":
        plain()
    else:
        asyncio.run(concurrent())
    assert heads == [[("x-flow", "/first")], [("x-flow", "/second")]]
    assert log == [("/first", "aborted" if interface == "wsgi" else "failed"), ("/second", "completed")]


class Answers(Middleware):
    """It reads the request and answers where it is told to."""

    def on_request(self, request: Request) -> Response | None:
        return Response(200) if request.headers.get("x-answer") else None

    def on_response(self, request: Request, response: Response) -> None:
        request.headers.get("host")


class Late(Middleware):
    """It reads the request when the head is there."""

    def on_response(self, request: Request, response: Response) -> None:
        request.headers.get("host")


@pytest.mark.parametrize(
    ("chain", "answers"),
    [([Late()], False), ([Answers()], False), ([Answers()], True), ([logged("a", [], on_finish=None), Late()], False)],
    ids=["heads", "requests", "answers", "waits"],
)
def test_no_request_of_a_regular_asgi_exchange_is_left_to_the_garbage_collector(
    chain: list[Middleware], answers: bool
) -> None:
    left: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any: ...

    async def main() -> None:
        serve = drivers.build_asgi(chain, app, reference=False)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            headers = [(b"x-answer", b"1")] if answers else []
            await serve(scope(path="/left", headers=headers), channel, channel)
            gc.collect()
            left.extend(each for each in gc.garbage if isinstance(each, Request) and each.path == "/left")
        finally:
            gc.set_debug(0)
            gc.garbage.clear()

    asyncio.run(main())
    assert left == []


def test_an_effect_in_the_wrong_hook_is_refused(side: Side) -> None:
    class Wrong(Middleware):
        def on_request(self, request: Request) -> Any:
            yield from peek(1)

    record = side.run([Wrong()])
    assert record.raised is not None
    assert "peek(...) in on_response" in record.raised


def test_on_body_must_return_a_transform(side: Side) -> None:
    record = side.run([logged("a", [], on_body="text")])
    assert record.raised is not None
    assert "on_body must return a Transform" in record.raised
