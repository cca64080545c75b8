"""A client that goes away at five moments: the line of the access log, and the metric, on every server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, Running, start
from tests.gateway.drivers.disconnects import MOMENTS, REASONS, TABLE
from tests.gateway.servers.suite import DETAILED
from tests.middleware.live import ask

ROOT = str(Path(__file__).resolve().parents[3])
SECONDS = 30.0
HOST = (("Host", "localhost"),)
#: Others take more than five seconds together.
FAST = ("uvicorn", "gunicorn-asgi", "gunicorn-sync")
#: Seconds that a server gets to see that a client is gone, before it has the headers: more with each try. A reset that
#: this machine delivers late is no other behaviour. At the other moments nothing depends on time.
PATIENCE = (0.05, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PATHS = dict(zip(MOMENTS, ("/body", "/body", "/late", "/stream", "/whole"), strict=True))


@pytest.fixture(scope="module", params=[pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in TABLE])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    server = servers.get(request.param)
    module = "disconnect_site" if server.interface == "wsgi" else "disconnect_site_asgi"
    target = f"tests.gateway.drivers.{module}:{server.interface}"
    with start(server, Launch(target=target, bind=Bind(port=0), app_dir=ROOT), ready="/ready") as running:
        yield running


def test_the_table_has_every_server_that_calls_wsgi_or_asgi() -> None:
    assert {name for name in DETAILED if servers.get(name).interface != "rsgi"} == set(TABLE)
    explained = {name for names in REASONS for name in names.split(", ")}
    assert explained == {name for name, cells in TABLE.items() if cells != TABLE["uvicorn"]}


def entries(running: Running, path: str) -> list[dict[str, Any]]:
    """Return the lines of the access log for a path."""
    lines = (line[line.find('{"time"') :] for line in running.output().splitlines() if '{"time"' in line)
    return [entry for entry in map(json.loads, lines) if entry["path"] == path]


def until(holds: Callable[[], object], running: Running) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, running.output()
        time.sleep(0.01)


def leave(running: Running, moment: str, release: Path, patience: float, *, called: bool) -> None:
    """Be a client that goes away."""
    path = PATHS[moment]
    target = f"{path}?release={release}&patience={patience}"
    head = f"{'POST' if path == '/body' else 'GET'} {target} HTTP/1.1\r\nHost: localhost\r\n"
    if path == "/body":
        head += "Content-Length: 10\r\n"
    with running.bind.connect(SECONDS) as connection:
        connection.sendall(f"{head}\r\n{'12345' if moment == 'in the body' else ''}".encode())
        received = b""
        if moment == "in the response":
            received = connection.recv(100)
        while moment == "at the end" and b"hello" not in received:
            received += connection.recv(65536)
        if called:
            until(release.with_suffix(".waits").exists, running)
    release.touch()


def said(running: Running, moment: str, release: Path, patience: float, *, called: bool) -> str:
    """Leave, and return what the access log says of it."""
    path = PATHS[moment]
    before = len(entries(running, path))
    leave(running, moment, release, patience, called=called)
    if not called:
        assert ask(running.bind, "GET", "/whole", HOST).status == 200
        until(lambda: entries(running, "/whole"), running)
        return "-" if len(entries(running, path)) == before else "called"
    until(lambda: len(entries(running, path)) > before, running)
    entry = entries(running, path)[before]
    return f"{entry['status']} {entry['outcome']}"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_client_that_goes_away_is_logged_and_counted_as_the_table_says(
    running: Running, moment: str, tmp_path: Path
) -> None:
    expected = TABLE[running.server.name][MOMENTS.index(moment)]
    found: list[str] = []
    for patience in PATIENCE if moment == "before the headers" else (0.0,):
        found.append(said(running, moment, tmp_path / f"release{len(found)}", patience, called=expected != "-"))
        if found[-1] == expected:
            break
    assert found[-1] == expected, (found, running.output())
    if expected == "-":
        return
    method = "POST" if PATHS[moment] == "/body" else "GET"
    labels = f'method="{method}",route="{PATHS[moment]}",status="{expected.split()[0]}"'
    counted = ask(running.bind, "GET", "/metrics", HOST).body.decode()
    assert f"http_server_request_duration_seconds_count{{{labels}}}" in counted
