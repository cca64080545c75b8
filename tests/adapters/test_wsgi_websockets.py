"""WebSockets of a WSGI application under an ASGI server: `WsgiToAsgi(app, websockets=True)`, in process."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
import simple_websocket
import trio
from wsproto import ConnectionType, WSConnection, events

from gateway import AdapterOptions
from gateway.adapters import WsgiToAsgi
from gateway.adapters.wsgi_to_asgi import _websocket
from gateway.errors import ApplicationError, ConfigurationError, MissingExtraError
from tests.adapters.asgi_socket import SECONDS, Client, websocket_scope

NAME = "gateway-websocket-"


@pytest.fixture(autouse=True)
def _every_thread_ends() -> Iterator[None]:
    yield
    deadline = time.monotonic() + SECONDS
    while left := [thread.name for thread in threading.enumerate() if thread.name.startswith((NAME, "simple_"))]:
        assert time.monotonic() < deadline, left
        time.sleep(0.005)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def adapted(app: Any, **options: Any) -> WsgiToAsgi:
    return WsgiToAsgi(app, websockets=True, **options)


def served(handler: Callable[[simple_websocket.Server], object], **options: Any) -> WsgiToAsgi:
    """Return an application that serves a WebSocket with simple-websocket, as its documentation shows it."""

    def app(environ: Any, start_response: Any) -> Any:
        ws = simple_websocket.Server.accept(environ, **options)
        with suppress(simple_websocket.ConnectionClosed):
            handler(ws)
        assert ws.mode == "gunicorn"
        raise StopIteration

    return adapted(app)


def echo(ws: simple_websocket.Server) -> None:
    while True:
        ws.send(ws.receive())


class Raw:
    """The application's side of a socket, by hand."""

    def __init__(self, environ: Any) -> None:
        self.socket = environ["gunicorn.socket"]
        self.wsproto = WSConnection(ConnectionType.SERVER)
        headers = [
            (key[5:].replace("_", "-").lower().encode(), value.encode())
            for key, value in environ.items()
            if key.startswith("HTTP_")
        ]
        self.wsproto.initiate_upgrade_connection(headers, "/")
        (self.request,) = self.wsproto.events()

    def send(self, event: events.Event) -> None:
        self.socket.sendall(self.wsproto.send(event))

    def next(self) -> events.Event | None:
        """Return the next event; None at the end of the connection."""
        while True:
            for event in self.wsproto.events():
                return event
            data = self.socket.recv(65536)
            if not data:
                return None
            self.wsproto.receive_data(data)


def raw(handler: Callable[[Raw], object], accept: events.AcceptConnection | None = None) -> WsgiToAsgi:
    def app(environ: Any, start_response: Any) -> Any:
        peer = Raw(environ)
        peer.send(accept or events.AcceptConnection())
        handler(peer)
        raise StopIteration

    return adapted(app)


# --- messages


def test_a76_text_and_bytes_of_any_size_are_echoed() -> None:
    async def main() -> None:
        client = await Client(served(echo)).accepted()
        for message in ("hello", "grüße", "x" * 1_000_000, ""):
            client.text(message)
            assert (await client.next())["text"] == message
        for data in (b"\x00\xff", b"y" * 1_000_000):
            client.data(data)
            assert (await client.next())["bytes"] == data
        client.leave(1000)
        await client.end()

    run(main)


def test_fragments_of_the_application_are_one_message() -> None:
    def sends(peer: Raw) -> None:
        peer.send(events.TextMessage("gr", message_finished=False))
        data = peer.wsproto.send(events.TextMessage("üße", message_finished=True))
        for byte in data:
            peer.socket.sendall(bytes([byte]))
        peer.send(events.BytesMessage(b"a", message_finished=False))
        peer.send(events.BytesMessage(b"b", message_finished=True))

    async def main() -> None:
        client = await Client(raw(sends)).accepted()
        assert (await client.next())["text"] == "grüße"
        assert (await client.next())["bytes"] == b"ab"
        await client.closed()
        await client.end()

    run(main)


