"""Heads on WSGI: when they are told, restarts with ``exc_info``, ``write()``, status lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import (
    Middleware,
    as_middleware,
    peek,
)
from gateway.errors import ApplicationError
from gateway.exchange import Request, Response
from tests.gateway.drivers._scenario import App, Boom, Record
from tests.gateway.drivers._side import ALL, Side, Upper, _flow, logged
from tests.shows import shows

# -- late starts


@pytest.mark.parametrize("given", ["200 OK", "200 "])
@pytest.mark.parametrize("hooks", [{}, {"on_finish": None}, {"on_body": None}], ids=["head", "finish", "body"])
def test_a_status_that_a_middleware_changes_has_its_own_phrase(hooks: dict[str, Any], given: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(given, [])
        return [b"gone"]

    lines: list[str] = []
    change = logged("a", [], on_response=lambda request, response: setattr(response, "status", 404), **hooks)
    call: Any = drivers.build_wsgi([change], app)
    list(call({"REQUEST_METHOD": "GET"}, lambda line, *head: lines.append(line)))
    assert lines == ["404 Not Found"]


@pytest.mark.parametrize("line", ["OK", "20 OK", "", b"200 OK", 200, "٢٠٠ OK"], ids=repr)
@pytest.mark.parametrize("hooks", [{"on_response": None}, {"on_finish": None}, ALL], ids=["head", "finish", "all"])
def test_what_is_no_status_line_is_the_application_s_fault_and_shown(hooks: dict[str, Any], line: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(line, [])
        return [b""]

    call: Any = drivers.build_wsgi([logged("a", [], **hooks)], app)
    with pytest.raises(ApplicationError, match=r"three digits and a reason.* got ") as caught:
        list(call({"REQUEST_METHOD": "GET"}, lambda *head: lambda data: None))
    assert repr(line) in str(caught.value)


@shows(
    "A chain that only touches heads runs its hooks at start_response, again on an exc_info restart, without accounting"
)
def test_a_chain_that_only_touches_heads_runs_at_start_response_and_again_on_a_restart() -> None:
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
    body: Any = drivers.build_wsgi(chain, app)({"REQUEST_METHOD": "GET"}, server)
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


DEFERRING = {
    "flow": _flow,
    "flow-that-peeks": _flow_that_peeks,
    "body": lambda: logged("a", [], on_body=None),
    "error": lambda: logged("a", [], on_error=None),
    "request-body": lambda: logged("a", [], on_request_body=None),
}


@shows("A chain with generators or body work defers the head to the first chunk")
@pytest.mark.parametrize("kind", DEFERRING)
def test_a_chain_of_generators_or_body_work_defers_the_head_to_the_first_chunk(kind: str) -> None:
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
    for chunk in drivers.build_wsgi(chain, app)({"REQUEST_METHOD": "GET"}, server):
        log.append(chunk)
    assert [entry for entry in log if entry != b""] == [
        "started",
        "chunk",
        ("z", "on_response"),
        "200 OK",
        b"chunk",
        "end",
    ]


@pytest.mark.parametrize("shape", ["list", "eager", "lazy"])
@pytest.mark.parametrize(
    ("hooks", "taken"),
    [({"on_response": None}, 0), ({"on_error": None}, 1), ({"on_body": lambda *args: Upper()}, 1)],
    ids=["touches-heads", "answers-errors", "transforms"],
)
def test_a_wsgi_head_is_told_when_the_call_returns_and_no_more_is_taken_than_it_needs(
    shape: str, hooks: dict[str, Any], taken: int
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
    body: Any = drivers.build_wsgi(chain, app)({"REQUEST_METHOD": "GET"}, start_response)
    assert record.starts == 1
    assert len(made) <= (1 if shape == "lazy" else taken)
    assert b"".join(body).lower().startswith(b"abc")
    getattr(body, "close", lambda: None)()
    assert record.starts == 1


@pytest.mark.parametrize("shape", ["list", "eager"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_second_head_that_the_application_gives_up_changes_nothing(shape: str, waits: bool) -> None:
    hooks = {"on_response": None, "on_finish": None} if waits else {"on_response": None}
    log: list[Any] = []
    starts: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        with contextlib.suppress(ApplicationError):
            start_response("500 Sorry", [])
        return [b"abc"] if shape == "list" else iter([b"abc"])

    serve: Any = drivers.build_wsgi([logged("m", log, **hooks)], app)
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


@pytest.mark.parametrize("waits", [False, True])
def test_a_head_after_a_restart_that_failed_is_a_restart_too(waits: bool) -> None:
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
    body: Any = drivers.build_wsgi(chain, app)(
        {"REQUEST_METHOD": "GET"}, lambda line, headers, exc_info=None: starts.append((line, exc_info is not None))
    )
    assert list(body) == []
    if waits:
        body.close()
    assert starts == [("200 OK", False), ("503 Later", True)]
    assert closed == [True]


@pytest.mark.parametrize("waits", [False, True])
def test_a_second_head_is_an_error_though_the_first_was_replaced(waits: bool) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        with pytest.raises(ApplicationError, match="called twice"):
            start_response("500 Sorry", [])
        return [b"old"]

    replaces = {"on_response": lambda request, response: Response(299, body=b"new")}
    chain = [logged("m", [], **replaces, **({"on_finish": None} if waits else {}))]
    body: Any = drivers.build_wsgi(chain, app)({"REQUEST_METHOD": "GET"}, lambda *args: None)
    assert b"".join(body) == b"new"
    body.close()


@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_in_the_place_of_a_restart_is_a_restart_too(waits: bool) -> None:
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
    body: Any = drivers.build_wsgi(chain, app)(
        {"REQUEST_METHOD": "GET"}, lambda line, headers, exc_info=None: starts.append((line[:3], exc_info is not None))
    )
    assert b"".join(body) == b"later"
    body.close()
    assert starts == [("200", False), ("503", True)]


@pytest.mark.parametrize("waits", [False, True])
def test_what_is_written_after_a_second_head_was_given_up_is_sent(waits: bool) -> None:
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
    body: Any = drivers.build_wsgi(chain, app)({"REQUEST_METHOD": "GET"}, lambda *args: written.append)
    assert (b"".join(written), b"".join(body)) == (b"abc", b"de")
    getattr(body, "close", lambda: None)()
    assert ends == [("completed", 5)] * waits


@pytest.mark.parametrize(
    ("hooks", "sent"),
    [
        ({"on_response": None}, [b""]),
        ({"on_finish": None}, [b""]),
        ({"on_error": None}, [b""]),
        ({"on_body": None}, [b""]),
        ({"on_body": lambda request, response: Upper()}, []),
        (ALL, [b""]),
    ],
    ids=["head", "finish", "error", "body", "transform", "all"],
)
@pytest.mark.parametrize("has_write", [True, False])
def test_a_write_of_nothing_sends_the_headers_unless_a_transform_holds_them(
    hooks: dict[str, Any], sent: list[bytes], has_write: bool
) -> None:
    starts: list[Any] = []
    written: list[bytes] = []

    def server_start(*args: Any) -> Any:
        starts.append(args)
        return written.append if has_write else None

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        if callable(write):  # a group that only touches headers returns the server's own
            write(b"")
        assert (len(starts), written) == (1 if sent else 0, sent if has_write else [])
        return iter([b"event"])

    body: Any = drivers.build_wsgi([logged("m", [], **hooks)], app)({"REQUEST_METHOD": "GET"}, server_start)
    assert b"".join(body) == (b"event" if sent else b"EVENT!")
    assert len(starts) == 1
    getattr(body, "close", lambda: None)()


def test_a_wsgi_body_that_fails_before_the_head_is_closed_when_the_call_raises() -> None:
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
        drivers.build_wsgi(chain, app)({"REQUEST_METHOD": "GET"}, lambda *args: None)
    assert log == [("m", "on_error"), "closed", ("m", "on_finish")]


@pytest.mark.parametrize("hooks", [{"on_body": None}, {"on_response": None}, {"on_response": None, "on_finish": None}])
def test_headers_given_again_with_an_exception_take_the_place_of_the_first(hooks: dict[str, Any]) -> None:
    starts: list[Any] = []
    written: list[tuple[int, bytes]] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X-First", "1")])
        try:
            raise ValueError
        except ValueError as error:
            write = start_response("500 Sorry", [("X-Second", "2")], (type(error), error, error.__traceback__))
        write(b"sorry")
        return []

    def start_response(line: str, headers: Any, exc_info: Any = None) -> Any:
        starts.append((line, headers))
        number = len(starts)
        return lambda data: written.append((number, data))

    body: Any = drivers.build_wsgi([logged("m", [], **hooks)], app)({"REQUEST_METHOD": "GET"}, start_response)
    assert b"".join(body) == b""
    if hasattr(body, "close"):
        body.close()
    assert starts[-1] == ("500 Sorry", [("X-Second", "2")])
    assert written == [(len(starts), b"sorry")], "the callable that the server returned last"


def test_a_generator_that_starts_late_with_an_upgrade_header_has_not_taken_the_connection_over() -> None:
    outcomes: list[Any] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"page"

    chain = [logged("m", [], on_response=None, on_finish=lambda request, outcome: outcomes.append(outcome.kind))]
    environ = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "h2c"}
    body: Any = drivers.build_wsgi(chain, app)(environ, lambda *args: lambda data: None)
    assert b"".join(body) == b"page"
    body.close()
    assert outcomes == ["completed"]
