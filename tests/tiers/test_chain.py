"""A chain of a user's own under real servers: both colours of IO, ends of every kind, refusals that are swallowed."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.servers import Bind, Launch, Server, get, start
from tests.shows import shows

ROOT = Path(__file__).parents[2]
FAST = ("gunicorn-gthread", "uvicorn")
SLOW = ("gunicorn-asgi", "gunicorn-sync", "hypercorn-asyncio", "granian-asgi", "waitress")
PARAMS = [
    pytest.param((name, application), id=f"{name}-{application}", marks=[pytest.mark.slow] if name in SLOW else [])
    for name in (*FAST, *SLOW)
    for application in ("wsgi", "asgi")
]


@dataclass
class Site:
    """A chain that is served, and what its middleware has written down."""

    server: Server
    application: str
    path: str
    folder: Path

    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return file.read_text().splitlines() if file.exists() else []

    def wait_for(self, beginning: str) -> str:
        """Wait until a note begins so; give it."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = [line for line in self.notes() if line.startswith(beginning)]
            if found:
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"no {beginning!r} in {self.notes()}")

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(self.path)
        return client

    def ask(self, head: str, body: bytes = b"") -> bytes:
        """Send a request by hand; give all that comes until the server closes."""
        with self.connect() as client:
            client.sendall(f"{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + body)
            received = b""
            try:
                while piece := client.recv(65536):
                    received += piece
            except ConnectionResetError:
                pass  # the other way to cut
            return received


@pytest.fixture(scope="module", params=PARAMS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name, application = request.param
    server = get(name)
    if reason := server.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("chain")
    launch = Launch(
        target=f"tests.tiers.chain_app:{application}",
        bind=Bind(path=str(folder / "s")),
        app_dir=str(ROOT),
        environment={"CHAIN_FOLDER": str(folder)},
        hooks=True,
    )
    with start(server, launch, ready="/") as running:
        yield Site(server, application, str(running.bind.path), folder)


@shows("An override is a plain def, or a generator that does IO; which one is decided when the chain is built")
def test_io_runs_in_the_colour_of_the_server_and_on_start_before_the_first_request(site: Site) -> None:
    head, _, body = site.ask("GET /hello", b"\r\n").partition(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    assert b"x-first: o" in head.lower()
    assert b"one" in body
    assert b"two" in body
    colour = b"plain" if site.server.interface == "wsgi" else b"async"
    assert b"x-colour: " + colour in head.lower()
    assert site.notes()[0] == f"start {site.server.interface}"
    assert sum(line.startswith("start") for line in site.notes()) == 1
    assert site.wait_for("/hello ") == "/hello completed 200 NoneType"


@shows(
    "After the head is committed an error is raised to the server, so the connection is cut and never looks complete"
)
def test_an_error_after_the_head_cuts_the_connection(site: Site) -> None:
    received = site.ask("GET /broken", b"\r\n")
    assert received.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding: chunked" in received.lower()
    assert not received.endswith(b"0\r\n\r\n"), "it looks complete"
    assert b"two" not in received
    assert site.wait_for("/broken ").startswith("/broken failed 200 ")


@shows("If the head is uncommitted the refusal replaces the application's answer, though it was swallowed")
def test_a_refusal_that_the_application_swallows_is_the_answer(site: Site) -> None:
    received = site.ask("POST /upload", b"Content-Length: 11\r\n\r\nhello world")
    assert received.split()[1] == b"413", received
    assert b"at most ten bytes" in received
    # An adapter reads a small body before it calls the application, and is refused itself.
    assert ("swallowed" in site.notes()) is (site.application == site.server.interface)
    assert site.wait_for("/upload ") == "/upload completed 413 NoneType"


@shows("Outcome: status, bytes sent and received, first byte, duration, error, disconnected")
def test_a_client_that_goes_away_is_an_abort_and_its_record_is_written(site: Site) -> None:
    with site.connect() as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in client.recv(64)
    assert site.wait_for("/endless ").startswith("/endless aborted 200 ")