def test_a_ping_of_the_application_gets_a_pong_after_the_messages_before_it() -> None:
    def pings(peer: Raw) -> None:
        peer.send(events.Ping(b"1"))
        pong = peer.next()
        assert isinstance(pong, events.Pong)
        peer.send(events.TextMessage(bytes(pong.payload).decode()))

    async def main() -> None:
        client = await Client(raw(pings)).accepted()
        assert (await client.next())["text"] == "1"
        assert await client.closed() == (1000, "")
        await client.end()

    run(main)


def test_simple_websocket_keeps_a_socket_whose_pings_are_answered() -> None:
    async def main() -> None:
        client = await Client(served(echo, ping_interval=0.4)).accepted()
        await asyncio.sleep(1)  # it gives up a socket after two intervals without an answer
        client.text("still here")
        assert (await client.next())["text"] == "still here"
        client.leave()
        await client.end()

    run(main)


# --- the handshake


def environ_of(**changes: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> Any:
        seen.update(environ)
        start_response("403 Forbidden", [])
        return []

    async def main() -> None:
        await Client(adapted(app), validate=False, **changes).end()

    run(main)
    return seen


def test_the_application_sees_a_request_as_from_gunicorn() -> None:
    environ = environ_of(path="/a/b", raw_path=b"/a/b", root_path="/a", query_string=b"q=1", scheme="wss")
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["wsgi.url_scheme"] == "https"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a", "/b", "q=1")
    assert environ["HTTP_UPGRADE"] == "websocket"
    assert environ["HTTP_CONNECTION"].lower() == "upgrade"
    assert environ["HTTP_SEC_WEBSOCKET_VERSION"] == "13"
    assert "HTTP_SEC_WEBSOCKET_EXTENSIONS" not in environ
    assert "HTTP_SEC_WEBSOCKET_PROTOCOL" not in environ
    assert environ["wsgi.input"].read() == b""
    assert environ["wsgi.multithread"] is True


def test_a_handshake_without_a_key_gets_one() -> None:
    # As an HTTP/2 server reports it: no Upgrade, no Connection, no key, no version.
    async def main() -> None:
        scope = {"http_version": "2", "headers": [(b"origin", b"https://example.org")]}
        client = await Client(served(echo), validate=False, **scope).accepted()
        client.text("over HTTP/2")
        assert (await client.next())["text"] == "over HTTP/2"
        client.leave()
        await client.end()

    run(main)
    assert environ_of(http_version="2", headers=[])["HTTP_HOST"] == "example.org:80"


def test_a_server_may_leave_keys_of_the_scope_out() -> None:
    async def main() -> None:
        scope = {key: websocket_scope()[key] for key in ("type", "path", "headers")}
        sent: list[Any] = []
        accepted = asyncio.Event()
        incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]

        async def receive() -> Any:
            if len(incoming) == 1:
                await accepted.wait()
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)
            accepted.set()

        await served(echo)(scope, receive, send)
        assert [message["type"] for message in sent] == ["websocket.accept"]

    run(main)


def test_the_offered_and_the_chosen_subprotocol_travel() -> None:
    async def main() -> None:
        client = Client(served(echo, subprotocols=["b", "c"]), subprotocols=["a", "b"])
        assert (await client.next())["subprotocol"] == "b"
        client.leave()
        await client.end()
        client = Client(served(echo, subprotocols=["x"]), subprotocols=["a", "b"])
        assert (await client.next())["subprotocol"] is None
        client.leave()
        await client.end()

    run(main)


