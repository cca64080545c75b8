"""The same surface over a connection: a real server, and what only a client inside the process can see refused."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway import Gateway
from gateway.errors import ConfigurationError
from gateway.middleware import ProxyHeaders
from gateway.protocols import ASGIReceive, ASGISend, Scope
from gateway.servers import Running, get
from gateway.testing import Fault, Unsupported, WebSocketClosed, WebSocketDenied
from gateway.testing.served import AsyncServedClient, ServedClient, locate, serve, told_violations
from tests.gateway.testing import apps


async def site(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    """Everything that the other applications do, under one server."""
    if scope["type"] == "websocket":
        await apps.chat(scope, receive, send)
    elif scope["type"] == "http" and scope["path"].startswith("/chunks/"):
        inner = {**scope, "path": scope["path"].removeprefix("/chunks")}
        await apps.asgi_chunks(inner, receive, send)
    elif scope["type"] == "http" and scope["path"] in ("/login", "/home"):
        await apps.asgi_session(scope, receive, send)
    else:
        await apps.asgi_echo(scope, receive, send)


def _client_address(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_ADDR"].encode()]


proxied = Gateway(_client_address, middleware=[ProxyHeaders(trust=("127.0.0.1",))])


@pytest.mark.parametrize("name", ["waitress", pytest.param("uvicorn", marks=pytest.mark.slow)])
def test_a_server_leaves_forwarded_headers_to_the_chain(name: str) -> None:
    with (
        serve(get(name), proxied, sys.modules[__name__]) as running,
        ServedClient(running.server, f"http://127.0.0.1:{running.bind.port}") as client,
    ):
        assert client.get("/", headers={"x-forwarded-for": "203.0.113.9"}).text == "203.0.113.9"
        assert "ProxyHeaders" not in running.output()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serve(get("uvicorn"), site) as running:
        yield running
        assert told_violations(running) == []


@pytest.fixture
def url(running: Running) -> str:
    return f"http://{running.bind.host}:{running.bind.port}"


@pytest.fixture
def client(running: Running, url: str) -> Iterator[ServedClient]:
    with ServedClient(running.server, url, headers={"x-always": "é"}) as client:
        yield client


def test_requests_and_responses_are_the_same_over_a_connection(client: ServedClient) -> None:
    seen = client.post("/a/é", params={"q": "1"}, content=[b"ab", b"", b"c"], headers=[("x-a", "1")]).json()
    assert (seen["method"], seen["path"], seen["query"], seen["body"]) == ("POST", "/a/é", "q=1", "abc")
    assert (seen["headers"]["x-a"], seen["headers"]["x-always"]) == ("1", "é")
    page = client.post("/login", follow_redirects=True)
    assert (page.reason, page.text, dict(client.cookies)) == (
        "OK",
        "user=ada; theme=dark",
        {"user": "ada", "theme": "dark"},
    )
    assert client.get("/home", cookies={"own": "1"}).text == "user=ada; theme=dark; own=1"
    assert (b"x-always", b"\xe9") in client.headers.raw


def test_a_response_streams_over_a_connection(client: ServedClient) -> None:
    with client.stream("GET", "/chunks/3/4") as response:
        assert b"".join(response.iter_chunks()) == b"000011112222"


@pytest.mark.parametrize(
    "seen",
    ["messages", "trailers", "early_hints", "sent_file", "debug", "app_saw", "app_error", "close_called", "chunks"],
)
def test_what_a_connection_does_not_carry_is_refused_with_the_reason(client: ServedClient, seen: str) -> None:
    response = client.get("/")
    with pytest.raises(Unsupported, match="only a client in the same process"):
        getattr(response, seen)


def test_what_belongs_to_the_server_is_refused_with_the_reason(
    running: Running, client: ServedClient, url: str
) -> None:
    with pytest.raises(Unsupported, match="Fault"):
        client.get("/", fault=Fault())
    with pytest.raises(Unsupported, match="lifespan"):
        _ = client.lifespan_state
    with pytest.raises(Unsupported, match="root_path= cannot be set in this tier"):
        ServedClient(running.server, url, root_path="/app")
    ServedClient(running.server, url, validate="collect").close()
    no_chunks = ServedClient(get("pyuwsgi"), url)
    with pytest.raises(Unsupported, match="pyuwsgi does not pass a chunked body"):
        no_chunks.post("/", content=[b"x"])
    with (
        pytest.raises(Unsupported, match="does not support WebSockets"),
        ServedClient(get("waitress"), url).websocket("/"),
    ):
        pass


def test_a_websocket_is_the_same_over_a_connection(client: ServedClient) -> None:
    with client.websocket("/", subprotocols=["v1"], headers={"x-a": "b"}) as socket:
        assert socket.accepted_subprotocol == "v1"
        socket.send_text("hello")
        assert socket.receive_text() == "HELLO"
        socket.send_bytes(b"abc")
        assert socket.receive_bytes() == b"cba"
        socket.send_json({"a": 1})
        assert socket.receive_json() == {"A": 1}
        with pytest.raises(Unsupported):
            socket.drop()
        socket.close(3000, "bye")
    with pytest.raises(WebSocketClosed) as closed, client.websocket("/closes") as socket:
        socket.receive_text()
    assert (closed.value.code, closed.value.reason) == (3001, "enough")
    with pytest.raises(WebSocketDenied) as denied, client.websocket("/refused"):
        pass
    assert denied.value.response.status_code == 403


def test_the_asynchronous_client_is_the_same_over_a_connection(running: Running, url: str) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    async def main() -> None:
        async with AsyncServedClient(running.server, url) as client:
            for body in ([b"ab", b"", b"c"], content(), b"abc"):
                assert (await client.post("/", content=body)).json()["body"] == "abc"
            assert (await client.post("/login")).status_code == 303
            assert dict(client.cookies) == {"user": "ada", "theme": "dark"}
            async with client.stream("GET", "/chunks/2/2") as response:
                assert b"".join([chunk async for chunk in response.iter_chunks()]) == b"0011"
            with pytest.raises(Unsupported, match="synchronous client"):
                client.websocket("/")

    asyncio.run(main())


def test_an_application_is_found_by_identity() -> None:
    module, file, name = locate(site)
    assert (module, name) == (__name__, "site")
    assert file.endswith("test_served.py")

    def local(environ: Any, start_response: Any) -> Any:
        return []

    with pytest.raises(ConfigurationError, match="global of its module"):
        locate(local)
