"""WebSockets of an ASGI application under real WSGI servers: each server whose socket can be had, and those without."""

from __future__ import annotations

import http.client
import json
import socket
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidStatus,
)
from websockets.sync.client import ClientConnection, connect

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.adapters.websocket_app import FLOOD_BYTES, FLOOD_MESSAGES
from tests.gateway.servers.suite import DETAILED

ROOT = str(Path(__file__).resolve().parent.parent.parent)
SECONDS = 30.0
#: The servers whose socket can be had, and the rest of those that call by WSGI.
WITH = ("gunicorn-gthread", "werkzeug")
WITHOUT = ("gunicorn-sync", "waitress", "cheroot", "granian-wsgi", "pyuwsgi", "wsgiref")
UPGRADE = [
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
]


def launched(name: str, attribute: str = "wsgi", **options: Any) -> Running:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)
    launch = Launch(
        target=f"tests.adapters.websocket_app:{attribute}", bind=Bind(port=0), app_dir=ROOT, hooks=True, **options
    )
    return start(server, launch)


@pytest.fixture(scope="module", params=WITH)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    with launched(request.param) as running:
        yield running


@pytest.fixture
def opened(running: Running) -> Callable[..., ClientConnection]:
    return lambda path, **options: connect(f"ws://{running.bind.netloc}{path}", open_timeout=SECONDS, **options)


def told(running: Running) -> dict[str, Any]:
    """Ask the application for its log, which also shows that the server is healthy."""
    status, _, body = asked(running, "/log", [("Host", "localhost")])
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def asked(running: Running, path: str, fields: list[tuple[str, str]]) -> tuple[int, Mapping[str, str], bytes]:
    """Make one request, as it stands, and read its response."""
    connection = http.client.HTTPConnection(running.bind.host, running.bind.port, timeout=SECONDS)
    with closing(connection):
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in fields:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def logged(running: Running, text: str) -> None:
    """Wait until the server has written something: it may answer first."""
    deadline = time.monotonic() + SECONDS
    while text not in running.output():
        assert time.monotonic() < deadline, running.output()
        time.sleep(0.02)


