"""Requests byte for byte to a real server, and what comes back."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.servers import Bind

Fields = Sequence[tuple[str, str]]
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Reply:
    """One whole response; names of fields in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of a field, one for each line."""
        return [value for known, value in self.headers if known == name]

    def decoded(self) -> bytes:
        """The body without its gzip coding."""
        return gzip.decompress(self.body)


def exchange(bind: Bind, request: bytes) -> bytes:
    """Send bytes and return all that comes until the server closes or resets the connection."""
    received = b""
    with bind.connect(_TIMEOUT) as connection:
        # Refused while we still write: what it said before may be there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
    return received


def parse(received: bytes) -> Reply:
    """Read one response that ends with its connection; a chunked body is put together."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if ("transfer-encoding", "chunked") in headers:
        body = _unchunk(body)
    return Reply(int(first.split(" ")[1]), headers, body)


def render(method: str, target: str, headers: Fields = (), body: bytes = b"") -> bytes:
    """Write a request that asks the server to close; a body gets its Content-Length."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Connection: close"]
    if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ask(bind: Bind, method: str, target: str, headers: Fields = (), body: bytes = b"") -> Reply:
    """Send one request on a connection of its own."""
    return parse(exchange(bind, render(method, target, headers, body)))


def first_bytes(bind: Bind, request: bytes) -> tuple[bytes, socket.socket]:
    """Send bytes; return the first that come, and the connection, still open."""
    connection = bind.connect(_TIMEOUT)
    connection.sendall(request)
    return connection.recv(65536), connection


def _unchunk(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            break
        whole, body = whole + body[:length], body[length + 2 :]
    return whole
