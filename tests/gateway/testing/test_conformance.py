"""The battery finds what is wrong in an application, a middleware, an adapter and a server, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
from gateway.check.cases import cases_of
from gateway.errors import ConfigurationError
from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope
from gateway.testing import BatteryFailed, battery
from tests import django_site
from tests.gateway.testing import apps, test_frameworks


@pytest.fixture(autouse=True, scope="module")
def _django_serves_the_frameworks() -> Iterator[None]:
    with django_site.serving(test_frameworks.__name__):
        yield


# Django leaves the file of a request body open that the client did not finish; it goes with the garbage.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", test_frameworks.FRAMEWORKS)
def test_a_frameworks_application_passes(name: str) -> None:
    report = battery(test_frameworks.FRAMEWORKS[name](), paths=["/hello", "/stream"])
    assert report.ok
    assert len(report.cases) >= 44
    gc.collect()


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_middleware_that_does_nothing_passes(interface: Any) -> None:
    assert battery(middleware=lambda app: app, interface=interface, transparent=True).ok


def test_our_adapters_pass() -> None:
    assert battery(adapter=WsgiToAsgi, interface="wsgi").ok
    assert battery(adapter=AsgiToWsgi, interface="asgi").ok


@pytest.mark.slow
def test_a_server_runs_the_cases_of_gateway_check_and_shows_its_output_with_a_failure() -> None:
    report = battery(server="uvicorn", raises=False)
    later = ["shutdown", "lifespan-unsupported", "startup-failed"]
    assert [case.id for case in report.cases] == [*(case.id for case in cases_of("asgi")), *later]
    assert report.rules == {"E13", "N01"}
    for case in report.failed:
        assert "HTTP/1." in case.output
        assert f"    | {case.output.splitlines()[0]}" in str(report)


def test_an_application_that_takes_a_short_read_for_the_end_of_the_body_is_not_accused() -> None:
    def reads_exactly(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if len(environ["wsgi.input"].read(length)) < length:
            raise OSError("the client has left")  # as WebOb, and Pyramid with it
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"read"]

    assert battery(reads_exactly).ok


# -- each of these is wrong in one way, and the report says in which


async def lower_cased_body(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else b"four"})


async def ignores_every_scope(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "http":
        await apps.reply(send, b"" if scope["method"] == "HEAD" else b"x")


async def leaves_tasks(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    apps.left.add(asyncio.create_task(asyncio.Event().wait()))
    await apps.reply(send, b"" if scope["method"] == "HEAD" else b"x")


def test_an_application_that_breaks_a_rule_is_named_with_the_rule() -> None:
    with pytest.raises(BatteryFailed, match="E15") as failed:
        battery(lower_cased_body)
    report = failed.value.report
    assert report.rules == {"E15"}
    assert {case.id for case in report.failed} >= {"get /", "post-whole /"}
    assert "cases passed" in str(report)
    (at_once,) = [case for case in report.failed if case.id == "at-once /"]
    assert len(at_once.violations) > 1
    assert str(at_once).count("[E15]") == 1


def test_what_is_only_recommended_is_a_warning() -> None:
    report = battery(ignores_every_scope, lifespan=False)
    (case,) = [case for case in report.cases if case.id == "unknown-scope-type"]
    assert [violation.rule for violation in case.warnings] == ["C08"]


def test_what_an_application_leaves_behind_is_found() -> None:
    report = battery(leaves_tasks, raises=False)
    assert [case.id for case in report.failed] == ["leaves-nothing-behind"]
    apps.left.clear()


def forgets_to_close(app: Any) -> Any:
    def wrapped(environ: Environ, start_response: apps.StartResponse) -> Iterator[bytes]:
        yield from app(environ, start_response)

    return wrapped


def doubles(app: Any) -> Any:
    async def wrapped(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        async def sending(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                await send(message)

        await app(scope, receive, sending)

    return wrapped


def joins_cookies(app: Any) -> Any:
    def wrapped(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, list(dict(headers).items()), exc_info)

        result: Iterable[bytes] = app(environ, start)
        return result

    return wrapped


class Swallows:
    """Hides what the application raises behind an answer that looks complete."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except LookupError:
            if not started:
                await apps.reply(send, b"")
            else:
                await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("middleware", "interface", "found"),
    [
        (forgets_to_close, "wsgi", "not closed"),
        (doubles, "asgi", "E06"),
        (joins_cookies, "wsgi", "headers must be unchanged from the application"),
        (Swallows, "asgi", "must not look complete"),
    ],
    ids=["forgets-to-close", "starts-twice", "loses-a-cookie", "swallows-errors"],
)
def test_a_middleware_that_is_wrong_is_found_out(middleware: Any, interface: Any, found: str) -> None:
    report = battery(middleware=middleware, interface=interface, transparent=True, raises=False)
    assert found in str(report)


def test_an_adapter_that_loses_something_is_found_out() -> None:
    def lossy(app: Any) -> Any:
        return WsgiToAsgi(joins_cookies(app))

    report = battery(adapter=lossy, interface="wsgi", raises=False)
    assert [case.id for case in report.failed] == ["repeated-headers"]


def test_exactly_one_subject_is_taken() -> None:
    with pytest.raises(ConfigurationError, match="exactly one"):
        battery()
    with pytest.raises(ConfigurationError, match="app and server"):
        battery(apps.wsgi_echo, server="uvicorn")


def test_one_path_is_no_list_of_paths() -> None:
    with pytest.raises(ConfigurationError, match=re.escape("write ['/x']")):
        battery(apps.wsgi_echo, paths="/x")


def closes_the_connection(environ: Environ, start_response: apps.StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [b""]


KNOWN = '[[violation]]\nrule = "{rule}"\nreason = "an old client needs it"\n'


def test_a_known_violation_fails_no_case_and_a_stale_entry_does(tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text(KNOWN.format(rule="P11"), "utf-8")
    assert battery(closes_the_connection, known=known).ok
    assert battery(closes_the_connection, ignore={"P11": "an old client needs it"}).ok
    assert battery(closes_the_connection, raises=False).rules == {"P11"}
    known.write_text(KNOWN.format(rule="P11") + KNOWN.format(rule="P13"), "utf-8")
    [case] = battery(closes_the_connection, known=known, raises=False).failed
    assert "stale entry: rule P13 is kept now (an old client needs it)" in str(case)


async def forgets_to_stop(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] != "lifespan":
        await apps.asgi_echo(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()


def test_a_violation_at_the_end_of_the_lifespan_is_found() -> None:
    report = battery(forgets_to_stop, raises=False)
    assert [case.id for case in report.failed] == ["lifespan"]
    assert report.rules == {"L05"}
