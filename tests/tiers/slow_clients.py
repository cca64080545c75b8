"""Clients that send one byte a second, and a normal client beside them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.tiers.deployed import Deployed, client
from tests.tiers.deployed_chain import HOST

__all__ = ["PATIENCE", "SLOW_BODY", "SLOW_HEADERS", "normal_requests", "slow_clients"]

CLIENTS = 200
PATIENCE = 5.0


#: A request whose body is slow, and one whose headers are.
SLOW_BODY = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n\r\n".encode()
SLOW_HEADERS = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ".encode()


@contextmanager
def slow_clients(running: Deployed, begin: bytes = SLOW_BODY) -> Iterator[list[socket.socket]]:
    """Open connections that send the rest of their requests byte by byte."""
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
            try:
                plain = socket.create_connection(("127.0.0.1", running.port), 5)
            except TimeoutError:  # the queue of the kernel is full: the server accepts no more of them
                break
            plain.settimeout(20)
            opened.append(plain)
            if running.tls:
                opened[-1] = client(running.folder).wrap_socket(plain, server_hostname=HOST)
            opened[-1].sendall(begin)
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
