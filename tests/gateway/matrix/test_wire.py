"""The client of the matrix tells an open connection from a response that is not complete, or that does not come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead

import pytest

from gateway.matrix import BUILTIN
from gateway.matrix._compare import points
from gateway.matrix._wire import ask
from gateway.servers import Bind

NAMED = {request.name: request for request in BUILTIN}
WHOLE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large"
#: Seconds that the client waits.
PATIENCE = 0.3


@contextmanager
def server(response: bytes, *, closes: bool) -> Iterator[Bind]:
    """Respond to one connection, and close it at once or at the end of the block."""
    left = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not connection.recv(65536).endswith(b"\r\n\r\n"):
                pass
            connection.sendall(response)
            if not closes:
                left.wait(10)

    with Bind(port=0).listen() as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield Bind(port=0).at(listener)
        finally:
            left.set()
            thread.join(10)


@pytest.mark.parametrize("closes", [True, False])
def test_a_whole_response_counts_although_the_connection_stays_open(closes: bool) -> None:
    with server(WHOLE, closes=closes) as bind:
        answer = ask(bind, NAMED["home"], timeout=10.0 if closes else PATIENCE)
    assert (answer.status, answer.body, answer.left_open) == (413, b"too large", not closes)
    assert points(answer, NAMED["home"])["connection"] == ("closed" if closes else "open")


@pytest.mark.parametrize("response", [WHOLE[:-1], b"HTTP/1.1 200 OK\r\n\r\nonly the close ends this"])
def test_a_response_without_its_end_is_incomplete(response: bytes) -> None:
    with server(response, closes=False) as bind, pytest.raises(IncompleteRead):
        ask(bind, NAMED["home"], timeout=PATIENCE)


def test_a_server_that_does_not_respond_is_a_timeout() -> None:
    with server(b"", closes=False) as bind, pytest.raises(TimeoutError):
        ask(bind, NAMED["home"], timeout=PATIENCE)


def test_an_exception_in_the_body_shows_whether_the_connection_was_cut() -> None:
    chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    found = []
    for closes in (True, False):
        with server(chunk, closes=closes) as bind:
            answer = ask(bind, NAMED["exception in the body"], timeout=10.0 if closes else PATIENCE)
            found.append((answer.complete, answer.left_open))
    assert found == [(False, False), (False, True)]