def until(running: Running, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while not holds(found := told(running)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_server_descriptions_show_which_sockets_can_be_taken_over() -> None:
    known = [servers.get(name) for name in DETAILED]
    assert {server.name for server in known if server.capabilities.hands_over_socket} == set(WITH)
    assert {server.name for server in known if server.interface == "wsgi" and server.capabilities.serves_asgi} == {
        *WITH,
        *WITHOUT,
    }


def test_text_and_bytes_are_echoed_with_headers_and_state_of_the_lifespan(running: Running, opened: Any) -> None:
    with opened("/echo") as client:
        assert client.response.headers["x-greeting"] == "hello"
        assert client.response.headers["set-cookie"] == "a=1"
        client.send("grüße")
        assert client.recv(SECONDS) == "grüße"
        client.send(b"\x00\xff")
        assert client.recv(SECONDS) == b"\x00\xff"
        assert client.ping().wait(SECONDS)
    assert told(running)["lifespan"] == ["lifespan.startup"]


def test_the_scope_is_that_of_a_websocket(opened: Any) -> None:
    with opened("/facts?q=%20", subprotocols=["a", "b"]) as client:
        assert json.loads(client.recv(SECONDS)) == {
            "type": "websocket",
            "scheme": "ws",
            "path": "/facts",
            "http_version": "1.1",
            "subprotocols": ["a", "b"],
            "query": "q=%20",
            "extensions": ["websocket.http.response"],
            "method": False,
        }
        with pytest.raises(ConnectionClosedOK):  # the application returned: 1000
            client.recv(SECONDS)


def test_the_subprotocol_is_the_one_that_the_application_chose(opened: Any) -> None:
    with opened("/echo", subprotocols=["superchat", "chat"]) as client:
        assert client.subprotocol == "chat"
    with opened("/echo", subprotocols=["superchat"]) as client:
        assert client.subprotocol is None


def test_the_client_gets_the_applications_close_code(running: Running, opened: Any) -> None:
    with opened("/echo") as client:
        client.send("close 4001 enough of it")
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(SECONDS)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough of it")
    until(running, lambda log: [4001, "enough of it"] in log["ended"])


def test_the_application_gets_the_clients_close_code(running: Running, opened: Any) -> None:
    with opened("/echo") as client:
        client.close(4002, "good night")
    until(running, lambda log: [4002, "good night"] in log["ended"])


def test_a_close_without_a_code_is_1005(running: Running, opened: Any) -> None:
    with opened("/echo") as client:
        client.protocol.send_close()
        for data in client.protocol.data_to_send():
            client.socket.sendall(data)
        with pytest.raises(ConnectionClosed):
            client.recv(SECONDS)
    until(running, lambda log: [1005, ""] in log["ended"])


def test_a_client_that_is_lost_is_1006_and_the_server_stays_healthy(running: Running, opened: Any) -> None:
    before = told(running)["ended"].count([1006, ""])
    with opened("/echo") as client:
        client.send("x")
        assert client.recv(SECONDS) == "x"
        client.socket.shutdown(socket.SHUT_RDWR)
    until(running, lambda log: log["ended"].count([1006, ""]) == before + 1)


def test_send_to_a_disconnected_client_raises_oserror(running: Running, opened: Any) -> None:
    with opened("/late-send") as client:
        client.send("go")
        client.recv(SECONDS)
        client.socket.shutdown(socket.SHUT_RDWR)
    until(running, lambda log: ["SocketClosed", ""] in log["ended"])


def test_fragments_of_a_megabyte_arrive_as_one_message(opened: Any) -> None:
    with opened("/echo", max_size=None) as client:
        client.send(bytes([number]) * 4096 for number in range(256))
        assert client.recv(SECONDS) == b"".join(bytes([number]) * 4096 for number in range(256))
        client.send("ä" * 16 for _ in range(64))
        assert client.recv(SECONDS) == "ä" * 1024


def test_a_message_beyond_the_limit_is_closed_with_1009(opened: Any) -> None:
    with opened("/echo", max_size=None) as client:
        client.send([b"x" * 1024 * 1024] * 16)  # as much as goes
        assert len(client.recv(SECONDS)) == 16 * 1024 * 1024
        with suppress(ConnectionClosed):  # the answer may be faster than the end of the message
            client.send([b"x" * 1024 * 1024] * 18)
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(SECONDS)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_client_that_does_not_read_makes_the_application_wait(running: Running, opened: Any) -> None:
    with opened("/flood") as client:
        client.recv(SECONDS)
        sent, again = 0, -1
        deadline = time.monotonic() + SECONDS
        while sent != again or not sent:  # until it stands still
            assert time.monotonic() < deadline
            again = sent
            time.sleep(0.5)
            sent = told(running)["flooded"]
        assert sent < FLOOD_MESSAGES
        for number in range(1, FLOOD_MESSAGES):
            assert client.recv(SECONDS) == number.to_bytes(4, "big") * (FLOOD_BYTES // 4)
        with pytest.raises(ConnectionClosedOK):
            client.recv(SECONDS)


def test_an_application_that_does_not_read_makes_the_client_wait_and_loses_nothing(opened: Any) -> None:
    size, most = 64 * 1024, 1000
    with opened("/slow", ping_interval=None) as client:
        client.socket.settimeout(1.0)
        sent, rest = 0, memoryview(b"")
        while sent < most and not rest:
            client.protocol.send_binary(b"x" * size)
            rest = pushed(client, b"".join(client.protocol.data_to_send()))
            sent += 1
        assert rest, "nothing made the client wait"
        with opened("/go"):
            pass
        client.socket.settimeout(SECONDS)
        client.protocol.send_text(b"end")
        assert not pushed(client, bytes(rest) + b"".join(client.protocol.data_to_send()))
        client.socket.settimeout(None)
        assert client.recv(SECONDS) == str(sent * size)


def pushed(client: ClientConnection, data: bytes) -> memoryview:
    """Write to a socket until it is full for as long as its timeout; return what did not go."""
    rest = memoryview(data)
    with suppress(TimeoutError):
        while rest:
            rest = rest[client.socket.send(rest) :]
    return rest


@pytest.mark.parametrize(("path", "status", "body"), [("/deny", 403, b""), ("/deny-body", 418, b"I am a teapot")])
def test_a_denial_is_an_ordinary_response(running: Running, opened: Any, path: str, status: int, body: bytes) -> None:
    with pytest.raises(InvalidStatus) as denied, opened(path):
        pytest.fail("it was accepted")
    assert denied.value.response.status_code == status
    assert asked(running, path, UPGRADE)[::2] == (status, body)
    assert told(running)["type"] == "http"


def test_an_application_that_fails_before_it_accepts_is_a_500(running: Running, opened: Any) -> None:
    # From Python 3.14 on, Gunicorn's own error page ends its headers with a bare LF, as its description says.
    lost = running.server.name == "gunicorn-gthread" and textwrap.dedent("a\r\n\r\nb") != "a\r\n\r\nb"
    with pytest.raises(InvalidMessage if lost else InvalidStatus) as denied, opened("/fail-early"):
        pytest.fail("it was accepted")
    assert lost or denied.value.response.status_code == 500
    logged(running, "before the accept")


def test_an_application_that_fails_with_an_open_socket_closes_with_1011(running: Running, opened: Any) -> None:
    with opened("/fail-late") as client:
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(SECONDS)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    logged(running, "after the accept")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("Sec-WebSocket-Version", "8"), 426),
        (("Sec-WebSocket-Key", "short"), 400),
    ],
)
def test_an_invalid_handshake_is_refused(running: Running, change: tuple[str, str], status: int) -> None:
    fields = [change if name == change[0] else (name, value) for name, value in UPGRADE]
    found, headers, _ = asked(running, "/echo", fields)
    assert found == status
    if status == 426:
        assert headers["sec-websocket-version"] == "13"


