"""Which hook is called, in which order, and what each is given, in both interfaces."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import (
    BuildContext,
    Hooks,
    Middleware,
    peek,
)
from gateway.errors import ApplicationError, ConfigurationError
from gateway.exchange import Outcome, Request, Response
from gateway.headers import Header
from tests.gateway.drivers._scenario import App, Record, asgi_app, wsgi_app
from tests.gateway.drivers._side import ALL, Side, logged, run_side, scope
from tests.shows import shows


@shows("on_request inwards, all else outwards")
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


@shows("Those outside k get on_response; k and those inside do not")
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


@shows(
    "on_finish runs for each whose on_request was entered, also if it raised; k's own on_error is not offered "
    "k's exception"
)
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


@shows(
    "After the head is committed an error is raised to the server, so the connection is cut and never looks complete"
)
def test_after_the_head_is_committed_an_error_is_raised_and_nothing_looks_complete(side: Side) -> None:
    log: list[Any] = []
    chain = [logged("a", log, on_error=Response(500), on_finish=None)]
    record = side.run(chain, App(shape="chunks", chunks=(b"a", b"b"), fails="chunk1"))
    assert record.raised == "Boom('chunk1')"
    assert ("a", "on_error") not in log
    assert record.body == b"a"
    assert not record.ended


@shows("on_error sees Exception only")
def test_on_error_sees_exceptions_only() -> None:
    log: list[Any] = []

    def exits(environ: Any, start_response: Any) -> Any:
        raise SystemExit(3)

    outcomes: list[Outcome] = []
    chain = [logged("a", log, on_error=Response(500), on_finish=lambda request, outcome: outcomes.append(outcome))]
    with pytest.raises(SystemExit):
        drivers.build_wsgi(chain, exits)({}, lambda *args: lambda data: None)
    assert log == [("a", "on_finish")]
    assert [outcome.kind for outcome in outcomes] == ["aborted"]


@shows("An error in on_finish is logged, stops no other, alters nothing")
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_an_exit_in_on_request_ends_those_that_were_entered(interface: str) -> None:
    log: list[Any] = []

    def leave(request: Request) -> None:
        raise SystemExit(3)

    chain = [
        logged("a", log, on_finish=None),
        logged("b", log, on_request=leave, on_finish=None),
        logged("c", log, on_finish=None),
    ]

    async def main() -> None:
        async def channel(message: Any = None) -> Any: ...

        with pytest.raises(SystemExit):
            await drivers.build_asgi(chain, asgi_app(Record(), App()))(scope(), channel, channel)

    if interface == "asgi":
        asyncio.run(main())
    else:
        with pytest.raises(SystemExit):
            drivers.build_wsgi(chain, wsgi_app(Record(), App()))({"REQUEST_METHOD": "GET"}, lambda *args: print)
    assert log == [("b", "on_request"), ("b", "on_finish"), ("a", "on_finish")]


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


@shows("Tracebacks keep the middleware's name")
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


@shows("An environ is edited in place, and what stands further in sees a write")
def test_writing_to_the_request_is_seen_further_in_and_not_by_the_server(side: Side) -> None:
    def write(request: Request) -> None:
        request.headers.set("x-request", "seen")
        request.state["mine"] = 1

    def read(request: Request) -> None:
        assert request.headers.get("x-request") == "seen"
        assert request.state == {"mine": 1}

    record = side.run([logged("a", [], on_request=write), logged("b", [], on_request=read)])
    assert record.events[0][1] == ("seen" if side.interface == "wsgi" else b"seen")


@shows("request.state is a dict of its own that survives adapters")
def test_state_is_carried_by_the_scope_and_the_environ(side: Side) -> None:
    given = {"from": "outside"}
    seen: list[Any] = []
    chain = [logged("a", [], on_request=lambda request: seen.append(request.state))]

    async def nothing(*args: Any) -> Any: ...

    if side.interface == "asgi":
        serve = drivers.build_asgi(chain, asgi_app(Record(), App()))
        asyncio.run(serve(scope(**{"gateway.state": given}), nothing, nothing))
    else:
        wrapped = drivers.build_wsgi(chain, wsgi_app(Record(), App()))
        wrapped({"gateway.state": given}, lambda *args: lambda data: None)
    assert seen[0] is given


@shows("on_response sees the head ready and not sent: it mutates it or returns another")
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
    run_side("asgi", chain, App(shape="chunks", fails="unfinished"))
    assert [outcome.kind for outcome in outcomes] == ["failed"]
    assert all(isinstance(outcome.error, ApplicationError) for outcome in outcomes)


@shows("build() runs once per place in a chain, and its result is used")
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


def test_an_effect_in_the_wrong_hook_is_refused(side: Side) -> None:
    class Wrong(Middleware):
        def on_request(self, request: Request) -> Any:
            yield from peek(1)

    record = side.run([Wrong()])
    assert record.raised is not None
    assert "peek(...) in on_response" in record.raised


@shows("on_body returns a transform")
def test_on_body_must_return_a_transform(side: Side) -> None:
    record = side.run([logged("a", [], on_body="text")])
    assert record.raised is not None
    assert "on_body must return a Transform" in record.raised
