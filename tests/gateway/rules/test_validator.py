import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest
import trio

from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.protocols import detect
from gateway.rules import RULES, Validator
from gateway.rules import _engine as engine
from gateway.rules._wsgi_validator import ApplicationThreads
from tests.gateway.rules import asgi, wsgi


def test_a_validator_speaks_the_interface_of_its_application() -> None:
    assert detect(Validator(wsgi.HELLO)) == "wsgi"
    assert detect(Validator(asgi.ANSWERS)) == "asgi"


def test_a_validator_shows_what_it_wraps() -> None:
    shown = repr(Validator(wsgi.HELLO, mode="collect"))
    assert shown == f"Validator({wsgi.HELLO!r}, 'wsgi', mode='collect')"


def test_a_mode_that_is_none_is_refused_when_built() -> None:
    with pytest.raises(ConfigurationError, match="'raise' or 'collect', got 'warn'"):
        Validator(wsgi.HELLO, mode="warn")  # type: ignore[call-overload]


def test_an_interface_that_is_not_checked_is_refused_when_built() -> None:
    with pytest.raises(ConfigurationError, match="rsgi"):
        Validator(asgi.ANSWERS, "rsgi")


@pytest.mark.parametrize("scope", ["http", None, [("type", "http")]])
def test_a_scope_that_is_no_dict_is_named_and_passed_on(scope: Any) -> None:
    seen = []

    async def app(given: Any, receive: Any, send: Any) -> None:
        seen.append(given)

    result = asgi.serve(asgi.Serve(app=app, scope=scope))
    assert (result.ids, seen) == ({"C01"}, [scope])
    raised = asgi.serve(asgi.Serve(app=app, scope=scope), mode="raise")
    assert [error.rule for error in raised.errors] == ["C01"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("message", ["text", None, {}, {"type": 1}, {1: 2}])
def test_a_message_of_the_server_that_is_none_is_named_and_passed_on(message: Any) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())
        await asgi.sends(asgi.start(), asgi.body(), receives=0)(scope, receive, send)

    result = asgi.serve(asgi.Serve(app=app, events=(message,)))
    assert (result.ids, seen) == ({"C04"}, [message])


def test_trio_serves_a_validated_application() -> None:
    validator = Validator(asgi.STARTS, "asgi", "raise")
    server = asgi.Server(validator)
    trio.run(server.call, asgi.Serve(scope=asgi.lifespan(), events=(asgi.STARTUP, asgi.SHUTDOWN)))
    assert (server.errors, validator.violations) == ([], [])


class _Closable:
    """An iterable that has a close() and closes nothing."""

    def __iter__(self) -> Any:
        return iter([b"ok"])

    def close(self) -> None: ...


def _passes_on(inner: Any) -> Any:
    return lambda environ, start_response: inner(environ, start_response)


def _drops(inner: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Any:
        for block in inner(environ, start_response):  # noqa: UP028  # `yield from` would close it
            yield block

    return middleware


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("middleware", "closes", "side"), [(_drops, True, "middleware"), (_passes_on, False, "server")]
)
def test_whoever_forgets_to_close_is_named(middleware: Any, closes: bool, side: str) -> None:
    def iterate(iterable: Any) -> list[bytes]:
        blocks = list(iterable)
        if closes:
            iterable.close()
        return blocks

    told: list[ProtocolViolation] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(wsgi.PLAIN))
        return _Closable()

    inner = Validator(app, "wsgi", "collect", on_violation=told.append)
    outer = Validator(middleware(inner), "wsgi", "collect")
    wsgi.serve(wsgi.Serve(app, iterate=iterate), validator=outer)
    gc.collect()
    assert [(violation.rule, violation.side) for violation in told] == [("V28", side)]


def test_many_threads_lose_no_finding() -> None:
    app = wsgi.answers(headers=[*wsgi.PLAIN, ("Connection", "close")])
    validator = Validator(app, "wsgi", "collect")

    def requests() -> None:
        for _ in range(50):
            call = wsgi.Serve(app, environ=wsgi.environ(wsgi__multithread=True))
            wsgi.serve(call, validator=validator)

    threads = [threading.Thread(target=requests) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [violation.rule for violation in validator.violations] == ["P11"] * 400
    assert validator._running._threads == {}


def test_findings_are_kept_up_to_a_limit_and_counted_beyond_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "KEPT", 3)
    told: list[ProtocolViolation] = []
    app = wsgi.answers(body=["text"])
    validator = Validator(app, "wsgi", "collect", on_violation=told.append)
    with caplog.at_level("WARNING", logger="gateway.rules"):
        for _ in range(5):
            wsgi.serve(wsgi.Serve(app), validator=validator)
    assert (len(validator.violations), validator.dropped, len(told)) == (3, 2, 5)
    assert [record.getMessage()[:31] for record in caplog.records] == ["a Validator keeps 3 findings; `"]


