"""The client of the probe: requests as bytes over a socket, and responses as they arrived.

It is not a general client. It reports what a client library hides: the order of the headers, the moment of the first
byte, bytes after the end, and whether the connection was closed.

Sources: RFC 9110, RFC 9112; RFC 6455 for `WebSocketProbe`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from dataclasses import dataclass, field

from gateway.check.expected import OFFERED

__all__ = ["HANDSHAKE", "Address", "HttpConnection", "ProbeResponse", "WebSocketProbe", "fetch", "leave", "request"]

#: Host and port, or the path of a unix socket.
Address = tuple[str, int] | str


@dataclass
class ProbeResponse:
    """A response as the client received it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    body: bytes = b""
    #: The body has come to its end: the last chunk, as many bytes as declared, or the close of the connection.
    complete: bool = False
    #: The headers tell where the body ends. Otherwise only the close of the connection does, so a client cannot know
    #: whether the body is complete.
    framed: bool = False
    trailers: bool = False
    #: Time of the first byte of the body, by `time.monotonic`.
    first: float = 0.0
    #: Time of the first byte of the response.
    began: float = 0.0
    #: The server closed the connection.
    closed: bool = False
    #: The server may close the connection after this response: it says so, or its version is 1.0.
    last: bool = False


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
    raw = bytearray()
    first = began = 0.0
    closed = False
    with _connect(address, timeout) as connection, contextlib.suppress(OSError):  # keep what came before a reset
        connection.sendall(request)
        if rest:
            raw += _until_continue(connection, after)
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
    response = _parse(bytes(raw), first)
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


def _framed(raw: bytearray) -> bool:
    """Tell whether a response has reached the end that its own framing declares."""
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = _parse(bytes(raw[: end + 4]), 0.0)
    fields = dict(head.headers)
    coding = fields.get(b"transfer-encoding", b"").lower()
    if coding:
        return coding != b"chunked" or (raw.endswith(b"\r\n\r\n") and _parse(bytes(raw), 0.0).complete)
    declared = fields.get(b"content-length", b"")
    return declared.isdigit() and len(raw) - end - 4 == int(declared)


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
    answer.framed = b"transfer-encoding" in fields or b"content-length" in fields
    persistence = fields.get(b"connection", b"").lower()
    answer.last = b"close" in persistence or (words[0] == b"HTTP/1.0" and b"keep-alive" not in persistence)
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        answer.body, trailers = _chunks(rest)
        if trailers is not None:
            answer.trailers = trailers.strip(b"\r\n") != b""
            answer.complete = trailers.endswith(b"\r\n")
    else:
        answer.body = rest
        declared = fields.get(b"content-length")
        answer.complete = declared is None or (declared.isdigit() and len(rest) == int(declared))
    return answer


def _chunks(data: bytes) -> tuple[bytes, bytes | None]:
    """Decode a chunked body. Returns it, and the bytes after its last chunk; None if there was no last chunk."""
    body: list[bytes] = []
    place = 0
    while (end := data.find(b"\r\n", place)) >= 0:
        try:
            length = int(data[place:end].partition(b";")[0], 16)
        except ValueError:
            break
        if not length:
            return b"".join(body), data[end + 2 :]
        body.append(data[end + 2 : end + 2 + length])
        place = end + length + 4
    return b"".join(body), None


