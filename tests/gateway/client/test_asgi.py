"""A WSGI application behind the adapter, and a middleware, ask whether the client is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gateway import Gateway
from gateway.adapters import WsgiToAsgi
from gateway.client.asgi import AsgiClient, LoneClient, client_of
from gateway.contract import Middleware
from gateway.exchange import Request, Response
from tests.adapters.driving import Server, http_scope, run_on

BACKENDS = ["asyncio", "trio"]


class Client(Server):
    """A server whose client leaves when the application says so. It counts the calls of ``receive`` that wait."""

    waiting = 0
    most = 0

    async def receive(self) -> dict[str, Any]:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            return await super().receive()
        finally:
            self.waiting -= 1


def served(app: Any, server: Server, backend: str, **scope: Any) -> None:
    async def main() -> None:
        await app(http_scope(**scope), server.receive, server.send)
        await anyio.wait_all_tasks_blocked()

    run_on(backend, main)


def asking(answers: list[Any], server: Server, gone: threading.Event, *, read: bool = False) -> Any:
    """Return a WSGI application that asks before its client leaves, and after."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if read:
            environ["wsgi.input"].read()
        ask = environ["gateway.disconnected"]
        answers.append(ask())
        gone.set()
        for _ in range(1000):
            if ask():
                break
            threading.Event().wait(0.005)
        answers.append(ask())
        start_response("200 OK", [])
        return [b"hello"]

    return app


async def leaves(server: Server, gone: threading.Event) -> None:
    while not gone.is_set():  # noqa: ASYNC110  # another thread sets it
        await anyio.sleep(0.001)
    server.disconnect.set()


BODIES: dict[str, tuple[tuple[bytes, ...], list[tuple[bytes, bytes]]]] = {
    "no body": ((), []),
    "length 0": ((), [(b"content-length", b"0")]),
    "short": ((b"abc",), [(b"content-length", b"3")]),
    "long, read": ((b"x" * 65536,) * 3, [(b"content-length", b"196608")]),
    "chunked, read": ((b"x" * 10, b"y"), [(b"transfer-encoding", b"chunked")]),
}


@pytest.mark.parametrize("chain", [False, True], ids=["alone", "in a chain"])
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_application_learns_in_its_thread_that_the_client_is_gone(backend: str, name: str, chain: bool) -> None:
    body, headers = BODIES[name]
    answers: list[Any] = []
    gone = threading.Event()

    async def main() -> None:
        server = Client(body)
        app = asking(answers, server, gone, read="read" in name)
        served = Gateway(app, middleware=[Ends()] if chain else []).asgi
        async with anyio.create_task_group() as group:
            group.start_soon(leaves, server, gone)
            await served(http_scope(headers=headers), server.receive, server.send)
        await anyio.wait_all_tasks_blocked()
        assert server.most == 1, "a request has one reader"
        assert server.waiting == 0

    run_on(backend, main)
    assert answers == [False, True]


class Ends(Middleware):
    """Has a driver watch: it waits for the end."""

    def on_finish(self, request: Request, outcome: Any) -> None:
        pass


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_answer_is_right_if_the_client_has_left_already(backend: str) -> None:
    answers: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        answers.append(environ["gateway.disconnected"]())
        start_response("200 OK", [])
        return []

    server = Server(after="disconnect")
    served(WsgiToAsgi(app), server, backend)
    assert answers == [True]
    assert not server.sent


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_without_disconnects_is_known_to_tell_nothing(backend: str) -> None:
    answers: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        answers.append(environ["gateway.disconnected"]())
        start_response("200 OK", [])
        return []

    server = Server(after="repeat")
    served(WsgiToAsgi(app), server, backend)
    assert answers == [None]
    assert server.complete


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{"inline": True}, {}], ids=["inline", "expects a 100"])
def test_where_a_question_would_wait_or_send_a_100_nothing_is_known(backend: str, options: dict[str, Any]) -> None:
    answers: list[Any] = []
    headers = [] if options else [(b"content-length", b"5"), (b"expect", b"100-continue")]

    def app(environ: Any, start_response: Any) -> list[bytes]:
        answers.append(environ["gateway.disconnected"]())
        start_response("413 Content Too Large", [])
        return []

    server = Server(after="disconnect")
    served(WsgiToAsgi(app, **options), server, backend, headers=headers)
    assert answers == [None]
    assert server.received == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_question_after_the_end_does_not_wait(backend: str) -> None:
    asks: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        asks.append(environ["gateway.disconnected"])
        start_response("200 OK", [])
        return []

    served(WsgiToAsgi(app), Server(), backend)
    answers: list[Any] = []
    late = threading.Thread(target=lambda: answers.append(asks[0]()))
    late.start()
    late.join(10)
    assert answers in ([None], [False])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_middleware_that_only_touches_headers_can_ask_too(backend: str) -> None:
    asks: list[Any] = []

    class Asks(Middleware):
        def on_response(self, request: Request, response: Response) -> None:
            asks.append(request.disconnected)

    answers: list[Any] = []

    async def main() -> None:
        server = Client()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            answers.append(asks[0]())
            await anyio.wait_all_tasks_blocked()
            answers.append(asks[0]())
            server.disconnect.set()
            await anyio.wait_all_tasks_blocked()
            answers.append(asks[0]())
            assert (await receive())["type"] == "http.request", "what the watch received belongs to the application"
            assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.body", "body": b""})

        await Gateway(app, middleware=[Asks()]).asgi(http_scope(), server.receive, server.send)
        assert server.most == 1

    run_on(backend, main)
    assert answers == [False, False, True]


@pytest.mark.parametrize("backend", BACKENDS)
def test_before_the_request_body_was_read_nothing_is_known(backend: str) -> None:
    answers: list[Any] = []

    class Asks(Middleware):
        def on_request(self, request: Request) -> None:
            answers.append(request.disconnected())

        def on_response(self, request: Request, response: Response) -> None:
            answers.append(request.disconnected())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"abc"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    served(Gateway(app, middleware=[Asks()]).asgi, Server((b"abc",)), backend, headers=[(b"content-length", b"3")])
    assert answers == [None, False]


def test_an_adapter_uses_the_client_of_the_driver() -> None:
    async def receive() -> Any: ...

    class Exchange(AsgiClient):
        async def receive(self) -> Any: ...

    exchange = Exchange()
    assert client_of(exchange.receive) is exchange
    assert type(client_of(receive)) is LoneClient


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_ends_when_the_client_leaves_and_nothing_is_left(backend: str) -> None:
    closed = threading.Event()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.set()

    async def main() -> None:
        server = Client()

        async def on_send(message: Any) -> None:
            if len(server.sent) == 5:
                server.disconnect.set()
            await anyio.lowlevel.checkpoint()

        server.on_send = on_send
        await WsgiToAsgi(app)(http_scope(), server.receive, server.send)
        assert server.most == 1
        await anyio.wait_all_tasks_blocked()
        assert server.waiting == 0

    run_on(backend, main)
    assert closed.wait(10)
