"""WebSockets without a socket, from a thread and from a loop."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from gateway.errors import ApplicationError
from gateway.testing import AsyncClient, Client, Unsupported, WebSocketClosed, WebSocketDenied
from tests.gateway.testing import apps


@pytest.fixture(params=["asyncio", "trio"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    apps.closed.clear()
    with Client(apps.chat, backend=request.param) as client:
        yield client
        assert not client.leaks()


def test_messages_go_both_ways(client: Client) -> None:
    with client.websocket("/", subprotocols=["v2", "v1"], headers={"x-token": "t"}, params={"a": "b"}) as socket:
        assert socket.accepted_subprotocol == "v2"
        assert socket.accept_headers == [(b"x-room", b"7")]
        socket.send_text("hello")
        assert socket.receive_text() == "HELLO"
        socket.send_bytes(b"abc")
        assert socket.receive_bytes() == b"cba"
        socket.send_json({"a": 1})
        assert socket.receive_json() == {"A": 1}
        kinds = [message["type"] for message in socket.messages]
    assert kinds[:4] == ["websocket.connect", "websocket.accept", "websocket.receive", "websocket.send"]
    assert apps.closed == [(1000, None)]


def test_the_application_learns_the_close_code(client: Client) -> None:
    with client.websocket("/") as socket:
        socket.close(3000, "bye")
        socket.close(1000)
        with pytest.raises(WebSocketClosed):
            socket.send_text("too late")
    assert apps.closed == [(3000, "bye")]


def test_a_dropped_connection_is_told_as_1006(client: Client) -> None:
    with client.websocket("/") as socket:
        socket.drop()
    assert apps.closed == [(1006, None)]


def test_the_client_learns_the_close_code(client: Client) -> None:
    with client.websocket("/closes") as socket, pytest.raises(WebSocketClosed) as closed:
        socket.receive()
    assert (closed.value.code, closed.value.reason) == (3001, "enough")


def test_a_close_before_the_accept_is_a_403(client: Client) -> None:
    with pytest.raises(WebSocketDenied) as denied, client.websocket("/refused"):
        pass
    assert denied.value.response.status_code == 403


def test_a_denial_response_is_seen_whole(client: Client) -> None:
    with pytest.raises(WebSocketDenied) as denied, client.websocket("/denied"):
        pass
    response = denied.value.response
    assert (response.status_code, response.headers["x-why"], response.content) == (401, "token", b"no token")


def test_an_application_that_returns_without_an_answer_is_an_error() -> None:
    with (
        Client(apps.chat, validate="off") as client,
        pytest.raises(ApplicationError, match="accept, close or deny"),
        client.websocket("/silent"),
    ):
        pass


def test_what_the_application_raises_is_raised(client: Client) -> None:
    with pytest.raises(ZeroDivisionError), client.websocket("/raises") as socket:
        socket.receive()


def test_a_message_of_the_other_kind_is_named(client: Client) -> None:
    with client.websocket("/") as socket:
        socket.send_text("x")
        with pytest.raises(ApplicationError, match="got text 'X'"):
            socket.receive_bytes()
        socket.send_bytes(b"x")
        with pytest.raises(ApplicationError, match="got bytes b'x'"):
            socket.receive_text()


def test_waiting_in_vain_ends_and_the_socket_goes_on(client: Client) -> None:
    with client.websocket("/") as socket:
        with pytest.raises(TimeoutError):
            socket.receive(timeout=0.01)
        socket.send_text("still there")
        assert socket.receive() == "STILL THERE"


def test_an_error_in_the_block_is_the_one_that_is_raised(client: Client) -> None:
    with pytest.raises(LookupError), client.websocket("/"):
        raise LookupError
    assert apps.closed == [(1000, None)]


def test_wsgi_has_no_websocket() -> None:
    with Client(apps.wsgi_echo) as client, pytest.raises(Unsupported, match="WSGI"), client.websocket("/"):
        pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_async_client_has_the_same_socket(backend: str) -> None:
    async def main() -> None:
        apps.closed.clear()
        async with AsyncClient(apps.chat) as client:
            async with client.websocket("/", subprotocols=["v1"]) as socket:
                await socket.send_text("hello")
                assert await socket.receive_text() == "HELLO"
                await socket.close(3000)
            assert apps.closed == [(3000, None)]
            with pytest.raises(WebSocketDenied):
                async with client.websocket("/refused"):
                    pass
            with pytest.raises(LookupError):
                async with client.websocket("/"):
                    raise LookupError

    anyio.run(main, backend=backend)
