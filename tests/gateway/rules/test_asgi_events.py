from typing import Any

import pytest

from tests.gateway.rules.asgi import (
    ANSWERS,
    DISCONNECT,
    PLAIN,
    REQUEST,
    Serve,
    body,
    http,
    msg,
    sends,
    serve,
    start,
    swallowing,
    then_receive,
)
from tests.gateway.rules.cases import Case, shows


def app(*messages: Any, **serving: Any) -> Any:
    """The case of an application that sends these messages."""
    receives = serving.pop("receives", 1)
    return lambda mode: serve(Serve(app=sends(*messages, receives=receives), **serving), mode=mode)


def gets(*events: Any) -> Any:
    """The case of a server that gives these messages, all of which the application receives."""
    return app(start(), body(), receives=len(events), events=events)


def answers(**changes: Any) -> Any:
    """The case of an application whose start has these values."""
    return app(start(**changes), body())


def headers(*pairs: Any, status: int = 200, data: bytes = b"ok") -> Any:
    return app(start(status, list(pairs)), body(data))


async def ignores_errors(receive: Any, send: Any) -> None:
    for _ in range(6):
        try:
            await send(body(more=True))
        except OSError:
            continue


def over_http2(*pairs: Any) -> Any:
    return app(start(200, list(pairs)), body(), scope=http(http_version="2"))


ok = app(start(), body())
HEAD = http(method="HEAD")