def request(method: str, target: str, body: bytes = b"", *lines: str, version: str = "1.1") -> bytes:
    """Return the bytes of a request; it has ``Connection: close``, unless a line has another Connection."""
    persistence = [] if any(line.startswith("Connection:") for line in lines) else ["Connection: close"]
    head = [f"{method} {target} HTTP/{version}", "Host: testserver", *persistence, *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def leave(address: Address, request: bytes, timeout: float, after: bytes) -> bool:
    """Send a request, wait for some bytes of the body, and reset the connection.

    Returns:
        Whether these bytes came.
    """
    raw = b""
    with _connect(address, timeout) as connection:
        connection.sendall(request)
        # After the headers alone, the application's next send() could already fail.
        with contextlib.suppress(OSError):
            while after not in raw.partition(b"\r\n\r\n")[2] and (data := connection.recv(1024)):
                raw += data
        _reset(connection)
    return after in raw.partition(b"\r\n\r\n")[2]


def _reset(connection: socket.socket) -> None:
    """Close a connection with RST, so that the server learns at once that nobody reads any more."""
    # Without a linger time, close() sends it.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class HttpConnection:
    """A connection for several requests.

    Attributes:
        closed: The server has closed the connection, or did not send the next response in time.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._connection = _connect(address, timeout)
        self._raw = bytearray()
        self.closed: bool = False

    def __enter__(self) -> HttpConnection:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def send(self, data: bytes) -> None:
        """Send the bytes of one or more requests."""
        with contextlib.suppress(OSError):  # the server has closed, which `response` reports
            self._connection.sendall(data)

    def begin(self, seconds: float) -> None:
        """Wait until the first bytes come, or the seconds are over."""
        timeout = self._connection.gettimeout()
        self._connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            self._raw += self._connection.recv(65536)
        self._connection.settimeout(timeout)

    def rest(self) -> ProbeResponse:
        """Return the response as far as it comes, complete or not."""
        with contextlib.suppress(OSError):  # keep what came before a reset
            while not _framed(self._raw) and (data := self._connection.recv(65536)):
                self._raw += data
        return _parse(bytes(self._raw), 0.0)

    def response(self) -> ProbeResponse:
        """Return the next response; its status is 0 if no whole response came."""
        while not (end := self._end()):
            try:
                data = self._connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.closed = True
                end = len(self._raw)  # the close of the connection ends a response without a length
                break
            self._raw += data
        found = _parse(bytes(self._raw[:end]), 0.0)
        del self._raw[:end]
        return found if found.complete else ProbeResponse()

    def _end(self) -> int:
        """Return the place where the next response ends; 0 if more bytes must come."""
        head = self._raw.find(b"\r\n\r\n") + 4
        if head < 4:
            return 0
        fields = dict(_parse(bytes(self._raw[:head]), 0.0).headers)
        declared = fields.get(b"content-length", b"")
        if declared.isdigit():
            whole = head + int(declared)
            return whole if len(self._raw) >= whole else 0
        if fields.get(b"transfer-encoding", b"").lower() != b"chunked":
            return 0
        last = self._raw.find(b"0\r\n\r\n", head)  # the probe's responses here are short, and have no such bytes
        return last + 5 if last >= 0 else 0


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
        lines = ("Upgrade: websocket", *HANDSHAKE, f"Sec-WebSocket-Protocol: {', '.join(OFFERED)}")
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
        """Send a frame, masked as a client has to (RFC 6455 5.3)."""
        key = os.urandom(4)
        count = len(data)
        mask = int.from_bytes((key * (count // 4 + 1))[:count])
        masked = (int.from_bytes(data) ^ mask).to_bytes(count)
        first = bytes([opcode | (0x80 if last else 0)])
        if count < 126:
            head = first + bytes([0x80 | count])
        elif count < 65536:
            head = first + b"\xfe" + count.to_bytes(2)
        else:
            head = first + b"\xff" + count.to_bytes(8)
        with contextlib.suppress(OSError):  # the server has closed, which `receive` reports
            self._connection.sendall(head + key + masked)

    def message(self) -> tuple[int, bytes] | None:
        """Return opcode and data of the next message, its fragments joined; None as for `receive`."""
        kind, data = 0, b""
        while (frame := self._frame()) is not None:
            opcode, last, part = frame
            if opcode >= 8:
                continue
            kind, data = kind or opcode, data + part
            if last:
                return kind, data
        return None

    def reset(self) -> None:
        """Break the connection, as a client does that loses the network."""
        _reset(self._connection)

    def receive(self) -> tuple[int, bytes] | None:
        """Return opcode and data of the next frame; None if the connection ended, or no frame came in time."""
        frame = self._frame()
        return None if frame is None else (frame[0], frame[2])

    def _frame(self) -> tuple[int, bool, bytes] | None:
        try:
            head = self._exactly(2)
            length = head[1] & 0x7F
            if length == 126:
                length = int.from_bytes(self._exactly(2))
            elif length == 127:
                length = int.from_bytes(self._exactly(8))
            return head[0] & 0x0F, bool(head[0] & 0x80), self._exactly(length)
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
