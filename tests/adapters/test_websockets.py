"""WebSockets through `AsgiToWsgi` over a pair of sockets: every way to end, every wait, in every mode."""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from werkzeug.serving import make_server
from wsproto import events

from gateway.adapters.asgi_to_wsgi import AsgiToWsgi, close_websockets
from gateway.adapters.websocket import _open, _sockets, _upgrade, _wire
from gateway.errors import ApplicationError, MissingExtraError
from tests.adapters.asgi_under_wsgi import MODES, App, Receive, Scope, Send, adapted
from tests.adapters.websocket_peer import SECONDS, Peer


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


def sockets_only(app: App) -> App:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise NotImplementedError(scope["type"])
        assert await receive() == {"type": "websocket.connect"}
        await app(scope, receive, send)

    return wrapped


@contextmanager
def open_to(app: App, mode: Any, **changes: Any) -> Iterator[Peer]:
    with adapted(sockets_only(app), loop=mode, websockets=True) as wsgi, Peer(wsgi, **changes) as peer:
        yield peer


async def until_closed(scope: Scope, receive: Receive, send: Send) -> Any:
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        pass
    return message


def test_the_thread_is_free_when_the_connection_ends_before_the_application(mode: Any) -> None:
    go, ended = asyncio.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        assert await until_closed(scope, receive, send) == {
            "type": "websocket.disconnect",
            "code": 1000,
            "reason": "bye",
        }
        assert (await receive())["type"] == "websocket.disconnect"  # again, and it does not wait
        await go.wait()
        ended.set()

    with open_to(app, mode) as peer:
        peer.accepted().send(events.CloseConnection(1000, "bye"))
        assert isinstance(peer.next(), events.CloseConnection)
        peer.left()
        assert not ended.is_set()
        loops[0].call_soon_threadsafe(go.set)
        assert ended.wait(SECONDS)


def test_the_server_gets_its_socket_back(mode: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    with open_to(app, mode) as peer:
        peer.accepted().closed(1000)
        peer.left()
        assert peer.server.fileno() > 0
        assert peer.server.recv(1) == b""  # the connection was ended, not the descriptor


def test_a_client_that_ignores_our_close_is_disconnected(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upgrade, "CLOSE_SECONDS", 0.05)
    codes: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000, "reason": "x"})
        codes.append((await receive())["code"])

    with open_to(app, mode) as peer:
        close = peer.accepted().next()
        assert isinstance(close, events.CloseConnection)
        assert (close.code, close.reason) == (4000, "x")
        peer.left()
    assert codes == [4000]


def test_a_client_that_does_not_read_our_close_reply_is_disconnected(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_upgrade, "CLOSE_SECONDS", 0.05)
    ended: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        with suppress(OSError):
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 65536})
        ended.append(True)

    with open_to(app, mode) as peer:
        peer.accepted().send(events.CloseConnection(1000))
        peer.left()
    assert ended == [True]


def test_a_silent_client_gets_a_ping_and_is_then_disconnected(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upgrade, "PING_SECONDS", 0.05)
    codes: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        codes.append((await until_closed(scope, receive, send))["code"])

    with open_to(app, mode) as peer:
        assert isinstance(peer.accepted().next(), events.Ping)
        peer.left()
    assert codes == [1006]


def test_a_client_that_answers_pings_stays(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upgrade, "PING_SECONDS", 0.25)
    with open_to(until_closed, mode) as peer:
        peer.accepted()
        for _ in range(4):
            ping = peer.next()
            assert isinstance(ping, events.Ping)
            peer.send(ping.response())
        peer.send(events.CloseConnection(1000))
        peer.left()


def test_a_client_is_kept_while_a_busy_application_does_not_read(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upgrade, "PING_SECONDS", 0.02)
    received: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await asyncio.sleep(0.2)  # several times as long as silence is borne
        received.append(await receive())
        received.append(await receive())

    with open_to(app, mode) as peer:
        peer.accepted()
        peer.send(events.BytesMessage(b"x" * 70_000))
        peer.send(events.BytesMessage(b"y"))
        while not isinstance(peer.next(), events.CloseConnection):
            pass
        peer.send(events.CloseConnection(1000))
        peer.left()
    assert [message["bytes"] for message in received] == [b"x" * 70_000, b"y"]


def test_send_waits_for_room_and_goes_on(mode: Any) -> None:
    sent: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        for number in range(200):
            await send({"type": "websocket.send", "bytes": b"x" * 65536})
            sent.append(number)

    with open_to(app, mode) as peer:
        peer.accepted()
        assert isinstance(peer.next(), events.BytesMessage)
        assert len(sent) < 200
        total = 0
        while isinstance(event := peer.next(), events.BytesMessage):
            total += len(event.data)
        assert isinstance(event, events.CloseConnection)
        assert total > 190 * 65536
        assert len(sent) == 200
        peer.send(event.response())
        peer.left()


