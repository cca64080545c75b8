"""What a description says of its server is what the server does: each capability, measured under the real one.

Streaming, chunked uploads and lifespan are measured by the tiers, the order and bytes of headers by the demo.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedOK, InvalidHandshake
from websockets.sync.client import connect

from gateway import servers
from gateway.servers import Bind, Launch, Running, Server, start
from tests.gateway.servers.suite import DETAILED

APPLICATION = """
import os, time
from gateway import Gateway

go = os.path.join(os.path.dirname(__file__), "go")
os.write(1, b"imported %d\\n" % os.getpid())  # at once, so that two processes do not mix

async def asgi(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"].upper()})
        await send({"type": "websocket.close"})
        return
    if scope["type"] != "http":
        raise NotImplementedError
    import anyio
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/slow":
        await send({"type": "http.response.body", "body": b"begun\\n", "more_body": True})
        until = time.monotonic() + 15
        while not os.path.exists(go) and time.monotonic() < until:
            await anyio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"ended\\n"})
    else:
        await send({"type": "http.response.body", "body": b"raw " + (scope.get("raw_path") or b"")})

app = Gateway(asgi)
"""
#: The same for the servers that refuse ASGI.
PLAIN = """
import os, time
from gateway.adapters.translation import environ_to_scope

go = os.path.join(os.path.dirname(__file__), "go")
os.write(1, b"imported %d\\n" % os.getpid())

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/slow":
        return slow()
    return [b"raw " + (environ_to_scope(environ).get("raw_path") or b"")]

def slow():
    yield b"begun\\n"
    until = time.monotonic() + 15
    while not os.path.exists(go) and time.monotonic() < until:
        time.sleep(0.02)
    yield b"ended\\n"
"""
#: These few start fast and run always; the others with ``-m slow``.
QUICK = ("wsgiref", "uvicorn")
NAMES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in DETAILED]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "sv_facts.py").write_text(APPLICATION)
    (tmp_path / "sv_plain.py").write_text(PLAIN)
    return str(tmp_path)


def target(server: Server) -> str:
    return "sv_facts:app" if server.capabilities.serves_asgi else "sv_plain:app"


@pytest.fixture
def running(request: pytest.FixtureRequest, folder: str) -> Iterator[Running]:
    """The server of the parameter, with the application above."""
    server = servers.get(request.param)
    if reason := server.missing():
        pytest.skip(reason)
    with start(server, Launch(target=target(server), bind=Bind(port=0), app_dir=folder, hooks=True)) as started:
        yield started


def get(running: Running, path: str, more: str = "") -> bytes:
    with running.bind.connect(20.0) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("running", NAMES, indirect=True)
def test_requests_in_flight_end_or_are_dropped_as_documented(running: Running, folder: str) -> None:
    with running.bind.connect(20.0) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"begun" not in answer:
            answer += connection.recv(65536)
        running.process.send_signal(running.server.stop_signal)
        if running.server.capabilities.drains:
            time.sleep(0.5)  # a longer time could only show more
            Path(folder, "go").touch()
        try:
            answer += b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            answer += b""
    Path(folder, "go").touch()
    assert (b"ended" in answer) is running.server.capabilities.drains
    running.process.wait(20)


@pytest.mark.parametrize("running", NAMES, indirect=True)
def test_the_path_as_it_was_sent_is_known_as_documented(running: Running) -> None:
    answer = get(running, "/a%2Fb%20c")
    assert (b"/a%2Fb%20c" in answer) is running.server.capabilities.raw_path
    assert b"raw " in answer


@pytest.mark.parametrize("running", NAMES, indirect=True)
def test_a_websocket_is_opened_or_refused_as_documented(running: Running) -> None:
    address = f"ws://{running.bind.netloc}/"
    if running.server.capabilities.websocket:
        with connect(address, open_timeout=20) as websocket:
            websocket.send("hello")
            assert websocket.recv(timeout=20) == "HELLO"
            # To close at the same moment as the application would end Hypercorn on trio, as its description says.
            with pytest.raises(ConnectionClosedOK):
                websocket.recv(timeout=20)
    elif running.server.capabilities.serves_asgi:
        with pytest.raises(InvalidHandshake):
            connect(address, open_timeout=20)
    assert b"raw " in get(running, "/")


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
#: A text, to which the application answers and closes, and a close with 1000; masked with nulls.
HELLO_AND_CLOSE = b"\x81\x85\0\0\0\0hello" + b"\x88\x82\0\0\0\0\x03\xe8"


@pytest.mark.slow
@pytest.mark.parametrize("running", ["hypercorn-trio"], indirect=True)
def test_a_websocket_that_both_ends_close_ends_hypercorn_on_trio(running: Running) -> None:
    """Where this fails, it does so no more: take the sentence out of its description."""
    deadline = time.monotonic() + 60
    while "BusyResourceError" not in running.output():
        assert time.monotonic() < deadline
        # A client that is not answered has met the end of the server.
        with suppress(OSError), running.bind.connect(20.0) as connection:
            connection.sendall(UPGRADE)
            seen = b""
            while b"\r\n\r\n" not in seen and (more := connection.recv(65536)):
                seen += more
            connection.sendall(HELLO_AND_CLOSE)
            while connection.recv(65536):
                pass
    assert running.process.wait(60) == 0


@pytest.mark.parametrize("name", [*NAMES, pytest.param("cheroot", id="cheroot-in-the-default-run")])
def test_a_unix_socket_is_served_as_documented(
    name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)
    assert server.capabilities.unix_socket
    monkeypatch.chdir(tmp_path)
    launch = Launch(target=target(server), bind=Bind(path="app.sock"), app_dir=folder)
    with start(server, launch) as running:
        assert b"raw " in get(running, "/")


def test_pyuwsgi_takes_headers_that_the_other_servers_take(folder: str) -> None:
    launch = Launch(target="sv_facts:app", bind=Bind(port=0), app_dir=folder)
    with start(servers.get("pyuwsgi"), launch) as running:
        assert b"raw " in get(running, "/", "Cookie: a=" + "x" * 7000 + "\r\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DETAILED if servers.get(name).capabilities.workers])
def test_several_workers_are_started_as_documented(name: str, folder: str) -> None:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)
    launch = Launch(target=target(server), bind=Bind(port=0), app_dir=folder, workers=2)
    with start(server, launch) as running:
        assert b"raw " in get(running, "/")
        deadline = time.monotonic() + 20
        while not _two_workers(running.output()):
            assert time.monotonic() < deadline, running.output()
            time.sleep(0.05)


def _two_workers(said: str) -> bool:
    imported = {line.split()[1] for line in said.splitlines() if line.startswith("imported ")}
    # uWSGI imports in its first process, and forks.
    return len(imported) >= 2 or "spawned uWSGI worker 2" in said
