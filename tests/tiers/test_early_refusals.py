"""A client that sends a large body reads the refusal of it, also through HAProxy and NGINX: never a reset.

Sent are bodies that fit into no buffer between. A client sends everything before it reads, as most do.
"""

from __future__ import annotations

import http.client
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, start
from tests.tiers import haproxy, nginx
from tests.tiers.early_app import CHAINS

ROOT = Path(__file__).resolve().parent.parent.parent
SERVERS = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-asgi", "uvicorn")
SLOW = {"gunicorn-gthread", "gunicorn-asgi"}
SIZE = 3_000_000
TIMES = 50
WAYS = pytest.mark.parametrize("way", ["direct", "haproxy", pytest.param("nginx", marks=pytest.mark.slow)])


@dataclass(frozen=True)
class Served:
    """A server that is started, and both proxies in front of it."""

    name: str
    direct: Bind
    haproxy: Bind
    nginx: Bind


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SERVERS]
)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    server = servers.get(request.param)
    if reason := server.missing() or nginx.missing() or haproxy.missing():
        pytest.skip(reason)
    # The path of a unix socket is short: pytest's own folders may not be.
    with tempfile.TemporaryDirectory(prefix="early-") as folder:
        launch = Launch(target=f"tests.tiers.early_app:{server.interface}", bind=Bind(port=0), app_dir=str(ROOT))
        with (
            start(server, launch) as running,
            haproxy.haproxy(Path(folder), running.bind) as balancer,
            nginx.nginx(Path(folder), running.bind) as front,
        ):
            yield Served(server.name, running.bind, balancer, front.plain)


def post(bind: Bind, path: str, size: int, *, chunked: bool = False) -> str:
    """Send a whole body, then read the response; say what came."""
    with bind.connect(30.0) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        try:
            if chunked:
                connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                piece = b"x" * 50_000
                for _ in range(size // len(piece)):
                    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                connection.sendall(b"0\r\n\r\n")
            else:
                connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
                connection.sendall(b"x" * size)
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        return str(response.status)


@WAYS
@pytest.mark.parametrize("size", [pytest.param(100_000, marks=pytest.mark.slow), SIZE])
def test_every_client_reads_that_its_body_is_too_large(served: Served, way: str, size: int) -> None:
    found = Counter(post(getattr(served, way), "/limit", size) for _ in range(TIMES))
    assert found == {"413": TIMES}


@WAYS
@pytest.mark.parametrize("name", ["limit", "limit-logged"])
def test_every_client_reads_that_its_chunks_are_too_large(served: Served, way: str, name: str) -> None:
    found = Counter(post(getattr(served, way), f"/{name}", SIZE, chunked=True) for _ in range(20))
    assert found == {"413": 20}


@pytest.mark.parametrize("name", [name for name in CHAINS if name != "limit"])
def test_every_early_answer_reaches_a_client_that_sends_a_body(served: Served, name: str) -> None:
    if name == "rate":
        post(served.haproxy, "/rate", 0)  # the one that is allowed
    found = Counter(post(served.haproxy, f"/{name}", SIZE) for _ in range(20))
    assert found == {str(CHAINS[name][0]): 20}


@pytest.mark.parametrize("sends", ["nothing", "byte-by-byte"])
def test_a_slow_client_that_is_refused_holds_no_worker(served: Served, sends: str) -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        try:
            while not stop.wait(0.05):
                connection.sendall(b"x")
        except OSError:
            pass

    with served.direct.connect(30.0) as slow:
        slow.sendall(f"POST /limit HTTP/1.1\r\nHost: localhost\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        response = http.client.HTTPResponse(slow)
        response.begin()
        assert response.status == 413
        sender = threading.Thread(target=drip, args=(slow,))
        if sends == "byte-by-byte":
            sender.start()
        try:
            began = time.monotonic()
            assert post(served.direct, "/", 10) == "200"
            # A second, two for Gunicorn to close the connection (its own wait), and as much again for this machine.
            assert time.monotonic() - began < 10
        finally:
            stop.set()
            if sends == "byte-by-byte":
                sender.join(10)


def test_the_rest_of_a_refused_body_is_not_the_next_request(served: Served) -> None:
    body = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
    last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with served.direct.connect(30.0) as connection:
        head = f"POST /limit HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head + body + last)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
    assert received.startswith(b"HTTP/1.1 413")
    assert received.count(b"HTTP/1.1 ") <= 2, "one for what follows the body, on a server that keeps the connection"
