"""A WebSocket by hand, to see every byte of its connection."""

from __future__ import annotations

from gateway.servers import Bind


def bytes_after_close(bind: Bind, seconds: float) -> bytes:
    """Open a WebSocket at ``/ws``, close it with code 1000, and return all that the server sends after its 101."""
    with bind.connect(seconds) as connection:
        connection.sendall(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # a masked Close, code 1000
        return received.partition(b"\r\n\r\n")[2] + b"".join(iter(lambda: connection.recv(65536), b""))