def test_many_sockets_are_open_at_once_and_a_broken_frame_ends_only_its_own(running: Running, opened: Any) -> None:
    count = 3 if running.server.name == "gunicorn-gthread" else 12  # it has four threads
    with ExitStack() as sockets:
        clients = [sockets.enter_context(opened("/echo")) for _ in range(count)]
        clients[0].socket.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(ConnectionClosedError) as closed:
            clients[0].recv(SECONDS)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1002
        for number, client in enumerate(clients[1:]):
            client.send(str(number))
        for number, client in enumerate(clients[1:]):
            assert client.recv(SECONDS) == str(number)
    assert told(running)["type"] == "http"


@pytest.mark.parametrize("name", WITH)
def test_a_server_that_stops_closes_with_1001_and_ends_soon(name: str) -> None:
    with launched(name) as running, connect(f"ws://{running.bind.netloc}/echo", open_timeout=SECONDS) as client:
        client.send("x")
        assert client.recv(SECONDS) == "x"
        running.process.send_signal(running.server.stop_signal)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(SECONDS)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        # Without the goodbye Gunicorn would wait half a minute for its thread.
        assert running.process.wait(20) in (0, -running.server.stop_signal)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_server_without_a_socket_sends_501_and_names_other_servers(name: str) -> None:
    with launched(name) as running:
        status, _, body = asked(running, "/echo", UPGRADE)
        assert status == 501
        assert b"gunicorn (gthread workers), Werkzeug, or under an ASGI server" in body
        assert told(running)["type"] == "http"


@pytest.mark.parametrize("name", ["gunicorn-gthread", "werkzeug"])
def test_without_the_option_a_handshake_is_an_ordinary_request(name: str) -> None:
    with launched(name, "without") as running:
        status, _, body = asked(running, "/echo", UPGRADE)
        assert status == 200
        assert json.loads(body)["type"] == "http with upgrade"