def test_an_ignored_rule_is_kept_apart_with_nobody_told() -> None:
    told: list[str] = []
    app = wsgi.answers(headers=[*wsgi.PLAIN, ("Status", "200"), ("ETag", "1")])
    ignore = {"V20": "an old client reads it"}
    validator = Validator(app, "wsgi", ignore=ignore, on_violation=lambda violation: told.append(violation.rule))
    wsgi.serve(wsgi.Serve(app), validator=validator)
    assert [violation.rule for violation in validator.ignored] == ["V20"]
    assert ([violation.rule for violation in validator.warnings], told) == (["V31"], ["V31"])


@pytest.mark.parametrize(
    ("ignore", "message"),
    [({"P99": "why"}, "unknown rule 'P99'"), ({"P11": " "}, "needs a reason for the rule 'P11'"), (["P11"], "a dict")],
)
def test_a_rule_is_ignored_by_its_id_and_with_a_reason(ignore: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Validator(wsgi.HELLO, ignore=ignore)


def test_an_exchange_that_has_ended_is_let_go_of() -> None:
    class Body(list[bytes]):
        pass

    body = Body([b"ok"])
    gone = weakref.ref(body)
    app = wsgi.answers(body=body)
    validator = Validator(app, "wsgi", "collect")
    wsgi.serve(wsgi.Serve(app), validator=validator)
    del app, body
    validator.app = wsgi.HELLO
    gc.collect()
    assert gone() is None


def test_an_application_that_cannot_be_sized_is_not_asked_twice() -> None:
    class Unsized(list[bytes]):
        def __len__(self) -> int:
            raise RuntimeError("not yet known")

    result = wsgi.serve(wsgi.Serve(wsgi.answers(body=Unsized([b"a"]))), mode="raise")
    assert (result.errors, result.found) == ([], [])


def test_a_file_that_cannot_tell_its_descriptor_is_named() -> None:
    class File:
        def fileno(self) -> Any:
            return None

    message = asgi.msg("http.response.zerocopysend", file=File())
    scope = asgi.http(extensions={"http.response.zerocopysend": {}})
    assert "X04" in asgi.serve(asgi.Serve(app=asgi.sends(asgi.start(), message), scope=scope)).ids


def test_a_length_of_thousands_of_digits_is_passed_on_and_not_read() -> None:
    digits = "9" * 5000
    headers = [(b"host", b"t"), (b"content-length", digits.encode())]
    assert asgi.serve(asgi.Serve(app=asgi.ANSWERS, scope=asgi.http(headers=headers))).errors == []
    environ = wsgi.environ(b"", CONTENT_LENGTH=digits)
    assert wsgi.serve(wsgi.Serve(wsgi.HELLO, environ=environ)).errors == []


def test_a_call_that_is_forgotten_may_be_closed_in_any_context() -> None:
    class Waiting:
        def __await__(self) -> Any:
            yield

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await Waiting()

    async def nothing() -> Any: ...

    call = Validator(waits)(asgi.http(), nothing, nothing)  # type: ignore[arg-type,call-arg]
    contextvars.copy_context().run(call.send, None)
    call.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("interrupted", ["threads", "findings"])
def test_garbage_that_is_collected_while_the_validator_holds_a_lock_does_not_wait_for_it(interrupted: str) -> None:
    # A forgotten iterable is closed wherever the garbage collector happens to run.
    threads, findings = ApplicationThreads(), engine.RuleEngine("collect")
    thread, _ = threads.enter()

    def collected() -> None:
        with threads._lock, findings._lock:
            if interrupted == "threads":
                threads.leave(thread)
            else:
                findings.report(RULES["V28"], "dropped")

    running = threading.Thread(target=collected, daemon=True)
    running.start()
    running.join(5)
    assert not running.is_alive()
