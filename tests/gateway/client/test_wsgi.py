"""What a server's connection and a request's input say of the client."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import Gateway
from gateway.client import ClientGone, wsgi
from gateway.client.wsgi import KEY, RequestInput, asking, unknown

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "unix":
        server, client = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
    with server, client:
        yield server, client


def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a system whose poll does not know the event."""
    monkeypatch.setattr(wsgi, "_CLOSED", 0)


@pytest.fixture(params=["poll", "peek"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "peek":
        no_poll(monkeypatch)
    return str(request.param)


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_closed_connection_is_seen_at_once(pair: Pair, key: str, system: str) -> None:
    server, client = pair
    ask = asking({key: server})
    assert ask() is False
    client.close()
    assert ask() is True


def test_a_client_that_closes_its_sending_side_counts_as_gone(pair: Pair, system: str) -> None:
    server, client = pair
    ask = asking({"gunicorn.socket": server})
    client.shutdown(socket.SHUT_WR)
    assert ask() is True


def test_bytes_that_wait_hide_the_end_only_where_poll_does_not_know_it(pair: Pair, system: str) -> None:
    server, client = pair
    ask = asking({"gunicorn.socket": server})
    client.sendall(b"GET /next HTTP/1.1\r\n")
    assert ask() is False
    client.close()
    assert ask() is (system == "poll")
    assert server.recv(100), "nothing was taken from the connection"


def test_a_connection_that_the_server_has_closed_is_closed(pair: Pair, system: str) -> None:
    server, _ = pair
    ask = asking({"gunicorn.socket": server})
    server.close()
    assert ask() is True


def test_tls_is_known_by_poll_alone(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with context.wrap_socket(server, server_side=True, do_handshake_on_connect=False) as wrapped:
        ask = asking({"gunicorn.socket": wrapped})
        assert ask() is False
        client.close()
        assert ask() is True
        no_poll(monkeypatch)
        assert ask() is None


def test_a_descriptor_above_the_limit_of_select_is_no_obstacle(pair: Pair) -> None:
    server, client = pair
    numbers = []
    try:
        while not numbers or numbers[-1].fileno() < 1100:
            numbers.append(server.dup())
        ask = asking({"gunicorn.socket": numbers[-1]})
        assert ask() is False
        client.close()
        assert ask() is True
    finally:
        for number in numbers:
            number.close()


class Channel:
    """As waitress's: a method in the environ, and the connection beside it."""

    def __init__(self, connection: socket.socket | None) -> None:
        self.socket = connection

    def check_client_disconnected(self) -> bool:
        return False  # the answer of a server that does not read ahead


def test_waitress_is_asked_by_its_connection(pair: Pair) -> None:
    server, client = pair
    ask = asking({"waitress.client_disconnected": Channel(server).check_client_disconnected})
    assert ask() is False
    client.close()
    assert ask() is True


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"gunicorn.socket": None},
        {"waitress.client_disconnected": Channel(None).check_client_disconnected},
        {"waitress.client_disconnected": lambda: False},
    ],
)
def test_without_a_connection_nothing_is_known(environ: dict[str, Any]) -> None:
    assert asking(environ)() is None


def test_uwsgi_is_asked_by_the_number_of_its_connection(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = pair

    class Module:
        connection_fd = staticmethod(server.fileno)

    monkeypatch.setitem(wsgi.sys.modules, "uwsgi", Module)  # type: ignore[arg-type]  # it has what is used of it
    ask = asking({"uwsgi.version": b"2.0"})
    assert ask() is False
    client.close()
    assert ask() is True


@pytest.mark.parametrize("patched", ["gevent.monkey", "eventlet.patcher"])
def test_poll_is_the_systems_own_where_it_was_replaced(
    pair: Pair, patched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Select:
        poll = staticmethod(select.poll)

    class Module:
        @staticmethod
        def get_original(module: str, name: str) -> Any:
            return {("select", "poll"): Select.poll}[module, name]

        @staticmethod
        def original(module: str) -> Any:
            return {"select": Select}[module]

    original = select.poll
    Select.poll = staticmethod(original)
    monkeypatch.setitem(wsgi.sys.modules, patched, Module)  # type: ignore[arg-type]  # it has what is used of it
    monkeypatch.setattr(wsgi.select, "poll", None)
    server, client = pair
    ask = asking({"gunicorn.socket": server})
    client.close()
    assert ask() is True


def test_an_application_gets_the_question_and_an_outer_one_stays(pair: Pair) -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ[KEY])
        return []

    gateway = Gateway(app)
    gateway({"gunicorn.socket": pair[0]}, lambda *args: None)
    assert seen.pop()() is False
    gateway(environ={}, start_response=lambda *args: None)
    assert seen.pop() is unknown
    gateway({KEY: "outer"}, lambda *args: None)
    assert seen == ["outer"]


class Stream:
    def __init__(self, *reads: bytes | Exception) -> None:
        self.reads = list(reads)
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        result = self.reads.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def test_no_more_is_read_than_was_declared() -> None:
    stream = Stream(b"12345", b"678")
    reads = RequestInput(8)
    assert [reads.read(stream.read, 5), reads.read(stream.read, 5)] == [b"12345", b"678"]
    assert stream.sizes == [5, 3]
    assert (reads.left, reads.ended, reads.gone) == (0, True, False)
    assert reads.read(stream.read, 5) == b""
    assert stream.sizes == [5, 3], "a read at the end may wait for ever"


def test_a_body_that_ends_too_early_tells_that_the_client_is_gone() -> None:
    reads = RequestInput(8)
    stream = Stream(b"12345", b"")
    reads.read(stream.read, 8)
    assert (reads.ended, reads.gone) == (False, False)
    reads.read(stream.read, 8)
    assert (reads.ended, reads.gone) == (True, True)


def test_a_body_of_unknown_length_ends_with_an_empty_read() -> None:
    reads = RequestInput(None)
    stream = Stream(b"12345", b"")
    reads.read(stream.read, 8)
    assert not reads.ended
    reads.read(stream.read, 8)
    assert (reads.left, reads.ended, reads.gone) == (None, True, False)


@pytest.mark.parametrize(("error", "gone"), [(ConnectionResetError(), True), (OSError(), True), (ValueError(), False)])
def test_only_an_error_of_the_connection_tells_that_the_client_is_gone(error: Exception, gone: bool) -> None:
    reads = RequestInput(8)
    with pytest.raises(type(error)):
        reads.read(Stream(error).read, 8)
    assert reads.gone is gone


def test_the_error_has_the_number_that_servers_know() -> None:
    error = ClientGone("before the response was complete")
    assert error.errno == 104
    assert str(error) == "[Errno 104] the client disconnected before the response was complete"
