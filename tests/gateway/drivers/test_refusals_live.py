"""A body that is too large, without a Content-Length: the client gets a 413, and no server reports an error."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, Running, start

ROOT = str(Path(__file__).resolve().parents[3])
SECONDS = 30.0
FAST = ("uvicorn", "gunicorn-gthread")
PARAMS = [
    pytest.param((server, site), id=f"{server}-{site}", marks=[] if server in FAST else [pytest.mark.slow])
    for server in (*FAST, "hypercorn-asyncio", "gunicorn-asgi", "daphne")
    for site in ("asgi", "wsgi")
]


@pytest.fixture(scope="module", params=PARAMS)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    server, site = request.param
    launch = Launch(target=f"tests.gateway.drivers.refusal_site:{site}", bind=Bind(port=0), app_dir=ROOT, hooks=True)
    with start(servers.get(server), launch, ready="/") as running:
        yield running


@pytest.mark.parametrize("path", ["/read", "/parsed"])
def test_a_refused_body_is_a_413_and_not_an_error_of_the_server(running: Running, path: str) -> None:
    with running.bind.connect(SECONDS) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
            + b"7d0\r\n"
            + b"x" * 2000
            + b"\r\n0\r\n\r\n"
        )
        received = b""
        while data := connection.recv(65536):
            received += data
    assert b" 413 " in received.split(b"\r\n")[0]
    deadline = time.monotonic() + SECONDS
    while not (found := [entry for entry in entries(running) if entry["path"] == path]):
        assert time.monotonic() < deadline, running.output()
        time.sleep(0.02)
    assert [(entry["status"], entry["outcome"]) for entry in found] == [(413, "completed")]
    # Flask logs each exception that leaves a view, before it responds; the server is to log none.
    assert running.output().count("Traceback") == running.output().count("ERROR in app: Exception on /")


def entries(running: Running) -> list[dict[str, object]]:
    lines = (line[line.find("{") :] for line in running.output().splitlines() if '{"time"' in line)
    return [json.loads(line) for line in lines]
