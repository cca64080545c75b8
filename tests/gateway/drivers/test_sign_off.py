"""An application that took the connection over leaves its WSGI server through any chain, and nothing is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gateway import drivers
from gateway.contract import Middleware, as_middleware, finished
from gateway.errors import ApplicationError
from gateway.exchange import Outcome, Request, Response
from gateway.middleware import AccessLog, Compression, Errors, RequestId, SecurityHeaders
from gateway.middleware.presets import behind_nginx
from tests.gateway.drivers._side import Shout


class Adds(Middleware):
    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append("x-a", "b")


class Answers(Middleware):
    def on_error(self, request: Request, error: Exception) -> Response:
        return Response(500, body="no")


class Waits(Middleware):
    def on_finish(self, request: Request, outcome: Outcome) -> None:
        pass


@as_middleware
def passing(request: Request) -> Any:
    yield


@as_middleware
def waiting(request: Request) -> Any:
    try:
        yield
    except Exception:
        raise AssertionError("a sign-off is not an error") from None
    yield from finished()


#: Chains that the drivers serve in different ways.
CHAINS: dict[str, Callable[[], list[Middleware]]] = {
    "heads": lambda: [Adds()],
    "constants": lambda: [SecurityHeaders()],
    "answers errors": lambda: [Answers()],
    "waits for the end": lambda: [Waits()],
    "changes the body": lambda: [Shout()],
    "generator": lambda: [passing()],
    "generator that waits": lambda: [waiting()],
    "Errors": lambda: [Errors()],
    "AccessLog": lambda: [AccessLog()],
    "several": lambda: [AccessLog(), RequestId(), Compression(), waiting(), Errors(), Adds()],
    "preset": lambda: list(behind_nginx(hosts=("localhost",))),
}
HANDSHAKE = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
#: What a server hands over, and the exception by which an application leaves it.
SIGNALS: dict[str, tuple[dict[str, Any], Exception]] = {
    "gunicorn": ({"gunicorn.socket": object()}, StopIteration("the WebSocket has ended")),
    "werkzeug": ({"werkzeug.socket": object()}, ConnectionError("the WebSocket has ended")),
    "werkzeug, by our adapter": ({"werkzeug.socket": object()}, ConnectionAbortedError("the WebSocket has ended")),
    "gevent": ({"SERVER_SOFTWARE": "gevent/26.1 Python/3.11"}, BrokenPipeError("the WebSocket has ended")),
}


def environ(**more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "http",
        **more,
    }


def served(chain: list[Middleware], app: Any, environ: dict[str, Any]) -> tuple[Any, list[str]]:
    """Call the chain as a server does; return the body, and the status lines that came."""
    lines: list[str] = []

    def start_response(line: str, *args: Any) -> Any:
        lines.append(line)
        return lambda data: None

    return drivers.build_wsgi(chain, app)(environ, start_response), lines


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("server", SIGNALS)
def test_the_exception_that_leaves_the_server_passes_every_chain_unchanged(
    server: str, chain: str, caplog: pytest.LogCaptureFixture
) -> None:
    handed_over, signal = SIGNALS[server]
    lines: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        raise signal

    serve = drivers.build_wsgi(CHAINS[chain](), app)
    with caplog.at_level(logging.WARNING), pytest.raises(type(signal)) as raised:
        serve(environ(**HANDSHAKE, **handed_over), lambda line, *args: lines.append(line) or (lambda data: None))
    assert raised.value is signal
    assert lines == []
    assert caplog.records == []


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("shape", ["list", "generator"])
def test_an_empty_body_without_a_status_passes_every_chain(shape: str, chain: str) -> None:
    closed: list[bool] = []

    class Empty:
        def __iter__(self) -> Any:
            return iter(())

        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        return [] if shape == "list" else Empty()

    body, lines = served(CHAINS[chain](), app, environ(**HANDSHAKE))
    assert list(body) == []
    if hasattr(body, "close"):
        body.close()
    assert lines == []
    assert closed == [True] * (shape == "generator")


@pytest.mark.parametrize("by", ["exception", "empty body"])
def test_who_waits_for_the_end_sees_an_upgraded_connection(by: str) -> None:
    outcomes: list[Outcome] = []

    class Keeps(Middleware):
        def on_finish(self, request: Request, outcome: Outcome) -> None:
            outcomes.append(outcome)

    @as_middleware
    def keeps(request: Request) -> Any:
        try:
            yield
        finally:
            outcomes.append((yield from finished()))

    def app(environ: Any, start_response: Any) -> Any:
        if by == "exception":
            raise StopIteration
        return []

    try:
        served([Keeps(), keeps()], app, environ(**HANDSHAKE, **{"gunicorn.socket": 1}))
    except StopIteration:
        assert by == "exception"
    assert [(outcome.kind, outcome.status, outcome.error) for outcome in outcomes] == [("upgraded", 101, None)] * 2
    assert [(outcome.disconnected, outcome.bytes_sent, outcome.first_byte_at) for outcome in outcomes] == [
        (False, 0, None)
    ] * 2


def test_the_access_log_calls_it_upgraded(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise StopIteration

    with caplog.at_level(logging.INFO, "gateway.access"), pytest.raises(StopIteration):
        served([AccessLog()], app, environ(**HANDSHAKE, **{"gunicorn.socket": 1}))
    assert [(record.entry.status, record.entry.outcome) for record in caplog.records] == [(101, "upgraded")]  # type: ignore[attr-defined]  # AccessLog's


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"gunicorn.socket": 1}, StopIteration("next() found nothing")),
        ({**HANDSHAKE, "werkzeug.socket": 1}, ConnectionRefusedError("the database")),
        ({**HANDSHAKE, "gunicorn.socket": 1}, ValueError("a bug")),
    ],
    ids=["StopIteration without Upgrade", "a database that refuses", "a bug"],
)
def test_another_exception_is_answered_or_reaches_the_server_as_it_was(
    keys: dict[str, Any], error: Exception, chain: str
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise error

    if chain == "generator that waits":  # it makes an error of its own of each
        return
    came: list[Exception] = []
    lines: list[str] = []
    try:
        body, lines = served(CHAINS[chain](), app, environ(**keys))
        b"".join(body)
    except Exception as raised:
        came.append(raised)
    assert came == [error] or lines[0].startswith("500 ")


def test_an_application_that_forgets_its_status_is_an_error_without_an_upgrade() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        return []

    with pytest.raises(ApplicationError, match="start_response must be called"):
        served([Errors()], app, environ())