def test_an_application_that_fails_is_logged_and_closes_with_1011(mode: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise RuntimeError("mistake")

    with open_to(app, mode) as peer:
        peer.accepted().closed(1011)
        peer.left()
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "open WebSocket" in record.message


def test_an_application_that_stops_at_a_disconnect_is_not_logged(mode: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await until_closed(scope, receive, send)
        await send({"type": "websocket.send", "text": "too late"})

    with open_to(app, mode) as peer:
        peer.accepted().socket.shutdown(socket.SHUT_RDWR)
        peer.left()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_application_may_close_a_closed_websocket(mode: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await until_closed(scope, receive, send)
        await send({"type": "websocket.close"})  # the client was faster

    with open_to(app, mode) as peer:
        peer.accepted().send(events.CloseConnection(1000))
        peer.left()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_exception_before_the_response_reaches_the_server(mode: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("before the accept")

    with open_to(app, mode) as peer, pytest.raises(RuntimeError, match="before the accept"):
        peer.call.result(SECONDS)


def test_an_application_that_returns_without_an_answer_is_an_error(mode: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    with open_to(app, mode) as peer, pytest.raises(ApplicationError, match="must answer a WebSocket handshake before"):
        peer.call.result(SECONDS)


ORDERS: dict[str, list[dict[str, Any]]] = {
    "a message before the accept": [{"type": "websocket.send", "text": "x"}],
    "an http response": [{"type": "http.response.start", "status": 200}],
    "a denial's body before its head": [{"type": "websocket.http.response.body", "body": b""}],
    "an accept after a denial": [
        {"type": "websocket.http.response.start", "status": 400, "headers": []},
        {"type": "websocket.accept"},
    ],
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_wrong_order_before_the_accept_is_raised_in_the_application(mode: Any, order: str) -> None:
    raised: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in ORDERS[order]:
                await send(message)
        except ApplicationError as error:
            raised.append(str(error))
            raise

    with open_to(app, mode) as peer, pytest.raises(ApplicationError):
        peer.call.result(SECONDS)
    assert "must answer a handshake once" in raised[0]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("websocket.accept", "websocket.accept"),
        ("websocket.accept", "websocket.http.response.start"),
        ("websocket.close", "websocket.send"),
        ("websocket.close", "websocket.close"),
    ],
)
def test_a_wrong_order_after_the_accept_is_raised_in_the_application(mode: Any, first: str, then: str) -> None:
    raised: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        if first == "websocket.close":
            await send({"type": "websocket.close"})
        with pytest.raises(ApplicationError) as error:
            await send({"type": then, "text": "x", "status": 200})
        raised.append(str(error.value))

    with open_to(app, mode) as peer:
        peer.accepted().closed(1000)
        peer.left()
    assert "after it had" in raised[0]


def test_a_denial_is_an_ordinary_response_without_using_the_socket(mode: Any) -> None:
    codes: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-a", b"1")]})
        await send({"type": "websocket.http.response.body", "body": b"a", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"b"})
        codes.append((await receive())["code"])

    with open_to(app, mode) as peer:
        assert peer.call.result(SECONDS)[:2] == (401, b"ab")
        peer.server.sendall(b"of the server")
        assert peer.socket.recv(100) == b"of the server"
    assert codes == [1006]


def test_a_denial_without_a_response_is_403(mode: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    with open_to(app, mode) as peer:
        assert peer.call.result(SECONDS)[:2] == (403, b"")


def test_close_sends_a_close_frame_and_waits_for_the_application(mode: Any) -> None:
    codes: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await until_closed(scope, receive, send)
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "x"})
        codes.append(message["code"])

    wsgi = AsgiToWsgi(sockets_only(app), loop=mode, websockets=True)
    with Peer(wsgi) as peer, ThreadPoolExecutor(1) as pool:
        peer.accepted()
        closing = pool.submit(wsgi.close)
        peer.closed(1001)
        closing.result(SECONDS)
        peer.left()
    assert codes == [1001]


def test_an_application_that_does_not_end_is_cancelled(mode: Any) -> None:
    cancelled: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    wsgi = AsgiToWsgi(sockets_only(app), loop=mode, websockets=True, drain_timeout=0.05)
    with Peer(wsgi) as peer:
        peer.accepted()
        wsgi.close()
        close = peer.next()
        assert isinstance(close, events.CloseConnection)
        assert close.code == 1001
        peer.left()
    assert cancelled == [True]


def test_a_stopping_server_closes_the_sockets(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_open, "_ASK_SECONDS", 0.01)
    answers = iter([False, True])
    monkeypatch.setattr(_open, "stopping", lambda: next(answers, True))
    with open_to(until_closed, mode) as peer:
        peer.accepted().closed(1001)
        peer.left()


def test_close_websockets_closes_every_socket_of_the_process(mode: Any) -> None:
    with open_to(until_closed, mode) as one, open_to(until_closed, mode) as other:
        one.accepted()
        other.accepted()
        close_websockets()
        one.closed(1001)
        other.closed(1001)
        one.left()
        other.left()


def test_an_interrupted_thread_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """As gevent does when it stops: the exception comes out of the wait, the application is told."""
    codes: list[int] = []
    told, accepted = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        accepted.set()
        codes.append((await receive())["code"])
        told.set()

    wsgi = AsgiToWsgi(sockets_only(app), websockets=True)
    wsgi.start()
    assert wsgi._service is not None

    def torn(conversation: Any) -> None:
        assert accepted.wait(SECONDS)
        raise SystemExit(1)

    monkeypatch.setattr(wsgi._service.runner, "wait", torn)
    with Peer(wsgi) as peer:
        with pytest.raises(SystemExit):
            peer.call.result(SECONDS)
        assert told.wait(SECONDS)
        assert codes == [1006]
        monkeypatch.undo()
        wsgi.close()


def test_a_context_variable_of_the_caller_is_seen() -> None:
    from contextvars import ContextVar

    variable = ContextVar("variable", default="unset")
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        await send({"type": "websocket.close"})

    with adapted(sockets_only(app), websockets=True) as wsgi:

        def called(environ: Any, start_response: Any) -> Any:
            variable.set("set")
            return wsgi(environ, start_response)

        with Peer(called) as peer:
            assert peer.call.result(SECONDS)[0] == 403
    assert seen == ["set"]


@pytest.mark.parametrize(
    "changes",
    [{"gunicorn.socket": None}, {"wsgi.multithread": False}],
)
def test_without_a_socket_the_response_is_501_and_names_other_servers(changes: dict[str, Any]) -> None:
    with open_to(until_closed, "shared", **changes) as peer:
        status, body, _ = peer.call.result(SECONDS)
    assert status == 501
    assert b"gunicorn (gthread workers), Werkzeug" in body


def test_a_platform_that_cannot_watch_descriptors_takes_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"gunicorn.socket": object(), "wsgi.multithread": True}
    assert _sockets.take(environ) is not None
    monkeypatch.setattr(sys, "platform", "win32")
    assert _sockets.take(environ) is None


@pytest.mark.parametrize(
    ("environ", "error"),
    [
        ({"gunicorn.socket": "s", "wsgi.multithread": True}, StopIteration),
        ({"werkzeug.socket": "s"}, ConnectionError),
    ],
)
def test_the_adapter_leaves_each_server_with_the_servers_own_exception(
    environ: dict[str, Any], error: type[Exception]
) -> None:
    taken = _sockets.take(environ)
    assert taken is not None
    assert taken.socket == "s"
    assert isinstance(taken.leave(), error)


def test_without_the_option_a_handshake_is_an_ordinary_request(mode: Any) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    with adapted(app, loop=mode, lifespan="off") as wsgi, Peer(wsgi) as peer:
        assert peer.call.result(SECONDS)[0] == 200
    assert seen == ["http"]


def test_without_wsproto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gateway.adapters.websocket.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wsproto", None)
    with pytest.raises(MissingExtraError, match=r'pip install "anytier\[websockets\]"'):
        AsgiToWsgi(until_closed, websockets=True)
    monkeypatch.undo()
    importlib.import_module("gateway.adapters.websocket._serve")


def test_a_tls_socket_is_taken_over_too(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    size = 3_000_000  # more than the buffers hold, so that both directions have to wait

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["scheme"] == "wss"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})

    trust = ssl.create_default_context(cafile=certificate)
    with adapted(sockets_only(app), websockets=True) as wsgi:
        server = make_server("127.0.0.1", 0, wsgi, threaded=True, ssl_context=(str(certificate), str(key)))
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            address = f"wss://localhost:{server.port}/"
            with connect(address, ssl=trust, max_size=None, open_timeout=SECONDS) as client:
                for number in range(3):
                    client.send(bytes([number]) * size)
                    assert client.recv(SECONDS) == bytes([number]) * size
            with connect(address, ssl=trust, open_timeout=SECONDS) as client:
                client.socket.shutdown(socket.SHUT_RDWR)  # lost
                with pytest.raises(ConnectionClosed):
                    client.recv(SECONDS)
        finally:
            server.shutdown()
            serving.join(SECONDS)
            server.server_close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_the_wire_waits_for_room_and_is_woken_by_the_end() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        lost: list[bool] = []
        wire = _wire.Wire(ours, received=lambda data: None, took=lambda: None, lost=lambda: lost.append(True))
        wire.write(b"x" * 10_000_000)
        waiting = [asyncio.create_task(wire.drain()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert not waiting[1].done()
        wire.end()
        wire.write(b"after the end nothing is written")
        wire.abort()
        wire.abort()
        await waiting[1]
        await wire.drain()
        wire.resume()
        assert lost == [True]
        theirs.close()

    asyncio.run(main())
