"""WebSockets of a WSGI application under real ASGI servers, and under Gunicorn's gthread workers as the yardstick."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import socketio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.adapters.wsgi_sockets import STREAM_BYTES
from tests.middleware.live import ask

ROOT = str(Path(__file__).resolve().parents[2])
SECONDS = 30.0
ASGI = ("uvicorn", "hypercorn-asyncio", "granian-asgi", "granian-rsgi", "daphne", "gunicorn-asgi")
YARDSTICK = "gunicorn-gthread"
#: Servers that cannot deny with a response of the application, and send 403.
ONLY_403 = ("granian-rsgi", "daphne", "gunicorn-asgi")
#: Its own interface has no subprotocol and no close codes.
NO_CODES = ("granian-rsgi",)
#: Servers that send a close code without its reason.
NO_REASON = ("daphne",)
#: What an application sees of the client's close with 4002 and "bye", if the server does not report both.
#: 1005 is what simple-websocket makes of a connection that breaks.
SEEN = {
    "daphne": [4002, ""],
    "granian-asgi": [4002, ""],
    "granian-rsgi": [1005, ""],
    "gunicorn-asgi": [4002, ""],
    "hypercorn-asyncio": [1005, ""],
}


def launched(name: str, attribute: str, **options: Any) -> Running:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)  # it names the package that is not installed
    threads = 16 if name == YARDSTICK else None
    launch = Launch(
        target=f"tests.adapters.wsgi_sockets:{attribute}", bind=Bind(port=0), app_dir=ROOT, threads=threads, **options
    )
    return start(server, launch)


CASES = [
    pytest.param((name, attribute), marks=[] if (name, attribute) == ("uvicorn", "chained") else [pytest.mark.slow])
    for name in (*ASGI, YARDSTICK)
    for attribute in ("alone", "chained")
]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, Running]]:
    name, attribute = request.param
    with launched(name, attribute) as running:
        yield name, running


@pytest.fixture
def opened(served: tuple[str, Running]) -> Callable[..., ClientConnection]:
    return lambda path, **options: opening(served[1], path, **options)


def opening(running: Running, path: str, **options: Any) -> ClientConnection:
    return connect(f"ws://{running.bind.netloc}{path}", open_timeout=SECONDS, max_size=None, **options)


def told(running: Running) -> dict[str, Any]:
    response = ask(running.bind, "GET", "/log", (("Host", "localhost"),))
    assert response.status == 200
    found: dict[str, Any] = json.loads(response.body)
    return found


def until(running: Running, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while not holds(found := told(running)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def ended(client: ClientConnection) -> tuple[int, str]:
    """Read to the end, and return the close code and the reason."""
    with suppress(ConnectionClosed):
        while True:
            client.recv(SECONDS)
    return client.close_code or 1006, client.close_reason or ""


def test_flask_sock_echoes_while_pages_are_served(served: tuple[str, Running], opened: Any) -> None:
    with opened("/echo") as client:
        for message in ("hello", "grüße", b"\x00\xff", "x" * 300_000, b"y" * 900_000):
            client.send(message)
            assert client.recv(SECONDS) == message
        client.send(["in ", "three ", "fragments"])
        assert client.recv(SECONDS) == "in three fragments"
        assert client.ping().wait(SECONDS)
        assert ask(served[1].bind, "GET", "/", (("Host", "localhost"),)).body == b"a page"
    if served[0] != YARDSTICK:
        until(served[1], lambda found: not found["sockets"])


def test_the_request_is_the_applications(served: tuple[str, Running], opened: Any) -> None:
    with opened("/once?name=f%C3%BCr", additional_headers={"Cookie": "session=abc"}) as client:
        assert client.recv(SECONDS) == "für abc"
        assert ended(client) == (1005 if served[0] in NO_CODES else 1000, "")


def test_the_close_code_of_the_application_reaches_the_client(served: tuple[str, Running], opened: Any) -> None:
    with opened("/close") as client:
        client.send("x")
        code = 1005 if served[0] in NO_CODES else 4001
        assert ended(client) == (code, "" if served[0] in (*NO_CODES, *NO_REASON) else "enough")


def test_an_error_of_a_view_closes_with_1011(served: tuple[str, Running], opened: Any) -> None:
    with opened("/fails") as client:
        client.send("x")
        code, _ = ended(client)
    # Gunicorn writes an error page into the WebSocket, which no client can read.
    assert code == {YARDSTICK: 1006, **dict.fromkeys(NO_CODES, 1005)}.get(served[0], 1011)


def test_the_close_code_of_the_client_reaches_the_application(served: tuple[str, Running], opened: Any) -> None:
    with opened("/ends") as client:
        assert client.recv(SECONDS) == "open"
        client.close(4002, "bye")
    name, running = served
    found = until(running, lambda found: found["log"])
    assert found["log"][-1] == SEEN.get(name, [4002, "bye"])


def test_a_client_that_vanishes_frees_the_thread(served: tuple[str, Running], opened: Any) -> None:
    name, running = served
    before = until(running, lambda found: not found["sockets"])["threads"]
    with opened("/ends", close_timeout=0.1) as client:
        assert client.recv(SECONDS) == "open"
        client.socket.shutdown(socket.SHUT_RDWR)
    if name != YARDSTICK:
        until(running, lambda found: found["threads"] <= before)


def test_the_subprotocol_is_the_applications_choice(served: tuple[str, Running], opened: Any) -> None:
    with opened("/protocol", subprotocols=["v0", "v1", "v2"]) as client:
        chosen = client.recv(SECONDS)
        assert client.subprotocol == (None if served[0] in NO_CODES else "v1")
        assert chosen == (client.subprotocol or "none")


def test_a_response_refuses(served: tuple[str, Running], opened: Any) -> None:
    for path, status in (("/members", 401), ("/missing", 404)):
        with pytest.raises(InvalidStatus) as caught, opened(path):
            pytest.fail("it was accepted")
        assert caught.value.response.status_code == (403 if served[0] in ONLY_403 else status)


@pytest.mark.parametrize("kind", ["simple", "gevent"])
def test_simple_websocket_and_code_for_gevent_websocket(kind: str, served: tuple[str, Running], opened: Any) -> None:
    if (served[0], kind) == (YARDSTICK, "gevent"):
        with pytest.raises(InvalidStatus), opened("/gevent"):
            pass
        return
    with opened(f"/{kind}") as client:
        client.send("hello")
        assert client.recv(SECONDS) == f"{kind} hello"


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]], ids="-".join)
def test_flask_socketio_sends_to_a_room(transports: list[str], served: tuple[str, Running]) -> None:
    url = f"http://{served[1].bind.netloc}"
    with ExitStack() as stack:
        clients = []
        for _ in range(2):
            client = socketio.SimpleClient()
            client.connect(url, transports=transports)
            stack.callback(client.disconnect)
            assert client.call("enter", "room", timeout=SECONDS) == "entered"
            clients.append(client)
        assert [client.transport for client in clients] == ["websocket"] * 2
        clients[0].emit("say", {"room": "room", "text": "hello"})
        for client in clients:
            assert client.receive(SECONDS) == ["said", "hello"]
        clients[1].emit("message", "x" * 100_000)
        assert clients[1].receive(SECONDS) == ["message", "echo " + "x" * 100_000]


def test_a_server_that_stops_closes_its_websockets() -> None:
    stopping("uvicorn")


@pytest.mark.slow
@pytest.mark.parametrize("name", ASGI[1:])
def test_each_server_that_stops_ends_its_websockets(name: str) -> None:
    stopping(name)


def stopping(name: str) -> None:
    # Gunicorn leaves WebSockets open until its time is up.
    arguments = ("--graceful-timeout", "1") if name == "gunicorn-asgi" else ()
    with launched(name, "alone", arguments=arguments) as running, opening(running, "/ends") as client:
        assert client.recv(SECONDS) == "open"
        before = time.monotonic()
        running.stop(timeout=SECONDS)
        assert time.monotonic() - before < 15
        with suppress(ConnectionClosed):
            client.recv(SECONDS)
            pytest.fail("the WebSocket is open")


@pytest.mark.slow
def test_a_hundred_idle_websockets_do_not_delay_a_page() -> None:
    with launched("uvicorn", "alone") as running, ExitStack() as stack:
        for _ in range(110):
            stack.enter_context(opening(running, "/echo"))
        assert told(running)["sockets"] == 110
        begun = time.monotonic()
        for _ in range(50):
            assert ask(running.bind, "GET", "/", (("Host", "localhost"),)).status == 200
        assert time.monotonic() - begun < 5
        with pytest.raises(InvalidStatus) as caught, opening(running, "/echo"):
            pytest.fail("it was accepted")
        assert caught.value.response.status_code == 503
        stack.close()
        until(running, lambda found: not found["sockets"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uvicorn", "hypercorn-asyncio", "granian-asgi", "gunicorn-asgi"])
def test_a_long_stream_needs_no_memory(name: str) -> None:
    def read(messages: int) -> int:
        count = 0
        with opening(running, f"/stream/{messages}", compression=None) as client:
            with suppress(ConnectionClosed):
                while True:
                    count += len(client.recv(SECONDS))
        return count

    with launched(name, "alone") as running:
        assert read(500) == 500 * STREAM_BYTES
        before = told(running)["resident"]
        assert read(8000) == 8000 * STREAM_BYTES  # 500 MiB
        assert told(running)["resident"] - before < 20 * 1024 * 1024


@pytest.mark.slow
def test_a_websocket_below_a_mount_is_served() -> None:
    with launched("uvicorn", "mounted") as running:
        with opening(running, "/live/echo") as client:
            client.send("hello")
            assert client.recv(SECONDS) == "hello"
        with pytest.raises(InvalidStatus), opening(running, "/echo"):
            pytest.fail("it was accepted")


@pytest.mark.slow
def test_a_websocket_over_http2_has_a_handshake_of_http1() -> None:
    """RFC 8441: a CONNECT without a key; hypercorn serves it."""
    with launched("hypercorn-asyncio", "chained") as running, running.bind.connect(SECONDS) as connection:
        stream, h2 = 1, H2Connection(H2Configuration(client_side=True))
        h2.initiate_connection()
        h2.send_headers(
            stream,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", "/echo"),
                (":authority", "localhost"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-protocol", "v1"),
            ],
        )
        connection.sendall(h2.data_to_send())
        wsproto = Connection(ConnectionType.CLIENT)
        status: dict[bytes, bytes] = {}
        echoed = ""
        while not echoed:
            for event in h2.receive_data(connection.recv(65536)):
                if isinstance(event, ResponseReceived):
                    status = {bytes(name): bytes(value) for name, value in event.headers}
                    h2.send_data(stream, bytes(wsproto.send(TextMessage("over HTTP/2"))))
                elif isinstance(event, DataReceived):
                    wsproto.receive_data(event.data)
                    echoed = "".join(each.data for each in wsproto.events() if isinstance(each, TextMessage))
            connection.sendall(h2.data_to_send())
        assert status[b":status"] == b"200"
        assert status[b"sec-websocket-protocol"] == b"v1"
        assert echoed == "over HTTP/2"