def test_headers_of_the_101_travel() -> None:
    accept = events.AcceptConnection(extra_headers=[(b"X-A", b"1"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")])

    async def main() -> None:
        client = Client(raw(lambda peer: peer.next(), accept))
        assert (await client.next())["headers"] == [(b"x-a", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        client.leave()
        await client.end()

    run(main)


def test_a_key_of_an_outer_server_does_not_hide_the_socket() -> None:
    """A WSGI server under an ASGI router: libraries would prefer its socket."""

    async def main() -> None:
        outer = {"REQUEST_METHOD": "GET", "werkzeug.socket": object(), "eventlet.input": object(), "SCRIPT_NAME": ""}
        client = Client(served(echo), validate=False, **{"gateway.environ": outer})
        await client.accepted()
        client.leave()
        await client.end()

    run(main)


# --- refusals


def refusing(environ: Any, start_response: Any) -> Any:
    start_response("401 Unauthorized", [("WWW-Authenticate", "Basic"), ("Content-Length", "4")])
    yield b"no"
    yield b"no"


def test_a77_an_application_that_takes_no_socket_refuses_with_its_response() -> None:
    async def main() -> None:
        client = Client(adapted(refusing))
        await client.end()
        start, *bodies = client.sent
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert (b"www-authenticate", b"Basic") in start["headers"]
        assert b"".join(body["body"] for body in bodies) == b"nono"
        assert [body["more_body"] for body in bodies][-1] is False

    run(main)


def test_without_the_extension_the_refusal_is_a_close() -> None:
    closed: list[bool] = []

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 100_000

        def close(self) -> None:
            closed.append(True)

    def endless(environ: Any, start_response: Any) -> Any:
        start_response("404 Not Found", [])
        return Endless()

    async def main() -> None:
        for app in (refusing, endless):
            client = Client(adapted(app), extensions={})
            await client.end()
            assert [message["type"] for message in client.sent] == ["websocket.close"]

    run(main)
    assert closed == [True]


def test_a_refusal_that_is_written_to_the_socket_is_a_refusal() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        peer = Raw(environ)
        peer.send(events.RejectConnection(status_code=418, headers=[(b"x-a", b"1")], has_body=True))
        peer.send(events.RejectData(b"teapot", body_finished=True))
        raise StopIteration

    async def main() -> None:
        client = Client(adapted(app))
        await client.end()
        assert client.sent[0]["status"] == 418
        assert (b"x-a", b"1") in client.sent[0]["headers"]
        assert b"".join(message["body"] for message in client.sent[1:]) == b"teapot"
        assert client.sent[-1]["more_body"] is False
        client = Client(adapted(app), extensions={})
        await client.end()
        assert [message["type"] for message in client.sent] == ["websocket.close"]

    run(main)


def test_where_the_option_is_off_the_refusal_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        off = WsgiToAsgi(refusing)
        for _ in range(2):
            client = Client(off)
            await client.end()
            assert [message["type"] for message in client.sent] == ["websocket.close"]

    with caplog.at_level(logging.WARNING):
        run(main)
    (record,) = caplog.records
    assert "Gateway(app, websockets=True)" in record.getMessage()


def test_a_client_that_leaves_before_its_handshake_is_read_starts_nothing() -> None:
    async def main() -> None:
        async def receive() -> Any:
            return {"type": "websocket.disconnect", "code": 1006}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        adapter = served(echo)
        await adapter(websocket_scope(), receive, send)
        assert adapter._websockets is not None
        assert not adapter._websockets.ports

    run(main)


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [(b"host", b"h"), (b"content-length", b"1"), (b"content-length", b"2")]},
        {"subprotocols": ["chät"]},
        {"subprotocols": ["a\nb"]},
    ],
    ids=["lengths", "letters", "lines"],
)
def test_a_handshake_that_is_not_valid_gets_400(changes: dict[str, Any]) -> None:
    async def main() -> None:
        client = Client(served(echo), validate=False, **changes)
        await client.end()
        assert client.sent[0]["status"] == 400

    run(main)


# --- the end


def test_the_applications_close_reaches_the_client() -> None:
    async def main() -> None:
        client = await Client(served(lambda ws: ws.close(4001, "enough"))).accepted()
        assert await client.closed() == (4001, "enough")
        await client.end()

    run(main)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "away"), (1012, ""), (4000, "own"), (1005, "")])
def test_the_clients_close_reaches_the_application(code: int, reason: str) -> None:
    found: list[Any] = []

    def listens(ws: simple_websocket.Server) -> None:
        try:
            ws.receive()
        except simple_websocket.ConnectionClosed as closed:
            found.append((int(closed.reason), closed.message or ""))
            raise

    async def main() -> None:
        client = await Client(served(listens)).accepted()
        client.leave(code, reason)
        await client.end()
        assert len(client.sent) == 1

    run(main)
    assert found == [(code, reason)]


