"""No exception of an application is lost: each reaches the test, as the error or as a note of it."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from gateway import Gateway
from gateway.contract import Middleware
from gateway.errors import ApplicationError, ProtocolViolation
from gateway.exchange import Outcome
from gateway.exchange import Request as GatewayRequest
from gateway.lifespan import LifespanFailed
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope
from gateway.testing import ASGITransport, AsyncClient, Client, Fault, WebSocketDenied
from gateway.testing.tiers import Tier
from tests.gateway.testing import apps

BACKENDS = ["asyncio", "trio"]


class Lost(Exception):
    """The exception that must not be lost."""


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("home")


# -- in a request


def test_an_error_in_a_background_task_is_raised(backend: Any) -> None:
    async def fails() -> None:
        raise Lost

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("sent", background=BackgroundTask(fails))

    with Client(Starlette(routes=[Route("/", page)]), backend=backend) as client:
        with pytest.raises(Lost):
            client.get("/")
        with pytest.raises(Lost), client.stream("GET", "/") as response:
            assert b"".join(response.iter_chunks()) == b"sent"


def test_an_error_in_the_cleanup_after_a_disconnect_is_raised(backend: Any) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        try:
            await apps.reply(send, [b"x"] * 100)
        except OSError:
            raise KeyError("a fault in the cleanup") from None

    def wsgi(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            write(b"x" * 100)
            write(b"x")
        except OSError:
            raise KeyError("a fault in the cleanup") from None
        return []

    with Client(app, lifespan=False, backend=backend) as client:
        with pytest.raises(KeyError, match="cleanup"), client.stream("GET", "/") as response:
            next(response.iter_chunks())
    with Client(wsgi) as client, pytest.raises(KeyError, match="cleanup"):
        client.get("/", fault=Fault(disconnect="after_bytes", at=9))


def test_the_exception_that_a_framework_makes_of_a_disconnect_is_shown_and_not_raised(backend: Any) -> None:
    async def page(request: Request) -> StreamingResponse:
        return StreamingResponse(iter([b"x"] * 100))

    with Client(Starlette(routes=[Route("/", page)]), backend=backend) as client:
        with client.stream("GET", "/") as response:
            next(response.iter_chunks())
    assert type(response.app_error).__name__ == "ClientDisconnect"


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_a_cancellation_that_is_the_applications_own_is_an_error(streams: bool) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        child = asyncio.create_task(asyncio.sleep(60))
        child.cancel()
        await child

    with Client(app, lifespan=False) as client:
        if not streams:
            with pytest.raises(ApplicationError, match="CancelledError"):
                client.get("/")
        else:
            with pytest.raises(ApplicationError, match="CancelledError"), client.stream("GET", "/"):
                pass


def test_a_cancelled_test_is_not_an_error_of_the_application() -> None:
    async def main() -> None:
        async with AsyncClient(apps.never_answers, lifespan=False) as client:
            with anyio.move_on_after(0.01) as limit:
                await client.get("/")
            assert limit.cancelled_caught

    asyncio.run(main())


class _Fails:
    """A WSGI iterable that fails, and whose ``close()`` fails too."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield b"begun"
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1
        raise Lost


def _wsgi(result: Iterable[bytes]) -> Any:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return result

    return app


def test_an_error_in_close_of_the_iterable_is_raised() -> None:
    with Client(_wsgi(_Fails(None))) as client, pytest.raises(Lost):
        client.get("/")


def test_an_error_in_close_after_another_error_is_a_note() -> None:
    with Client(_wsgi(_Fails(ZeroDivisionError("first")))) as client:
        with pytest.raises(ZeroDivisionError, match="first") as caught:
            client.get("/")
    assert "test_failures.Lost" in notes(caught.value)


def test_an_error_after_a_violation_that_the_application_swallowed_is_shown() -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        try:
            start_response("200 OK", [("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")])
        except ProtocolViolation:
            raise Lost from None
        return []

    with Client(app) as client, pytest.raises(ProtocolViolation) as caught:
        client.get("/")
    assert "test_failures.Lost" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), pytest.fail.Exception("no")], ids=repr)
def test_an_iterable_that_ends_the_test_is_closed(error: BaseException) -> None:
    result = _Fails(error)
    with Client(_wsgi(result)) as client, pytest.raises(type(error)):
        client.get("/")
    assert result.closed == 1


class _FailsToFinish(Middleware):
    def on_finish(self, request: GatewayRequest, outcome: Outcome) -> None:
        raise Lost


