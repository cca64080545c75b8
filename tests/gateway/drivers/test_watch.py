"""A client that gives up before the headers: seen where the head took its time, and never at the cost of a message."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from gateway import client as _watch
from gateway import drivers
from gateway.contract import Middleware, io
from gateway.exchange import Outcome, Request, Response
from gateway.middleware import AccessLog
from tests.gateway.drivers._side import BODY, START, logged, scope

END = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


class Server:
    """A server whose client leaves when the application says so, as uvicorn tells it."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.gone = anyio.Event()
        self.asked = 0
        self.waiting = 0
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        self.asked += 1
        if self.gone.is_set():
            return GONE
        if self.messages:
            return self.messages.pop(0)
        self.waiting += 1
        try:
            await self.gone.wait()
        finally:
            self.waiting -= 1
        return GONE

    async def send(self, message: Any) -> None:
        self.sent.append(message.get("status") or message.get("body"))


def exchange(
    app: Any, *, backend: str, chain: list[Middleware] | None = None, **more: Any
) -> tuple[list[Outcome], Server]:
    """Serve one request; return what was told at its end, and the server."""
    outcomes: list[Outcome] = []
    servers: list[Server] = []

    async def main() -> None:
        server = Server(END)
        servers.append(server)

        async def called(scope: Any, receive: Any, send: Any) -> None:
            await app(server, receive, send)

        kept = logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))
        with anyio.fail_after(20):
            serve = drivers.build_asgi([kept, *(chain or [])], called)
            await serve(scope(**more), server.receive, server.send)
            await anyio.wait_all_tasks_blocked()

    anyio.run(main, backend=backend)
    return outcomes, servers[0]


pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "LOOK_AFTER", -1.0)


@pytest.fixture
def _never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "LOOK_AFTER", 1e9)


@pytest.mark.usefixtures("_always")
def test_a_client_that_leaves_before_the_headers_is_an_abort_without_a_status(backend: str) -> None:
    async def app(server: Server, receive: Any, send: Any) -> None:
        server.gone.set()
        await send({**START})
        await send({**BODY})

    outcomes, server = exchange(app, backend=backend)
    assert [(o.kind, o.status, o.bytes_sent, o.first_byte_at, o.disconnected) for o in outcomes] == [
        ("aborted", None, 0, None, True)
    ]
    assert server.sent == [200, b"hello"]


@pytest.mark.usefixtures("_always")
def test_a_client_that_stays_is_a_completion_and_no_receive_is_left(backend: str) -> None:
    async def app(server: Server, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY})

    outcomes, server = exchange(app, backend=backend)
    assert [(o.kind, o.status, o.bytes_sent, o.disconnected) for o in outcomes] == [("completed", 200, 5, False)]
    assert server.waiting == 0


@pytest.mark.usefixtures("_always")
def test_what_was_received_before_the_headers_is_the_application_s(backend: str) -> None:
    got: list[str] = []

    async def app(server: Server, receive: Any, send: Any) -> None:
        await send({**START})
        got.append((await receive())["type"])
        server.gone.set()
        got.append((await receive())["type"])
        await send({**BODY})

    outcomes, _ = exchange(app, backend=backend)
    assert got == ["http.request", "http.disconnect"]
    # It left after the headers.
    assert [(o.kind, o.status) for o in outcomes] == [("aborted", 200)]


@pytest.mark.usefixtures("_always")
def test_a_body_that_was_not_read_is_left_to_the_application(backend: str) -> None:
    async def app(server: Server, receive: Any, send: Any) -> None:
        await send({**START})
        assert server.asked == 0
        await receive()
        await send({**BODY})

    length = [(b"content-length", b"7")]
    outcomes, server = exchange(app, backend=backend, method="POST", headers=length)
    assert [o.kind for o in outcomes] == ["completed"]
    assert server.asked == 1


@pytest.mark.usefixtures("_never")
def test_a_quick_response_asks_the_server_for_nothing(backend: str) -> None:
    async def app(server: Server, receive: Any, send: Any) -> None:
        await send({**START})
        await send({**BODY})

    outcomes, server = exchange(app, backend=backend)
    assert [o.kind for o in outcomes] == ["completed"]
    assert server.asked == 0


@pytest.mark.usefixtures("_never")
def test_a_disconnect_that_the_application_received_is_before_its_headers(backend: str) -> None:
    async def app(server: Server, receive: Any, send: Any) -> None:
        server.gone.set()
        assert (await receive())["type"] == "http.disconnect"
        await send({**START, "status": 500})  # an error page, as Starlette's
        await send({**BODY})

    outcomes, _ = exchange(app, backend=backend)
    assert [(o.kind, o.status, o.bytes_sent) for o in outcomes] == [("aborted", None, 0)]


@pytest.mark.usefixtures("_always")
def test_a_client_that_leaves_while_a_middleware_looks_something_up_is_seen(backend: str) -> None:
    servers: list[Server] = []

    class Slow(Middleware):
        def on_request(self, request: Request) -> Any:
            yield from io(lambda: None, leave)
            return Response(429, body="too many")

    async def leave() -> None:
        servers[0].gone.set()

    outcomes: list[Outcome] = []

    async def main() -> None:
        server = Server(END)
        servers.append(server)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError("never called")

        kept = logged("a", [], on_finish=lambda request, outcome: outcomes.append(outcome))
        with anyio.fail_after(20):
            await drivers.build_asgi([kept, Slow()], app)(scope(), server.receive, server.send)

    anyio.run(main, backend=backend)
    assert [(o.kind, o.status) for o in outcomes] == [("aborted", None)]


@pytest.mark.usefixtures("_always")
def test_the_access_log_says_499(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    async def app(server: Server, receive: Any, send: Any) -> None:
        server.gone.set()
        await send({**START})
        await send({**BODY})

    with caplog.at_level("INFO", "gateway.access"):
        entries: list[Any] = []
        exchange(app, backend=backend, chain=[AccessLog(format=lambda e: entries.append(e) or "")])
        deadline = time.monotonic() + 20
        while not entries and time.monotonic() < deadline:  # a thread of its own makes the line
            time.sleep(0.001)
    assert [(entry.status, entry.outcome) for entry in entries] == [(499, "aborted")]
