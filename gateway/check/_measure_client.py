"""The client of `gateway.check.measure`: as much of HTTP/1.1, WebSocket and HTTP/2 as a measurement needs.

HTTP libraries hide the facts that are measured: the order and the bytes of headers, and what a server says by ALPN.

Sources: RFC 6455 sections 4.1 and 5.2; RFC 7541 appendix A; RFC 9113 sections 3.4 and 6.
"""

from __future__ import annotations

import json
import socket
import ssl
from http.client import HTTPResponse
from typing import NamedTuple

from gateway.servers import Bind

__all__ = ["PATIENCE", "MeasuredReply", "ask", "free_port", "head", "offers_over_http2", "opens_websocket", "read"]

#: Seconds for one response.
PATIENCE = 10.0
_UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
#: A text message and a close with 1000; masked with nulls.
_HELLO, _CLOSE = b"\x81\x85\0\0\0\0hello", b"\x88\x82\0\0\0\0\x03\xe8"
#: The client preface and SETTINGS of HTTP/2, and a GET of "/offers" (RFC 9113 sections 3.4 and 6; RFC 7541 appendix A).
_H2_HEADERS = b"\x82\x87\x04\x07/offers\x41\x09localhost"
_H2_GET = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
    + len(_H2_HEADERS).to_bytes(3, "big")
    + b"\x01\x05\0\0\0\x01"
    + _H2_HEADERS
)


def head(method: str, target: str, *lines: str, connection: str = "close") -> bytes:
    """Return the bytes of a request's headers."""
    more = [] if any(line.startswith("Connection:") for line in lines) else [f"Connection: {connection}"]
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *more, *lines, "", ""]).encode("latin-1")


def free_port() -> Bind:
    """Return an address with a port that no process listens on."""
    bind = Bind(port=0)
    with bind.listen() as listener:
        return bind.at(listener)


class MeasuredReply(NamedTuple):
    """A response, with its headers in the order of arrival."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def read(connection: socket.socket) -> MeasuredReply:
    """Read one response from a connection."""
    response = HTTPResponse(connection)
    response.begin()
    body = response.read()
    return MeasuredReply(response.status, tuple((name.lower(), value) for name, value in response.getheaders()), body)


def ask(bind: Bind, target: str, *lines: str, method: str = "GET", body: bytes = b"") -> MeasuredReply:
    """Send a request on a new connection, and return the response."""
    with bind.connect(PATIENCE) as connection:
        connection.sendall(head(method, target, *lines) + body)
        return read(connection)


def opens_websocket(bind: Bind) -> bool:
    """Tell whether a WebSocket opens and carries a message in each direction."""
    with bind.connect(PATIENCE) as connection:
        try:
            connection.sendall(head("GET", "/", *_UPGRADE))
            seen = b""
            while b"\r\n\r\n" not in seen and (more := connection.recv(65536)):
                seen += more
            if not seen.startswith(b"HTTP/1.1 101"):
                return False
            connection.sendall(_HELLO)
            seen = seen.partition(b"\r\n\r\n")[2]
            while b"HELLO" not in seen and (more := connection.recv(65536)):
                seen += more
            # The client closes alone: to close at the same moment would end Hypercorn on trio.
            connection.sendall(_CLOSE)
            connection.recv(65536)
            return b"HELLO" in seen
        except OSError:
            return False


def offers_over_http2(connection: ssl.SSLSocket) -> tuple[set[str], bool]:
    """Send a GET over HTTP/2, and return the extensions in its response, and whether it had one."""
    connection.sendall(_H2_GET)
    received, body, answered = b"", b"", False
    while True:
        while len(received) < 9 or len(received) < 9 + int.from_bytes(received[:3], "big"):
            if not (more := connection.recv(65536)):
                return set(), answered
            received += more
        size, kind, flags = int.from_bytes(received[:3], "big"), received[3], received[4]
        payload, received = received[9 : 9 + size], received[9 + size :]
        if kind == 1:  # HEADERS: HPACK has ":status 200" as one byte, perhaps after a table size update
            answered = payload[:1] == b"\x88" or b"\x88" in payload[:4]
        elif kind == 0:
            body += payload
        if kind in (0, 1) and flags & 1:
            return set(json.loads(body or b"[]")), answered