def test_a_broken_connection_breaks_the_socket() -> None:
    ends: list[Any] = []

    def listens(peer: Raw) -> None:
        ends.append(peer.next())
        ends.append(peer.next())

    async def main() -> None:
        client = await Client(raw(listens)).accepted()
        client.text("last words")
        client.leave(1006)
        await client.end()

    run(main)
    assert isinstance(ends[0], events.TextMessage)
    assert ends[1] is None  # no Close frame came


def test_what_an_application_sends_before_it_leaves_arrives() -> None:
    def floods(peer: Raw) -> None:
        for number in range(50):
            peer.send(events.BytesMessage(bytes([number]) * 10_000))
        peer.send(events.CloseConnection(4002, "done"))

    async def main() -> None:
        client = await Client(raw(floods)).accepted()
        client.reads.clear()
        # Messages of the client come to a socket that is closed, or about to be.
        for _ in range(20):
            client.text("x")
            await asyncio.sleep(0.005)
        client.reads.set()
        for number in range(50):
            assert (await client.next())["bytes"][:1] == bytes([number])
        assert await client.closed() == (4002, "done")
        await client.end()

    run(main)


def test_an_application_that_returns_without_a_close_closes_with_1000() -> None:
    async def main() -> None:
        client = await Client(raw(lambda peer: None)).accepted()
        assert await client.closed() == (1000, "")
        await client.end()

    run(main)


