"""Cut the connection of a response that failed: RSGI has no call for it, and granian would end the response normally.

granian opens the connections itself, in this process. So the connection is the socket of this process whose peer is the
client; shutting it down needs no help from granian.

Limits: HTTP/1 only, because a connection of HTTP/2 carries other requests; TCP only, because the clients of a unix
socket have no addresses. Elsewhere such a response looks complete, unless it has a ``Content-Length``.

Sources: RFC 9112 section 8, "Handling Incomplete Messages"; shutdown(2).
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.adapters.asgi_to_rsgi._objects import HttpTransport, RsgiScope, address

__all__ = ["cut"]

#: Each open file of this process is an entry, under Linux, macOS and the BSDs.
_OPEN_FILES: Final = "/dev/fd"
#: Seconds that granian has to send the bytes before the failure.
_FLUSH_SECONDS: Final = 0.05


def cut(scope: RsgiScope, stream: HttpTransport) -> None:
    """Shut down the connection of a request soon, and keep ``stream`` until then, because its end ends the response."""
    client = address(scope.client)
    if client is not None and scope.http_version.startswith("1"):
        server = address(scope.server)
        asyncio.get_running_loop().call_later(_FLUSH_SECONDS, _shut_down, client, server and server[1], stream)


def _shut_down(client: tuple[str, int | None], port: int | None, stream: HttpTransport) -> None:
    with suppress(OSError):  # a system without the folder
        for file in Path(_OPEN_FILES).iterdir():
            with suppress(OSError):  # it is not a socket, or is closed by now
                _shut_down_if(int(file.name), client, port)
    del stream


def _shut_down_if(descriptor: int, client: tuple[str, int | None], port: int | None) -> None:
    # A copy of the descriptor stays this file, even if another thread closes the original meanwhile.
    copy = os.dup(descriptor)
    try:
        connection = socket.socket(fileno=copy)  # an error if it is not a socket
    except OSError:
        os.close(copy)
        raise
    with connection:
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            peer, own = connection.getpeername(), connection.getsockname()
            if peer[:2] == client and own[1] == port:
                connection.shutdown(socket.SHUT_RDWR)
