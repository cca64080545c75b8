"""Send one request to a running server, and return the whole response with its headers in the order of arrival.

It uses a socket, because HTTP libraries join, sort and drop headers, and the comparison is about exactly these.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPException, HTTPResponse, IncompleteRead

from gateway.matrix._probe import PAUSE
from gateway.matrix._reference import Answer
from gateway.matrix._requests import MatrixRequest
from gateway.servers import Bind

__all__ = ["IGNORED", "ask"]

#: Headers that belong to the connection and the server: the comparison ignores these names.
IGNORED = frozenset({"date", "server", "connection", "keep-alive", "transfer-encoding"})
_CHUNK_BYTES = 1000
#: Seconds that a client waits for 100 before it sends the body without it.
_EXPECT_SECONDS = 1.0
_UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
#: A text message "hello" and a close with 1000, masked with nulls (RFC 6455 section 5.2).
_HELLO, _CLOSE = b"\x81\x85\0\0\0\0hello", b"\x88\x82\0\0\0\0\x03\xe8"


@dataclass(frozen=True)
class _Received:
    """The bytes of a response, in the form of the socket that http.client reads from."""

    content: bytes

    def makefile(self, mode: str) -> io.BufferedIOBase:
        return io.BytesIO(self.content)


def ask(bind: Bind, request: MatrixRequest, *, timeout: float = 20.0) -> Answer:
    """Send one request on a new connection, in the way that it names.

    Raises:
        OSError: The connection failed.
        http.client.HTTPException: The received bytes are not a complete HTTP response.
    """
    match request.how:
        case "again":
            return _again(bind, request, timeout)
        case "leave":
            with bind.connect(timeout) as connection:
                head, body = _written(request)
                connection.sendall(head + body[: len(body) // 2])
            return ask(bind, replace(request, how="plain"), timeout=timeout)
        case "websocket":
            return _websocket(bind, request, timeout)
        case _:
            return _once(bind, request, timeout)


def _once(bind: Bind, request: MatrixRequest, timeout: float) -> Answer:
    head, body = _written(request)
    interim, first = 0, 0.0
    received = b""
    with bind.connect(timeout) as connection:
        connection.sendall(head)
        if request.how == "expect":
            interim, received = _await_continue(connection)
            connection.settimeout(timeout)
        # A server may respond before it has read the body.
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            connection.sendall(body)
        left_open = False
        try:
            while more := connection.recv(65536):
                received += more
                if not first and b"first" in received:
                    first = time.monotonic()
        except ConnectionResetError:  # keep the bytes that came before
            pass
        except TimeoutError:
            if not received:
                raise
            left_open = True
        ended = time.monotonic()
    answer = _parsed(received, request, left_open)
    at_once = request.how != "timed" or ended - first > PAUSE / 2
    return replace(answer, interim=interim, at_once=at_once)


def _await_continue(connection: socket.socket) -> tuple[int, bytes]:
    """Wait for 100; return its status and the bytes behind it. A final response is left as it is."""
    connection.settimeout(_EXPECT_SECONDS)
    received = b""
    with suppress(TimeoutError):
        while b"\r\n\r\n" not in received and (more := connection.recv(65536)):
            received += more
    if received.startswith((b"HTTP/1.1 100", b"HTTP/1.0 100")):
        return 100, received.partition(b"\r\n\r\n")[2]
    return 0, received


def _again(bind: Bind, request: MatrixRequest, timeout: float) -> Answer:
    head, body = _written(request, connection="keep-alive")
    with bind.connect(timeout) as connection:
        answer = Answer(0, (), b"")
        for _ in range(2):
            connection.sendall(head + body)
            response = HTTPResponse(connection, method=request.method)
            response.begin()
            answer = _answer(response, response.read())
        return answer


def _websocket(bind: Bind, request: MatrixRequest, timeout: float) -> Answer:
    head, _ = _written(request)
    with bind.connect(timeout) as connection:
        connection.sendall(head)
        # The server may keep the connection open, so http.client reads a response that is not 101.
        if not _peeked(connection).startswith(b"HTTP/1.1 101"):
            response = HTTPResponse(connection, method=request.method)
            response.begin()
            return _answer(response, response.read())
        received = b""
        while b"\r\n\r\n" not in received and (more := connection.recv(65536)):
            received += more
        frames = received.partition(b"\r\n\r\n")[2]
        connection.sendall(_HELLO)
        while len(frames) < 2 and (more := connection.recv(65536)):
            frames += more
        with suppress(OSError):
            connection.sendall(_CLOSE)
            connection.recv(65536)
        return Answer(101, (), frames[2 : 2 + (frames[1] & 0x7F)])


def _peeked(connection: socket.socket) -> bytes:
    """Wait for the first line of a response, and leave it unread."""
    seen = b""
    while b"\r\n" not in seen and (more := connection.recv(4096, socket.MSG_PEEK)) and more != seen:
        seen = more
    return seen


def _written(request: MatrixRequest, connection: str = "close") -> tuple[bytes, bytes]:
    """Return the bytes of the headers and of the body."""
    lines = [f"{request.method} {request.path} HTTP/{request.version}", "Host: localhost"]
    lines += _UPGRADE if request.how == "websocket" else (f"Connection: {connection}",)
    lines += [f"{name}: {value}" for name, value in request.sent_headers]
    if request.how == "expect":
        lines.append("Expect: 100-continue")
    body = request.body
    if request.chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(_chunks(body))
    elif body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1"), body


def _chunks(body: bytes) -> Iterator[bytes]:
    for part in (*(body[at : at + _CHUNK_BYTES] for at in range(0, len(body), _CHUNK_BYTES)), b""):
        yield b"%x\r\n%b\r\n" % (len(part), part)


def _parsed(received: bytes, request: MatrixRequest, left_open: bool) -> Answer:
    with HTTPResponse(_Received(received), method=request.method) as response:  # type: ignore[arg-type]  # makefile() is all it uses
        response.begin()
        complete = True
        try:
            content = response.read()
        except IncompleteRead as error:
            if request.probe != "cut":
                raise
            content, complete = error.partial, False
        if response.length is None and not response.chunked:  # only the close of the connection ends the body
            if left_open and request.probe != "cut":
                raise IncompleteRead(content)
            if response.version == 10 and request.probe == "cut":  # nobody can tell
                complete = False
        answer = _answer(response, content)
    if request.method == "HEAD":  # http.client would not read a body that should not be there
        answer = replace(answer, body=received.partition(b"\r\n\r\n")[2])
    return replace(answer, complete=complete, left_open=left_open)


def _answer(response: HTTPResponse, content: bytes) -> Answer:
    headers = [(name.lower(), value) for name, value in response.getheaders()]
    if not response.status:
        raise HTTPException("no status")
    return Answer(response.status, tuple(pair for pair in headers if pair[0] not in IGNORED), content)