@pytest.mark.parametrize("leaves", ["empty list", "response", "generator", "close"])
def test_what_an_application_returns_after_the_websocket_is_dropped(leaves: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        peer = Raw(environ)
        peer.send(events.AcceptConnection())
        peer.send(events.TextMessage("hello"))
        if leaves == "close":
            peer.socket.close()
        if leaves != "empty list":
            start_response("200 OK", [("Content-Type", "text/plain")])
        return (
            (part for part in (b"", b"a" * 1_000_000))
            if leaves == "generator"
            else [b"page"] * (leaves != "empty list")
        )

    async def main() -> None:
        client = await Client(adapted(app, buffer_bytes=1000)).accepted()
        assert (await client.next())["text"] == "hello"
        assert await client.closed() == (1000, "")
        await client.end()

    run(main)


def test_an_error_before_the_101_reaches_the_server() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise ValueError("before")

    async def main() -> None:
        client = Client(adapted(app))
        with pytest.raises(ValueError, match="before"):
            await client.end()
        assert not client.sent

    run(main)


def test_an_error_after_the_101_closes_with_1011_and_reaches_the_server() -> None:
    def fails(ws: simple_websocket.Server) -> None:
        raise ValueError("after")

    async def main() -> None:
        client = await Client(served(fails)).accepted()
        assert await client.closed() == (1011, "")
        with pytest.raises(ValueError, match="after"):
            await client.end()

    run(main)


def test_a_response_with_500_after_the_101_closes_with_1011() -> None:
    """As a framework responds to an exception."""

    def app(environ: Any, start_response: Any) -> Any:
        Raw(environ).send(events.AcceptConnection())
        start_response("500 Internal Server Error", [])
        return [b"oh"]

    async def main() -> None:
        client = await Client(adapted(app)).accepted()
        assert await client.closed() == (1011, "")
        await client.end()

    run(main)


@pytest.mark.parametrize("how", ["nothing", "stop", "wrong key", "compression", "half", "hints"])
def test_an_application_that_does_not_answer_the_handshake_is_refused(how: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        if how == "nothing":
            return []
        if how == "wrong key":
            environ["HTTP_SEC_WEBSOCKET_KEY"] = "dGhlIHNhbXBsZSBub25jZQ=="
            Raw(environ).send(events.AcceptConnection())
        if how == "half":
            environ["gunicorn.socket"].sendall(b"HTTP/1.1 101 Swi")
        if how == "hints":
            environ["gunicorn.socket"].sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        if how == "compression":
            accept = events.AcceptConnection(extra_headers=[(b"sec-websocket-extensions", b"permessage-deflate")])
            Raw(environ).send(accept)
        raise StopIteration

    async def main() -> None:
        client = Client(adapted(app))
        with pytest.raises(ApplicationError, match="the application must answer"):
            await client.end()
        assert not client.sent

    run(main)


def test_invalid_frames_of_the_application_close_with_1011() -> None:
    async def main() -> None:
        client = await Client(raw(lambda peer: peer.socket.sendall(b"\xf7\x00"))).accepted()
        assert (await client.closed())[0] == 1011
        await client.end()

    run(main)


def test_an_error_of_send_ends_the_websocket() -> None:
    ended: list[Any] = []

    def floods(peer: Raw) -> None:
        try:
            while True:
                peer.send(events.BytesMessage(b"x" * 10_000))
        except OSError as error:
            ended.append(error)

    async def main(error: Exception) -> None:
        client = await Client(raw(floods)).accepted()
        client.error = error
        await client.end()

    run(lambda: main(ConnectionResetError("gone")))  # the client has left: not an error
    assert len(ended) == 1
    with pytest.raises(RuntimeError, match="a bug of the server"):
        run(lambda: main(RuntimeError("a bug of the server")))
    assert len(ended) == 2


def test_an_error_of_receive_ends_the_websocket() -> None:
    async def main() -> None:
        client = await Client(served(echo), validate=False).accepted()
        client._incoming.put_nowait({"type": "websocket.receive"})  # neither text nor bytes
        await client.end()

    with pytest.raises(KeyError):
        run(main)


def test_a_cancelled_scope_breaks_the_socket_and_frees_the_thread() -> None:
    ended = threading.Event()

    def listens(ws: simple_websocket.Server) -> None:
        try:
            ws.receive()
        finally:
            ended.set()

    async def main() -> None:
        adapter = served(listens)
        client = await Client(adapter).accepted()
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.end()
        assert await asyncio.to_thread(ended.wait, SECONDS)
        await until(lambda: not pending(adapter))

    run(main)


def test_an_application_that_ignores_the_close_loses_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_websocket, "CLOSE_SECONDS", 0.05)
    ended: list[OSError] = []

    def ignores(peer: Raw) -> None:
        try:
            while True:
                peer.send(events.TextMessage("and another thing"))
        except OSError as error:
            ended.append(error)

    async def main() -> None:
        client = await Client(raw(ignores)).accepted()
        client.leave(1000)
        await client.end()

    run(main)
    assert len(ended) == 1


# --- back-pressure


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  # the state has no event
        await asyncio.sleep(0.001)


def pending(adapter: WsgiToAsgi) -> int:
    assert adapter._websockets is not None
    return sum(port.workers.pending for port in adapter._websockets.ports)


def test_an_application_waits_for_a_client_that_does_not_read() -> None:
    written = 0
    size = 10_000

    def floods(peer: Raw) -> None:
        nonlocal written
        for _ in range(1000):
            peer.send(events.BytesMessage(b"x" * size))
            written += 1

    async def main() -> None:
        client = await Client(raw(floods)).accepted()
        client.reads.clear()
        before = -1
        while before != written:  # until it stands still
            before = written
            await asyncio.sleep(0.1)
        # The buffers of the pair and the queue of the adapter.
        assert written * size < 2_000_000
        client.reads.set()
        for _ in range(1000):
            await client.next()
        assert await client.closed() == (1000, "")
        await client.end()

    run(main)


def test_a_client_waits_for_an_application_that_does_not_read() -> None:
    go_on = threading.Event()
    counts: list[int] = []

    def lingers(peer: Raw) -> None:
        assert go_on.wait(SECONDS)
        count = 0
        while isinstance(event := peer.next(), events.BytesMessage):
            count += event.message_finished
        counts.append(count)
        assert isinstance(event, events.CloseConnection)
        peer.send(event.response())

    async def main() -> None:
        client = await Client(raw(lingers)).accepted()
        for _ in range(1000):
            client.data(b"x" * 10_000)
        before = -1
        while before != (left := client._incoming.qsize()):
            before = left
            await asyncio.sleep(0.1)
        assert left > 900  # the rest waits in the server, which stops reading from its client
        go_on.set()
        client.leave(1000)
        await client.end()

    run(main)
    assert counts == [1000]


# --- threads


@pytest.mark.parametrize("ends", ["client", "application", "error"])
def test_a_websocket_leaves_nothing_to_the_garbage_collector(ends: str) -> None:
    """Some servers close the connection when the application's last reference to ``send`` is gone."""

    class Send:
        async def __call__(self, message: Any) -> None:
            if message["type"] == "websocket.accept":
                accepted.set()

    def handler(ws: simple_websocket.Server) -> None:
        if ends == "client":
            ws.receive()
        elif ends == "error":
            raise ValueError("broken")

    accepted = asyncio.Event()

    async def receive() -> Any:
        if not connected:
            connected.append(True)
            return {"type": "websocket.connect"}
        await accepted.wait()
        if ends != "client":
            await asyncio.Event().wait()
        return {"type": "websocket.disconnect", "code": 1000}

    connected: list[bool] = []

    async def main() -> None:
        send = Send()
        dead = weakref.ref(send)
        with suppress(ValueError):
            await served(handler)(websocket_scope(), receive, send)
        del send
        await asyncio.sleep(0)  # the cancelled task ends
        await asyncio.sleep(0)
        assert dead() is None

    gc.collect()
    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()


def test_a78_websockets_have_threads_of_their_own_and_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        if "gunicorn.socket" in environ:
            ws = simple_websocket.Server.accept(environ)
            while ws.connected:
                try:
                    ws.send(ws.receive())
                except simple_websocket.ConnectionClosed:
                    raise StopIteration from None
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    adapter = adapted(app, threads=1, websocket_threads=3)

    async def requested() -> int:
        found: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            found.append(message)

        scope = {**websocket_scope(), "type": "http", "method": "GET", "scheme": "http", "extensions": {}}
        await adapter(scope, receive, send)
        return int(found[0]["status"])

    async def main() -> None:
        clients = [await Client(adapter).accepted() for _ in range(3)]
        assert pending(adapter) == 3
        assert await requested() == 200
        for extensions, kind in (
            ({"websocket.http.response": {}}, "websocket.http.response.start"),
            ({}, "websocket.close"),
        ):
            refused = Client(adapter, extensions=extensions)
            await refused.end()
            assert refused.sent[0]["type"] == kind
            if extensions:
                assert refused.sent[0]["status"] == 503
                assert (b"retry-after", b"1") in refused.sent[0]["headers"]
        clients.pop().leave()
        await until(lambda: pending(adapter) == 2)
        clients.append(await Client(adapter).accepted())
        for client in clients:
            client.leave()
            await client.end()
        assert pending(adapter) == 0

    with caplog.at_level(logging.WARNING):
        run(main)
    (record,) = caplog.records
    assert "websocket_threads" in record.getMessage()


def test_a_thread_that_cannot_start_is_an_error_and_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        adapter = served(echo)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            client = Client(adapter)
            with pytest.raises(RuntimeError, match="could not start a thread"):
                await client.end()
        assert pending(adapter) == 0
        client = await Client(adapter).accepted()
        client.leave()
        await client.end()

    run(main)


def test_the_lifespan_ends_with_open_websockets() -> None:
    async def main() -> None:
        adapter = served(echo)
        client = await Client(adapter).accepted()
        incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[str] = []

        async def receive() -> Any:
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await adapter({"type": "lifespan"}, receive, send)
        assert sent[-1] == "lifespan.shutdown.complete"
        client.text("on")
        assert (await client.next())["text"] == "on"
        client.leave()
        await client.end()

    run(main)


def test_context_variables_and_state_reach_the_application() -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable")
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append((variable.get(), environ["gateway.scope"]["state"]))
        return refusing(environ, start_response)

    async def main() -> None:
        variable.set("here")
        await Client(adapted(app), state={"pool": 1}).end()

    run(main)
    assert seen == [("here", {"pool": 1})]


# --- code for gevent-websocket


def test_code_for_gevent_websocket_finds_its_object() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        ws = environ["wsgi.websocket"]
        assert (ws.path, ws.origin, ws.version, ws.closed) == ("/", None, "13", False)
        while (message := ws.receive()) is not None:
            ws.send(message)
        assert ws.closed
        with pytest.raises(OSError):
            ws.receive()
        with pytest.raises(OSError):
            ws.send("late")
        ws.close()
        return []

    async def main() -> None:
        client = await Client(adapted(app)).accepted()
        client.text("grüße")
        assert (await client.next())["text"] == "grüße"
        client.data(b"\xff" * 200_000)
        assert (await client.next())["bytes"] == b"\xff" * 200_000
        client.leave(1001)
        await client.end()
        assert len(client.sent) == 3

    run(main)


def test_the_object_closes_with_a_code_and_sends_what_it_is_told() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        ws = environ["wsgi.websocket"]
        ws.send("text", binary=True)
        ws.send(b"bytes", binary=False)
        ws.close(4003, b"why")
        return []

    async def main() -> None:
        client = await Client(adapted(app)).accepted()
        assert (await client.next())["bytes"] == b"text"
        assert (await client.next())["text"] == "bytes"
        assert await client.closed() == (4003, "why")
        await client.end()

    run(main)


@pytest.mark.parametrize("imported", [False, True])
def test_the_object_raises_when_the_connection_has_broken(imported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class WebSocketError(OSError):
        """As gevent-websocket defines it."""

    if imported:
        module = ModuleType("geventwebsocket.exceptions")
        module.WebSocketError = WebSocketError  # type: ignore[attr-defined]  # a stand-in
        monkeypatch.setitem(sys.modules, module.__name__, module)
    raised: list[type[OSError]] = []

    def listens(environ: Any, start_response: Any) -> Any:
        ws = environ["wsgi.websocket"]
        assert ws.receive() == "last words"
        assert ws.receive() is None
        with pytest.raises(OSError) as caught:
            ws.receive()
        raised.append(caught.type)
        return []

    def floods(environ: Any, start_response: Any) -> Any:
        ws = environ["wsgi.websocket"]
        try:
            while True:
                ws.send(b"x" * 10_000)
        except OSError as error:
            raised.append(type(error))
        assert ws.closed
        return []

    async def main() -> None:
        for app in (listens, floods):
            client = Client(adapted(app))
            await client.accepted()
            client.text("last words")
            client.leave(1006)
            await client.end()

    run(main)
    assert raised == [WebSocketError if imported else OSError] * 2


def test_an_application_with_the_object_may_refuse() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        assert environ.get("wsgi.websocket")
        return refusing(environ, start_response)

    async def main() -> None:
        client = Client(adapted(app))
        await client.end()
        assert client.sent[0]["status"] == 401

    run(main)


def test_the_application_can_ask_whether_the_client_is_gone() -> None:
    answers: list[bool | None] = []

    def app(environ: Any, start_response: Any) -> Any:
        peer = Raw(environ)
        peer.send(events.AcceptConnection())
        gone = environ["gateway.disconnected"]
        answers.append(gone())
        peer.send(events.TextMessage("asked"))
        while not gone():
            time.sleep(0.001)
        answers.append(gone())
        raise StopIteration

    async def main() -> None:
        client = await Client(adapted(app)).accepted()
        assert (await client.next())["text"] == "asked"
        client.leave(1006)
        await client.end()

    run(main)
    assert answers == [False, True]


# --- options


def test_the_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="contradictory"):
        adapted(refusing, thread_sensitive=True)
    for value in (0, "1"):
        with pytest.raises(ConfigurationError, match="websocket_threads"):
            adapted(refusing, websocket_threads=value)
        with pytest.raises(ConfigurationError, match="websocket_threads"):
            AdapterOptions(websocket_threads=value)  # type: ignore[arg-type]  # wrong on purpose


def test_without_wsproto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(sys.modules):
        if name.startswith(("gateway.adapters.websocket", "gateway.adapters.wsgi_to_asgi._handshake")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wsproto", None)
    with pytest.raises(MissingExtraError, match=r'pip install "anytier\[websockets\]"'):
        adapted(refusing)
    WsgiToAsgi(refusing)


def test_requests_run_on_the_loop_and_websockets_in_threads_with_inline() -> None:
    threads: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        threads.append(threading.current_thread().name)
        return refusing(environ, start_response)

    async def main() -> None:
        await Client(adapted(app, inline=True)).end()

    run(main)
    assert threads[0].startswith(NAME)


def test_under_trio_the_refusal_says_why() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    trio.run(served(echo), websocket_scope(), receive, send)
    assert sent[0]["status"] == 501
    assert b"asyncio" in sent[1]["body"]