CASES = [
    Case("E01", gets(msg("http.startup")), gets(REQUEST)),
    Case("E02", gets({"type": "http.request", "body": "text"}), gets({"type": "http.request"}), "str"),
    Case("E02", gets({"type": "http.request", "more_body": 0}), gets({"type": "http.request", "body": b""}), "int"),
    Case("E03", gets(REQUEST, REQUEST), gets(REQUEST, DISCONNECT)),
    Case("E04", gets(REQUEST, DISCONNECT, REQUEST), gets(REQUEST, DISCONNECT, DISCONNECT)),
    Case("E06", app(body()), ok, "body-first"),
    Case("E06", app(start(), start(), body()), app(start(), body(more=True), body()), "two-starts"),
    Case("E07", answers(status="200"), answers(status=599), "str"),
    Case("E07", answers(status=True), answers(status=200), "bool"),
    Case("E07", app(start(status=103), body(b"")), answers(status=200), "1xx"),
    Case(
        "E07", app({"type": "http.response.start"}, body()), app({"type": "http.response.start", "status": 200}, body())
    ),
    Case("E07", answers(status=600), answers(status=299), "above-599", minor=True),
    Case("E08", headers(("content-type", "text/plain")), headers([b"content-type", b"text/plain"]), "str"),
    Case("E08", answers(headers={b"a": b"b"}), answers(headers=[]), "dict"),
    Case("E08", headers((b"a", b"b", b"c")), answers(headers=()), "three"),
    Case("E08", answers(headers=None), answers(headers=iter(PLAIN)), "none"),
    Case("E09", headers((b"Content-Type", b"text/plain")), headers((b"content-type", b"Text/Plain"))),
    Case("E10", headers((b":status", b"200")), headers((b"status", b"200"))),
    Case("E11", headers((b"x y", b"1")), headers((b"x-y", b"1")), "space"),
    Case("E11", headers((b"x:", b"1")), headers((b"x!#$%&'*+-.^_`|~1", b"1")), "colon"),
    Case("E11", headers((b"", b"1")), ok, "empty"),
    Case("E12", headers((b"x", b"1\r\nset-cookie: a=b")), headers((b"x", b"1\t2")), "crlf"),
    Case("E12", headers((b"x", b"1\0")), headers((b"x", b"\xc3\xa9")), "nul"),
    Case("E12", headers((b"x", b"\x01")), headers((b"x", b"")), "control", minor=True),
    Case("E13b", over_http2((b"connection", b"close")), headers((b"connection", b"close"))),
    Case("E13b", over_http2((b"upgrade", b"h2c")), headers((b"upgrade", b"h2c"), status=426), "upgrade"),
    Case(
        "E14", headers((b"content-length", b"2"), (b"content-length", b"2")), headers((b"content-length", b"2")), "two"
    ),
    Case("E14", headers((b"content-length", b"2.0")), headers((b"content-length", b"02")), "not-a-number"),
    Case("E14", headers((b"content-length", b"-1")), ok, "negative"),
    Case("E30", headers((b"content-length", b"5"), status=204, data=b""), headers(status=204, data=b"")),
    Case("E30", headers((b"content-length", b"0"), status=204, data=b""), ok, "zero", minor=True),
    Case(
        "E31",
        headers((b"content-type", b"text/plain"), status=304, data=b""),
        headers((b"etag", b'"1"'), (b"vary", b"cookie"), status=304, data=b""),
    ),
    Case("E32", headers((b"etag", b"1")), headers((b"etag", b'W/"1"'))),
    Case("E33", headers(*[(b"content-type", b"text/plain")] * 2), headers(*[(b"set-cookie", b"a=1")] * 2)),
    Case("E33", headers((b"location", b"/a"), (b"Location", b"/b")), headers((b"location", b"/a")), "capital"),
    Case("E15", headers((b"content-length", b"1")), headers((b"content-length", b"2")), "longer"),
    Case(
        "E15",
        headers((b"content-length", b"3")),
        app(start(headers=[(b"content-length", b"3")]), body(b""), scope=HEAD),
        "shorter",
    ),
    Case(
        "E15",
        app(start(headers=[(b"content-length", b"2")]), body(b"o", more=True), body(b"kay")),
        app(start(headers=[(b"content-length", b"2")]), body(b"o", more=True), body(b"k")),
        "longer-in-two",
    ),
    Case("E16", app(start(), body("text")), app(start(), {"type": "http.response.body"}), "str"),
    Case("E16", app(start(), body(bytearray(b"ok"))), ok, "bytearray", minor=True),
    Case("E17", app(start(), body(more=0)), app(start(), {"type": "http.response.body", "body": b"ok"})),
    Case("E18", app(start(), body(), body()), app(start(), body(more=True), body(b""))),
    Case("E19", app(), app(receives=2, events=(REQUEST, DISCONNECT)), "nothing"),
    Case("E19", app(start()), ok, "only-a-start"),
    Case(
        "E19", app(start(), body(more=True)), app(start(), body(more=True), then_receive, events=(REQUEST, DISCONNECT))
    ),
    Case("E20", app(start(204, []), body()), app(start(204, []), body(b"")), "204"),
    Case("E20", app(start(304, []), body()), app(start(304, [(b"content-length", b"2")]), body(b"")), "304"),
    Case("E20", app(start(), body(), scope=HEAD), app(start(), body(b""), scope=HEAD), "head", minor=True),
    Case("E21", answers(trailers="yes"), answers(trailers=False)),
    Case(
        "E23",
        app(then_receive, start(), events=(REQUEST, DISCONNECT), fails={0: RuntimeError("closed")}),
        app(then_receive, start(), events=(REQUEST, DISCONNECT), fails={0: ConnectionResetError()}),
    ),
    Case(
        "E24",
        app(start(), ignores_errors, fails=dict.fromkeys(range(1, 9), BrokenPipeError())),
        app(start(), body(more=True), fails={1: BrokenPipeError()}),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_the_http_messages_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


_OTHER = (
    "E01",
    "E02",
    "E03",
    "E04",
    "E09",
    "E13b",
    "E18",
    "E23",
    "E24",
    "E31",
    "E32",
)  # the server's, a warning, or an exception already
APPLICATION = [case for case in CASES if case.rule not in _OTHER and not case.minor]


@pytest.mark.parametrize("case", APPLICATION, ids=lambda case: case.id)
def test_what_an_application_does_wrong_is_raised_into_its_call_and_reaches_the_server(case: Case) -> None:
    result = case.bad("raise")
    assert [error.rule for error in result.errors][:1] == [case.rule]  # type: ignore[attr-defined]
    if case.rule != "E19":  # nothing is left to raise into
        assert result.inside[0] is result.errors[0]


def test_what_the_application_swallows_is_raised_to_the_server() -> None:
    serving = Serve(app=swallowing(sends(body())))
    result = serve(serving, mode="raise")
    assert [error.rule for error in result.errors] == ["E06"]  # type: ignore[attr-defined]


def test_a_message_that_is_refused_does_not_reach_the_server() -> None:
    result = serve(Serve(app=sends(start(headers=[(b"x", b"\r\n")]))), mode="raise")
    assert result.sent == []


def test_an_error_page_after_a_violation_is_passed_on_and_the_violation_raised_at_the_end() -> None:
    async def framework(scope: Any, receive: Any, send: Any) -> None:
        try:
            await sends(start(status="200"))(scope, receive, send)
        except Exception:
            await sends(start(500, []), body(b"error"), receives=0)(scope, receive, send)

    result = serve(Serve(app=framework), mode="raise")
    assert [message.get("status") for message in result.sent] == [500, None]
    assert [error.rule for error in result.errors] == ["E07"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("event", [{"type": "http.request", "body": "text"}, {"type": "http.request", "more_body": 1}])
def test_what_a_server_does_wrong_is_raised_to_the_server_even_if_the_application_swallows_it(event: Any) -> None:
    result = serve(Serve(app=swallowing(ANSWERS), events=(event,)), mode="raise")
    assert [error.rule for error in result.errors] == ["E02"]  # type: ignore[attr-defined]
    assert result.errors[0].side == "server"  # type: ignore[attr-defined]


def test_a_server_that_gives_a_wrong_scope_is_told_before_the_application_runs() -> None:
    result = serve(Serve(scope=http(method="get")), mode="raise")
    assert [error.rule for error in result.errors] == ["H02"]  # type: ignore[attr-defined]
    assert result.sent == []


def test_a_warning_is_collected_and_raised_only_where_it_is_asked_for() -> None:
    call = Serve(app=sends(start(headers=[(b"X-A", b"1")]), body()))
    quiet = serve(call, mode="raise")
    assert (quiet.errors, [w.rule for w in quiet.validator.warnings]) == ([], ["E09"])
    loud = serve(call, mode="raise", warnings_as_errors=True)
    assert [error.rule for error in loud.errors] == ["E09"]  # type: ignore[attr-defined]


def test_an_exception_of_the_application_is_raised_and_breaks_no_rule() -> None:
    result = serve(Serve(app=sends(start(), body(more=True), ValueError("late"))), mode="raise")
    assert [type(error) for error in result.errors] == [ValueError]
    assert result.found == []


def test_a_generator_of_headers_reaches_the_server_whole() -> None:
    result = serve(Serve(app=sends(start(headers=iter(PLAIN)), body())))
    assert result.sent[0]["headers"] == PLAIN
    assert result.found == []


def test_a_message_is_passed_on_as_the_object_that_was_sent() -> None:
    message = start()
    assert serve(Serve(app=sends(message, body()))).sent[0] is message


def test_sending_after_the_client_left_is_no_violation() -> None:
    result = serve(Serve(app=sends(then_receive, start(), body(more=True), body()), events=(REQUEST, DISCONNECT)))
    assert result.found == []


def test_on_violation_is_told_of_each() -> None:
    told: list[str] = []
    serve(Serve(app=sends(start("200"), body())), on_violation=lambda violation: told.append(violation.rule))
    assert told[0] == "E07"
