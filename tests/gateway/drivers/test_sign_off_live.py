"""A WebSocket through middleware on the servers that hand their socket over: nothing is written into it, or logged."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from gateway import servers
from gateway.servers import Bind, Launch, Running, start

ROOT = str(Path(__file__).resolve().parents[3])
SECONDS = 30.0
SERVERS = ("gunicorn-gthread", "gunicorn-gevent", "gevent", "werkzeug")
PARAMS = [
    pytest.param(
        (server, site), id=f"{server}-{site}", marks=[] if server == "gunicorn-gthread" else [pytest.mark.slow]
    )
    for server in SERVERS
    for site in ("wsgi", "mounted")
    if site == "wsgi" or "gevent" not in server  # gevent refuses ASGI applications
]


@pytest.fixture(scope="module", params=PARAMS)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    server, site = request.param
    launch = Launch(target=f"tests.gateway.drivers.sign_off_site:{site}", bind=Bind(port=0), app_dir=ROOT, hooks=True)
    with start(servers.get(server), launch, ready="/") as running:
        yield running


def entries(running: Running) -> list[dict[str, Any]]:
    """What the access log says of WebSockets."""
    lines = [json.loads(line) for line in running.output().splitlines() if line.startswith('{"time"')]
    return [entry for entry in lines if entry["path"].startswith("/ws")]


def test_a_websocket_behind_middleware_echoes_and_ends_cleanly(running: Running) -> None:
    before = len(entries(running))
    with connect(f"ws://{running.bind.netloc}/ws", open_timeout=SECONDS) as client:
        client.send("hello")
        assert client.recv(SECONDS) == "hello"
        client.close()
        assert client.close_code == 1000
        # Bytes of an HTTP response after the closing handshake would be left over here.
        assert list(client) == []
    deadline = time.monotonic() + SECONDS
    while len(entries(running)) == before:
        assert time.monotonic() < deadline, running.output()
        time.sleep(0.02)
    found = entries(running)[before:]
    assert [(entry["status"], entry["outcome"]) for entry in found] == [(101, "upgraded")], running.output()
    assert "error" not in found[0]
    assert "Traceback" not in running.output()


def test_nothing_but_the_websocket_is_written_to_its_connection(running: Running) -> None:
    with running.bind.connect(SECONDS) as connection:
        connection.sendall(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # a masked Close, code 1000
        rest = received.partition(b"\r\n\r\n")[2] + b"".join(iter(lambda: connection.recv(65536), b""))
    assert rest == b"\x88\x02\x03\xe8"
