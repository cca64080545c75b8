"""Send one request to a running server, and return the whole response with its headers in the order of arrival.

It uses a socket, because HTTP libraries join, sort and drop headers, and the demo compares exactly these.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from http.client import HTTPResponse

from gateway.matrix._reference import Answer, Request
from gateway.servers import Bind

__all__ = ["IGNORED", "ask"]

#: Headers that belong to the connection and the server: the comparison ignores these names.
IGNORED = frozenset({"date", "server", "connection", "keep-alive", "transfer-encoding"})
_CHUNK_BYTES = 1000


@dataclass(frozen=True)
class _Received:
    """The bytes of a response, in the form of the socket that http.client reads from."""

    content: bytes

    def makefile(self, mode: str) -> io.BufferedIOBase:
        return io.BytesIO(self.content)


def ask(bind: Bind, request: Request, *, timeout: float = 20.0) -> Answer:
    """Send one request on a new connection.

    Raises:
        OSError: The connection failed.
        http.client.HTTPException: The received bytes are not a complete HTTP response.
    """
    lines = [f"{request.method} {request.path} HTTP/1.1", "Host: localhost", "Connection: close"]
    body = request.body
    if request.chunked:
        lines.append("Transfer-Encoding: chunked")
        parts = [body[at : at + _CHUNK_BYTES] for at in range(0, len(body), _CHUNK_BYTES)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))
    elif body:
        lines.append(f"Content-Length: {len(body)}")
    with bind.connect(timeout) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    with HTTPResponse(_Received(received), method=request.method) as response:  # type: ignore[arg-type]  # makefile() is all it uses
        response.begin()
        content = response.read()
        headers = [(name.lower(), value) for name, value in response.getheaders()]
    if request.method == "HEAD":  # http.client would not read a body that should not be there
        content = received.partition(b"\r\n\r\n")[2]
    return Answer(response.status, tuple(pair for pair in headers if pair[0] not in IGNORED), content)
