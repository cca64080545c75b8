"""Clients close in a short time, whatever the application does, and a client that was closed can be used again."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from starlette.applications import Starlette

from gateway.errors import ApplicationError
from gateway.lifespan import LifespanFailed
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope
from gateway.testing import ASGITransport, AsyncClient, Client, Fault, _asgi_call, _concurrency, websocket
from gateway.testing.tiers import Tier
from tests.gateway.testing import apps

BACKENDS = ["asyncio", "trio"]
#: Far below the clients' timeout of ten seconds, and far above the time that closing needs.
SOON = 5.0


@contextmanager
def soon(seconds: float = SOON) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings and errors in the log; another test may have set a lower level."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait half a second in each test; the length of the grace is not what they are about."""
    for module in (_asgi_call, websocket):
        monkeypatch.setattr(module, "GRACE", 0.05)


@pytest.fixture
def short_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_asgi_call, _concurrency, websocket):
        monkeypatch.setattr(module, "ENDS_BY", 0.2)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


async def _start(send: ASGISend) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})


async def waits(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Begins, and then never looks at its client."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    else:
        await _start(send)
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await anyio.sleep_forever()


async def sends(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Sends for ever, whatever ``send()`` does."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "more"})
    await _start(send)
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})


async def receives(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Receives for ever, whatever it receives."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    else:
        await _start(send)
    while True:
        await receive()


ENDLESS = {"waits": waits, "sends": sends, "receives": receives}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("how", ["event", "both"])
def test_a_stream_of_an_application_that_never_ends_is_left_soon(name: str, how: Any, backend: Any) -> None:
    with soon(), Client(ENDLESS[name], lifespan=False, backend=backend, fault=Fault(how=how)) as client:
        with client.stream("GET", "/") as response:
            assert response.status_code == 200
        assert response.disconnected
        assert not client.leaks()


def test_an_application_that_never_looks_at_its_client_is_cancelled(backend: Any) -> None:
    with Client(waits, lifespan=False, backend=backend) as client:
        with client.stream("GET", "/") as response:
            assert next(response.iter_chunks()) == b"first"
        assert response.app_saw == "cancelled"


@pytest.mark.parametrize("name", ENDLESS)
def test_a_websocket_of_an_application_that_never_ends_is_left_soon(name: str, backend: Any) -> None:
    with soon(), Client(ENDLESS[name], lifespan=False, backend=backend) as client:
        with client.websocket("/"):
            pass
        assert not client.leaks()


def test_an_application_that_goes_on_after_it_refused_a_websocket_is_left_soon(backend: Any) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        await send({"type": "websocket.close"})
        await anyio.sleep_forever()

    with soon(), Client(app, lifespan=False, backend=backend) as client:
        with pytest.raises(Exception, match="denied the WebSocket: 403"), client.websocket("/"):
            pass


def test_a_request_to_an_application_that_never_stops_sending_ends_with_the_timeout(backend: Any) -> None:
    with soon(), Client(sends, lifespan=False, backend=backend, timeout=0.1) as client:
        with pytest.raises(ApplicationError, match=r"0\.1 seconds"):
            client.get("/")


@pytest.mark.parametrize("block", [b"x", b""], ids=["blocks", "empty-blocks"])
def test_a_wsgi_application_that_never_stops_ends_with_the_timeout_and_is_closed(block: bytes) -> None:
    closed: list[str] = []

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                yield block
        finally:
            closed.append("closed")

    async def asynchronous() -> None:
        async with AsyncClient(app, timeout=0.1) as client:
            await client.get("/")

    with soon(), Client(app, timeout=0.1) as client, pytest.raises(ApplicationError, match=r"0\.1 seconds"):
        client.get("/")
    with soon(), pytest.raises(ApplicationError, match=r"0\.1 seconds"):
        asyncio.run(asynchronous())
    assert closed == ["closed"] * 2


@pytest.mark.parametrize("name", ["waits", "sends"])
def test_everything_that_is_open_is_closed_soon_with_the_client(name: str, backend: Any) -> None:
    with ExitStack() as left:
        with soon():
            client = Client(ENDLESS[name], lifespan=False, backend=backend)
            left.enter_context(client.stream("GET", "/"))
            left.enter_context(client.websocket("/"))
            client.close()
        assert client._loop.thread is None


@pytest.mark.parametrize("name", ENDLESS)
def test_the_asynchronous_client_closes_soon(name: str, backend: Any) -> None:
    async def main() -> None:
        async with AsyncExitStack() as left:
            async with AsyncClient(ENDLESS[name], lifespan=False) as client:
                async with client.stream("GET", "/"):
                    pass
                async with client.websocket("/"):
                    pass
                await left.enter_async_context(client.stream("GET", "/"))
                await left.enter_async_context(client.websocket("/"))

    with soon():
        anyio.run(main, backend=backend)


def _loops() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "gateway-testing"}