@pytest.mark.parametrize("tier", ["direct", "adapted", "roundtrip"])
@pytest.mark.parametrize("app", [apps.wsgi_echo, apps.asgi_echo], ids=["wsgi", "asgi"])
def test_an_error_in_on_finish_is_raised(app: Any, tier: Tier) -> None:
    # A worker of an adapter may run the hook when the client has the whole response: closing raises the error then.
    with pytest.raises(Lost), Client(Gateway(app, middleware=[_FailsToFinish()]), tier=tier) as client:
        client.get("/")


@pytest.mark.parametrize("app", [apps.wsgi_echo, apps.asgi_echo], ids=["wsgi", "asgi"])
def test_without_raising_an_error_in_on_finish_is_kept(app: Any) -> None:
    with Client(Gateway(app, middleware=[_FailsToFinish()]), raise_app_exceptions=False) as client:
        response = client.get("/")
        assert (response.status_code, type(response.app_error)) == (200, Lost)


@pytest.mark.parametrize("tier", ["direct", "adapted"])
def test_an_error_after_the_response_is_raised_in_each_tier(tier: Tier) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await apps.reply(send, b"complete")
        raise Lost

    with Client(app, lifespan=False, tier=tier) as client, pytest.raises(Lost):
        client.get("/")


def test_the_log_of_a_wsgi_application_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"].write("written to wsgi.errors\n")
        return apps.wsgi_echo(environ, start_response)

    with Client(app) as client:
        client.get("/")
    assert "written to wsgi.errors" in capsys.readouterr().err


# -- while a block of the test ends


def _streams_then_fails(interface: str) -> Any:
    async def asgi(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            raise KeyError("lost")

    def wsgi(environ: Environ, start_response: apps.StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                yield b"x"
        finally:
            raise KeyError("lost")

    return asgi if interface == "asgi" else wsgi


def _fails_after(chunk: bytes) -> None:
    assert not chunk, "the test's"


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_failing_test_keeps_its_error_and_gets_the_applications_as_a_note(interface: str) -> None:
    with Client(_streams_then_fails(interface), lifespan=False) as client:
        with pytest.raises(AssertionError, match="the test's") as caught, client.stream("GET", "/") as response:
            _fails_after(next(response.iter_chunks()))
    assert "KeyError: 'lost'" in notes(caught.value)

    async def asynchronous() -> None:
        async with AsyncClient(_streams_then_fails(interface), lifespan=False) as client:
            with pytest.raises(AssertionError, match="the test's") as caught:
                async with client.stream("GET", "/") as response:
                    _fails_after(await anext(response.iter_chunks()))
        assert "KeyError: 'lost'" in notes(caught.value)

    asyncio.run(asynchronous())


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_an_error_in_a_response_that_is_still_open_is_raised_when_the_client_closes(interface: str) -> None:
    client = Client(_streams_then_fails(interface), lifespan=False)
    stream = client.stream("GET", "/")
    next(stream.__enter__().iter_chunks())
    with pytest.raises(KeyError, match="lost"):
        client.close()
    stream.__exit__(None, None, None)


def test_an_error_in_a_response_that_was_collected_is_raised_when_the_client_closes() -> None:
    client = Client(_streams_then_fails("wsgi"))
    stream = client.stream("GET", "/")
    next(stream.__enter__().iter_chunks())
    del stream
    gc.collect()
    with pytest.raises(KeyError, match="lost"):
        client.close()


def test_closing_closes_everything_and_keeps_every_error() -> None:
    order: list[str] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            order.append("shutdown")
            raise KeyError("in the shutdown")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            order.append(scope["path"])
            raise KeyError(f"in {scope['path']}")

    client = Client(app)
    streams = [client.stream("GET", path) for path in ("/a", "/b")]
    for stream in streams:
        stream.__enter__()
    with pytest.raises(KeyError, match="/a") as caught:
        client.close()
    assert order == ["/a", "/b", "shutdown"]
    assert "in /b" in notes(caught.value)
    assert "in the shutdown" in notes(caught.value)
    assert client._loop.thread is None
    for stream in streams:
        stream.__exit__(None, None, None)


def test_an_error_while_the_client_closes_is_a_note_of_the_tests_error() -> None:
    @asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None]:
        yield
        raise Lost

    with pytest.raises(AssertionError, match="the test's") as caught, Client(Starlette(lifespan=lifespan)):
        raise AssertionError("the test's")
    assert "test_failures.Lost" in notes(caught.value)

    async def asynchronous() -> None:
        async with AsyncClient(Starlette(lifespan=lifespan)):
            raise AssertionError("the test's")

    with pytest.raises(AssertionError, match="the test's") as caught:
        asyncio.run(asynchronous())
    assert "test_failures.Lost" in notes(caught.value)


# -- in the lifespan, and in tasks


def _run(app: Any, how: str) -> None:
    if how == "Client":
        with Client(app) as client:
            client.get("/")
        return

    async def asynchronous() -> None:
        async with AsyncClient(app) as client:
            await client.get("/")

    async def transported() -> None:
        async with httpx2.AsyncClient(transport=ASGITransport(app), base_url="http://testserver") as client:
            await client.get("/")

    runs: dict[str, Callable[[], Awaitable[None]]] = {"AsyncClient": asynchronous, "ASGITransport": transported}
    anyio.run(runs[how])


@pytest.mark.parametrize("how", ["Client", "AsyncClient", "ASGITransport"])
@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_a_lifespan_that_fails_has_the_applications_exception_as_its_cause(phase: str, how: str) -> None:
    @asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None]:
        if phase == "startup":
            raise Lost
        yield
        raise Lost

    with pytest.raises(LifespanFailed, match=phase) as caught:
        _run(Starlette(routes=[Route("/", home)], lifespan=lifespan), how)
    assert isinstance(caught.value.__cause__, Lost)


