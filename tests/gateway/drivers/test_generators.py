"""The generator form, to its end, well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
    Refuse,
    as_middleware,
    finished,
    io,
    peek,
    reply,
    transform,
)
from gateway.errors import ConfigurationError
from gateway.exchange import Request, Response
from tests.gateway.drivers._scenario import App, Boom
from tests.gateway.drivers._side import BODY, START, Side, Upper, fail_in_io_async, logged, scope
from tests.shows import shows


@shows("reply() before the yield short-circuits, after it replaces; transform() and finished()")
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


@shows("A bare yield runs the rest of the chain; its exceptions are raised there")
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


@shows("A bare yield runs the rest of the chain; its exceptions are raised there")
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


@shows("An error in on_finish is logged, stops no other, alters nothing")
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


@shows("What a generator raises goes on at once, also where it waits for finished() in a finally")
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


@shows("What a generator raises goes on at once, also where it waits for finished() in a finally")
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


@shows("After finished() only io() is left, and what fails there is logged")
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


@shows("After finished() only io() is left, and what fails there is logged")
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


@pytest.mark.parametrize("form", ["waits", "io"])
def test_a_generator_that_is_cancelled_runs_its_finally_to_the_end(form: str, caplog: pytest.LogCaptureFixture) -> None:
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
        task = asyncio.ensure_future(drivers.build_asgi([middleware], app)(scope(), nothing, nothing))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log == ([("aborted", None, "CancelledError")] if form == "waits" else ["written"])
    assert not caplog.records


USER: ContextVar[str] = ContextVar("user", default="nobody")


@contextmanager
def acting_as(name: str, request: Request) -> Iterator[None]:
    before = USER.get()
    USER.set(name)
    try:
        yield
    finally:
        if request.interface == "wsgi":
            USER.set(before)


@as_middleware
def as_ada(request: Request) -> Any:
    with acting_as("ada", request):
        yield
        yield from finished()


def test_a_context_variable_lasts_until_the_end_of_a_wsgi_response() -> None:
    seen: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        seen.append(USER.get())
        start_response("200 OK", [])
        yield b"one"
        seen.append(USER.get())
        yield b"two"
        seen.append(USER.get())

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "wsgi.url_scheme": "http"}
    serve = drivers.build_wsgi([as_ada()], app)
    body: Any = serve(environ, lambda *args: lambda data: None)
    assert list(body) == [b"one", b"two"]
    body.close()
    assert seen == ["ada"] * 3
    assert USER.get() == "nobody"


def test_a_context_variable_lasts_into_the_background_tasks_of_an_asgi_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(USER.get())
        await send({**START})
        await send({**BODY, "more_body": True})
        seen.append(USER.get())
        await asyncio.create_task(send({**BODY}))  # as frameworks do, in a task of its own
        seen.append(USER.get())

    async def nothing(*args: Any) -> Any:
        await asyncio.sleep(0)

    serve = drivers.build_asgi([as_ada()], app)
    asyncio.run(serve(scope(), nothing, nothing))
    assert seen == ["ada"] * 3
    assert caplog.records == []
