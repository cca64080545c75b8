"""Performance isolation: 200 clients that send one byte now and then, with and without a proxy in front.

Gunicorn's threads wait for slow bodies, so that no other client gets a response. Behind NGINX or HAProxy, the proxy
waits and the threads are free. A server with an event loop needs no proxy for that.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tiers.deployed import Deployed, client, deployed, missing
from tests.tiers.deployed_chain import HOST

CLIENTS = 200
PATIENCE = 5.0


@contextmanager
def slow_clients(running: Deployed) -> Iterator[list[socket.socket]]:
    """Open connections that send their bodies byte by byte."""
    head = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n\r\n".encode()
    opened: list[socket.socket] = []
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(1.0):
            for connection in opened:
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")

    thread = threading.Thread(target=drip)
    try:
        for _ in range(CLIENTS):
            plain = socket.create_connection(("127.0.0.1", running.port), 20)
            opened.append(plain)
            if running.tls:
                opened[-1] = client(running.folder).wrap_socket(plain, server_hostname=HOST)
            opened[-1].sendall(head)
        thread.start()
        yield opened
    finally:
        stop.set()
        if thread.ident is not None:
            thread.join()
        for connection in opened:
            connection.close()


def normal_requests(running: Deployed, times: int) -> list[float]:
    """Return the seconds of normal requests; a request without a response within `PATIENCE` ends the list."""
    seconds: list[float] = []
    for _ in range(times):
        begin = time.monotonic()
        try:
            with running.connection() as connection:
                assert connection.sock is not None
                connection.sock.settimeout(PATIENCE)
                connection.request("GET", "/facts")
                assert connection.getresponse().status == 200
        except (TimeoutError, http.client.HTTPException):
            return seconds
        seconds.append(time.monotonic() - begin)
    return seconds


@pytest.mark.slow
def test_slow_bodies_stop_gunicorns_threads_without_a_proxy(tmp_path: Path) -> None:
    with deployed("gunicorn", "flask:proxied_app", tmp_path) as running:
        assert running.ask("GET", "/facts").status == 200  # it has started
        assert len(normal_requests(running, 5)) == 5
        with slow_clients(running):
            assert normal_requests(running, 1) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "app"),
    [("nginx", "flask:proxied_app"), ("haproxy", "flask:balanced_app"), ("gunicorn", "fastapi:proxied_app")],
)
def test_slow_bodies_do_not_matter_behind_a_proxy_or_under_a_loop(kind: str, app: str, tmp_path: Path) -> None:
    if reason := missing(*({"nginx", "haproxy"} & {kind})):
        pytest.skip(reason)
    with deployed(kind, app, tmp_path) as running:
        assert running.ask("GET", "/facts").status == 200  # it has started
        assert len(normal_requests(running, 5)) == 5
        with slow_clients(running):
            seconds = normal_requests(running, 50)
        assert len(seconds) == 50
        assert statistics.median(seconds) < PATIENCE / 5
