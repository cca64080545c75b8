"""The client of the probe: requests as bytes over a socket, and responses as they arrived.

It is not a general client. It reports what a client library hides: the order of the headers, the moment of the first
byte, bytes after the end, and whether the connection was closed.

Sources: RFC 9110, RFC 9112; RFC 6455 for `WebSocketProbe`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import dataclass, field

__all__ = ["HANDSHAKE", "Address", "ProbeResponse", "WebSocketProbe", "fetch", "request"]

#: Host and port, or the path of a unix socket.
Address = tuple[str, int] | str


@dataclass
class ProbeResponse:
    """A response as the client received it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    body: bytes = b""
    #: True if the framing was correct to the end: the last chunk came, or as many bytes as declared.
    complete: bool = False
    trailers: bool = False
    #: Time of the first byte of the body, by `time.monotonic`.
    first: float = 0.0
    #: Time of the first byte of the response.
    began: float = 0.0
    #: The server closed the connection.
    closed: bool = False


def _connect(address: Address, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def fetch(
    address: Address,
    request: bytes,
    timeout: float = 30.0,
    *,
    rest: bytes = b"",
    after: float = 0.0,
    drain: bool = False,
) -> ProbeResponse:
    """Send the bytes of a request, and read until the response is complete or the server closes the connection.

    Args:
        address: Host and port, or the path of a unix socket.
        request: The bytes.
        timeout: Seconds to wait for each part of the response.
        rest: More bytes, sent when the server says 100 Continue.
        after: Seconds after which the rest is sent in any case.
        drain: Read until the server closes the connection, or is silent for ``timeout``.
    """
    raw = b""
    first = began = 0.0
    closed = False
    with _connect(address, timeout) as connection, contextlib.suppress(OSError):  # keep what came before a reset
        connection.sendall(request)
        if rest:
            raw = _until_continue(connection, after)
            if not raw:
                connection.sendall(rest)
            connection.settimeout(timeout)
        while drain or not _framed(raw):  # a server may keep the connection open despite "Connection: close"
            data = connection.recv(65536)
            if not data:
                closed = True
                break
            raw += data
            began = began or time.monotonic()
            if not first and len(raw.partition(b"\r\n\r\n")[2]) >= 5:
                first = time.monotonic()
    response = _parse(raw, first)
    response.began, response.closed = began, closed
    return response


def _until_continue(connection: socket.socket, seconds: float) -> bytes:
    """Wait for 100 Continue. Returns the bytes of another response, which makes the rest of the request needless."""
    connection.settimeout(seconds)
    raw = b""
    with contextlib.suppress(TimeoutError):
        while b"\r\n\r\n" not in raw:
            data = connection.recv(65536)
            if not data:
                break
            raw += data
    return b"" if raw.startswith(b"HTTP/1.1 100") else raw


def _framed(raw: bytes) -> bool:
    """Tell whether a response has reached the end that its own framing declares."""
    answer = _parse(raw, 0.0)
    return answer.complete and any(name in (b"content-length", b"transfer-encoding") for name, _ in answer.headers)


def _parse(raw: bytes, first: float) -> ProbeResponse:
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[1].isdigit():
        return ProbeResponse()
    pairs = [line.partition(b":") for line in lines[1:]]
    answer = ProbeResponse(
        int(words[1]), [(name.strip().lower(), value.strip()) for name, _, value in pairs], first=first
    )
    fields = dict(answer.headers)
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            digits = size.partition(b";")[0].strip()
            if not digits:
                break
            length = int(digits, 16)
            if not length:
                answer.trailers = rest.strip(b"\r\n") != b""
                answer.complete = rest.endswith(b"\r\n")
                break
            answer.body += rest[:length]
            rest = rest[length + 2 :]
    else:
        answer.body = rest
        declared = fields.get(b"content-length")
        answer.complete = declared is None or len(rest) == int(declared)
        if declared is None and words[0] == b"HTTP/1.0":
            answer.complete = False  # only the close ends it, so a client cannot know whether it is complete
    return answer


def request(method: str, target: str, body: bytes = b"", *lines: str) -> bytes:
    persistence = [] if any(line.startswith("Connection:") for line in lines) else ["Connection: close"]
    head = [f"{method} {target} HTTP/1.1", "Host: testserver", *persistence, *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


class WebSocketProbe:
    """A WebSocket, frame by frame.

    Args:
        address: Host and port, or the path of a unix socket.
        target: The request target.
        timeout: Seconds to wait for each frame.

    Attributes:
        response: The response to the handshake; 101 if it succeeded.
    """

    def __init__(self, address: Address, target: str, timeout: float) -> None:
        self._connection = _connect(address, timeout)
        self._raw = b""
        lines = ("Upgrade: websocket", *HANDSHAKE, "Sec-WebSocket-Protocol: chat, superchat")
        self._connection.sendall(request("GET", target, b"", *lines))
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in self._raw and (data := self._connection.recv(65536)):
                self._raw += data
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        self.response: ProbeResponse = _parse(head + b"\r\n\r\n", 0.0)

    def __enter__(self) -> WebSocketProbe:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def send(self, opcode: int, data: bytes, *, last: bool = True) -> None:
        """Send a frame of less than 126 bytes, masked as a client has to (RFC 6455 5.3)."""
        key = os.urandom(4)
        masked = bytes(byte ^ key[place % 4] for place, byte in enumerate(data))
        with contextlib.suppress(OSError):  # the server has closed, which `receive` reports
            self._connection.sendall(bytes([opcode | (0x80 if last else 0), 0x80 | len(data)]) + key + masked)

    def receive(self) -> tuple[int, bytes] | None:
        """Return opcode and data of the next frame; None if the connection ended, or no frame came in time."""
        try:
            head = self._exactly(2)
            length = head[1] & 0x7F
            if length == 126:
                length = int.from_bytes(self._exactly(2))
            elif length == 127:
                length = int.from_bytes(self._exactly(8))
            return head[0] & 0x0F, self._exactly(length)
        except (OSError, EOFError):
            return None

    def ended(self) -> bool:
        """Wait for the end; tell whether the server closed the WebSocket or the connection in time."""
        try:
            while True:
                head = self._exactly(2)
                if head[0] & 0x0F == 8:
                    return True
                self._exactly(head[1] & 0x7F)
        except TimeoutError:
            return False
        except (OSError, EOFError):
            return True

    def _exactly(self, count: int) -> bytes:
        while len(self._raw) < count:
            data = self._connection.recv(65536)
            if not data:
                raise EOFError
            self._raw += data
        found, self._raw = self._raw[:count], self._raw[count:]
        return found


#: Headers of a handshake that have the same values each time (RFC 6455 1.2).
HANDSHAKE = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Connection: Upgrade")