@pytest.mark.parametrize("how", ["Client", "AsyncClient", "ASGITransport"])
def test_an_error_between_startup_and_shutdown_is_raised_when_the_client_closes(how: str) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            raise Lost
        await apps.reply(send)

    with pytest.raises(Lost):
        _run(app, how)


class _FailsToStop(Middleware):
    def on_stop(self, process: object) -> None:
        raise Lost


def test_an_error_in_on_stop_is_raised_when_the_client_closes() -> None:
    with pytest.raises(Lost), Client(Gateway(apps.asgi_echo, middleware=[_FailsToStop()])) as client:
        client.get("/")


def test_an_error_in_a_task_that_nobody_awaits_is_raised_when_the_client_closes() -> None:
    async def fails() -> None:
        raise Lost

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        asyncio.create_task(fails())  # noqa: RUF006  # the test is about this fault
        await apps.reply(send)

    with pytest.raises(Lost), Client(app, lifespan=False) as client:
        client.get("/")


# -- in a WebSocket


async def _fails_in_a_socket(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    raise Lost


def test_an_error_after_the_close_of_a_websocket_is_raised(backend: Any) -> None:
    with Client(_fails_in_a_socket, lifespan=False, backend=backend) as client:
        with pytest.raises(Lost), client.websocket("/"):
            pass


def test_an_error_in_a_websocket_is_a_note_of_the_tests_error(backend: Any) -> None:
    with Client(_fails_in_a_socket, lifespan=False, backend=backend) as client:
        with pytest.raises(AssertionError, match="the test's") as caught, client.websocket("/"):
            raise AssertionError("the test's")
    assert "test_failures.Lost" in notes(caught.value)


def test_an_error_in_a_websocket_that_is_still_open_is_raised_when_the_client_closes(backend: Any) -> None:
    client = Client(_fails_in_a_socket, lifespan=False, backend=backend)
    socket = client.websocket("/")
    socket.__enter__()
    with pytest.raises(Lost):
        client.close()
    socket.__exit__(None, None, None)


def test_without_raising_an_error_in_a_websocket_is_kept() -> None:
    with Client(_fails_in_a_socket, lifespan=False, raise_app_exceptions=False) as client:
        with client.websocket("/") as socket:
            socket.send_text("x")
        assert isinstance(socket.app_error, Lost)


def test_without_raising_an_error_before_the_accept_is_a_500(backend: Any) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        raise Lost

    with Client(app, lifespan=False, backend=backend, raise_app_exceptions=False) as client:
        with pytest.raises(WebSocketDenied) as denied, client.websocket("/"):
            pass
    assert denied.value.response.status_code == 500
    with Client(app, lifespan=False, backend=backend) as client, pytest.raises(Lost), client.websocket("/"):
        pass


def test_a_cancellation_of_its_own_in_a_websocket_is_an_error() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise asyncio.CancelledError

    with Client(app, lifespan=False) as client, pytest.raises(ApplicationError, match="CancelledError"):
        with client.websocket("/") as socket:
            socket.receive()
