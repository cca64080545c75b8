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
from tests.gateway.drivers.upgrades import bytes_after_close

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
    assert bytes_after_close(running.bind, SECONDS) == b"\x88\x02\x03\xe8"