def _hangs(phase: str) -> Any:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "lifespan":
            await apps.reply(send)
            return
        await receive()
        if phase == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await anyio.sleep_forever()

    return app


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_a_lifespan_that_hangs_is_an_error_after_the_timeout(phase: str, backend: Any) -> None:
    before = _loops()
    with soon(), pytest.raises(LifespanFailed, match=phase):
        with Client(_hangs(phase), backend=backend, timeout=0.1):
            pass
    assert _loops() <= before

    async def main() -> None:
        async with AsyncClient(_hangs(phase), timeout=0.1):
            pass

    with soon(), pytest.raises(LifespanFailed, match=phase):
        anyio.run(main, backend=backend)


@pytest.mark.usefixtures("short_end")
def test_an_application_that_blocks_the_loop_is_named(backend: Any) -> None:
    """A call without ``await``: the loop cannot cancel it, so the client must not wait for the loop."""
    release = threading.Event()

    async def blocks(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        release.wait(60)

    with soon():
        client = Client(blocks, lifespan=False, backend=backend, timeout=0.1)
        with pytest.raises(ApplicationError, match=r"(?s)blocks the event loop.*release\.wait"):
            client.get("/")
        with pytest.raises(ApplicationError, match=r"(?s)does not end.*release\.wait"):
            client.close()
    release.set()


@pytest.mark.usefixtures("short_end")
def test_an_application_that_goes_on_after_a_cancellation_is_named() -> None:
    release = threading.Event()

    async def stubborn(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await _start(send)
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    client = Client(stubborn, lifespan=False, validate="off")
    with soon():
        with pytest.raises(ApplicationError, match="after it was cancelled"), client.stream("GET", "/"):
            pass
    release.set()
    client.close()


# -- once more


@pytest.mark.parametrize("tier", ["direct", "adapted", "roundtrip"])
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_client_that_was_closed_starts_again(interface: str, tier: Tier) -> None:
    client = Client(apps.ECHO[interface], tier=tier)
    for _ in range(2):
        with client:
            assert client.get("/").status_code == 200
    assert client.get("/").status_code == 200
    client.close()

    async def main() -> None:
        asynchronous = AsyncClient(apps.ECHO[interface], tier=tier)
        for _ in range(2):
            async with asynchronous:
                assert (await asynchronous.get("/")).status_code == 200

    asyncio.run(main())


def test_a_transport_starts_the_lifespan_for_each_client() -> None:
    order: list[str] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await apps.run_lifespan(scope, receive, send, number=len(order))
        order.append(scope["type"])
        if scope["type"] == "http":
            await apps.reply(send, repr(scope["state"]).encode())

    async def main() -> None:
        transport = ASGITransport(app)
        for expected in (0, 2):
            async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
                assert (await client.get("/")).text == repr({"number": expected})

    asyncio.run(main())
    assert order == ["http", "lifespan"] * 2


def test_each_start_has_a_lifespan_of_its_own_and_cookies_stay() -> None:
    order: list[str] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] != "lifespan":
            await apps.asgi_session(scope, receive, send)
            return
        order.append("start")
        await apps.run_lifespan(scope, receive, send, number=len(order))
        order.append("stop")

    client = Client(app)
    with client:
        client.post("/login")
        assert client.lifespan_state == {"number": 1}
    with client:
        assert client.get("/home").text == "user=ada; theme=dark"
        assert client.lifespan_state == {"number": 3}
    assert order == ["start", "stop"] * 2


def test_a_client_that_nobody_closed_stops_the_lifespan_in_order(caplog: pytest.LogCaptureFixture) -> None:
    stopped = threading.Event()

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await apps.run_lifespan(scope, receive, send)
            stopped.set()
            return
        await apps.reply(send)

    client = Client(app)
    client.get("/")
    thread = client._loop.thread
    assert thread is not None
    del client
    gc.collect()
    assert stopped.wait(SOON)
    thread.join(SOON)
    assert not thread.is_alive()
    assert complaints(caplog) == []


def test_an_asynchronous_client_that_nobody_closed_stops_the_lifespan_in_order(
    caplog: pytest.LogCaptureFixture, backend: Any
) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        order.append("start")
        yield
        await anyio.lowlevel.checkpoint()
        order.append("stop")

    async def main() -> AsyncClient:
        client = AsyncClient(Starlette(lifespan=lifespan))
        assert (await client.get("/")).status_code == 404
        return client

    anyio.run(main, backend=backend).assert_kept()
    assert (order, complaints(caplog)) == (["start", "stop"], [])


def test_an_unclosed_client_of_starlette_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(Starlette())
    client.get("/")
    thread = client._loop.thread
    assert thread is not None
    del client
    gc.collect()
    thread.join(SOON)
    assert complaints(caplog) == []
