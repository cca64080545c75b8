"""Read and drop what a client still sends, after a middleware has answered without the body.

A server that closes a connection with unread bytes in it sends a TCP reset, and a reset makes the client, or a proxy
between, throw away a response that it has not read yet: it sees a cut connection and never the 413. So the response
goes out first, with all of its content; then the driver reads on and drops what comes, and only then the exchange ends.

Bounds: :data:`MOST_BYTES`, and :data:`MOST_SECONDS` in all, so that a client cannot hold a worker by sending slowly or
not at all. ``receive()`` can be given up at any time. A read of ``wsgi.input`` cannot, so it takes a server that hands
out its socket, whose timeout bounds the read: Gunicorn. With another WSGI server nothing is read here.

A WSGI stream that failed in the middle of a read, because the client is gone or too slow, does not know where the next
request begins. The bytes that follow must not be taken for one, so the connection is shut down before it goes back to
the server. Above the bounds the stream is sound, and the server treats the rest as any body that nobody read.

Sources: RFC 9112 section 9.6 (the reset problem); RFC 9110 section 15.5.14.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from gateway.drivers._colour import in_thread, in_trio

if TYPE_CHECKING:
    from gateway.drivers._request_body import ServerInput
    from gateway.protocols import ASGIReceive, Environ, Scope

__all__ = ["MOST_BYTES", "MOST_SECONDS", "Dropping", "can_drop", "drop", "drop_async"]

MOST_BYTES: Final = 16 * 2**20
MOST_SECONDS: Final = 1.0
_BLOCK: Final = 64 * 1024


def can_drop(environ: Environ, *, began: bool = False) -> bool:
    """Return whether a WSGI request has a body, and its server lets us bound the time of a read.

    Args:
        environ: The server's.
        began: Whether some of the body was read. Then a transform may have taken the length out of the environ.
    """
    return (
        "gunicorn.socket" in environ
        # In HTTP/1 a request without either of them has no body (RFC 9112 section 6.3).
        and (began or environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ)
        and "gateway.scope" not in environ  # the input is an adapter's
        and str(environ.get("SERVER_PROTOCOL")).startswith("HTTP/1.")  # in HTTP/2 other requests share the socket
    )


def drop(environ: Environ, source: ServerInput | None = None) -> None:
    """Read and drop what is left of a body for which :func:`can_drop` holds; never raises.

    Args:
        environ: The server's.
        source: The server's own stream, where another stands before it in the environ.
    """
    client = cast("socket.socket", environ["gunicorn.socket"])
    read = (source or cast("ServerInput", environ["wsgi.input"])).read
    # One read makes as many recv() as it takes, and each may last as long as the timeout: a client that sends byte by
    # byte would hold the worker for minutes. So the timer takes the timeout away after half of the time, and what
    # recv() is under way then has the other half.
    half = MOST_SECONDS / 2
    until = monotonic() + MOST_SECONDS
    try:
        before = client.gettimeout()
        client.settimeout(half)
    except (OSError, AttributeError):  # closed already, or not a socket
        return
    timer = threading.Timer(half, _hurry, (client,))
    timer.daemon = True
    timer.start()
    dropped = 0
    try:
        while dropped < MOST_BYTES and monotonic() < until:
            chunk = read(_BLOCK)
            if not chunk:
                return
            dropped += len(chunk)
    except Exception:  # the client is gone or slow, or what it sends is not a body
        _shut(client)
    finally:
        timer.cancel()
        timer.join()
        with contextlib.suppress(OSError):
            client.settimeout(before)


def _hurry(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.settimeout(0)


def _shut(client: socket.socket) -> None:
    """End a connection both ways, and drop what has arrived on it; what was sent is still delivered."""
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
        client.settimeout(0)
        while client.recv(_BLOCK):
            pass


class Dropping:
    """A WSGI body whose ``close()`` drops what the client still sends: the response is out by then."""

    def __init__(self, body: Iterable[bytes], environ: Environ) -> None:
        self._body = body
        self._environ = environ

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        drop(self._environ)


async def drop_async(scope: Scope, receive: ASGIReceive) -> None:
    """Read and drop what is left of the body of an ASGI request that has one; never raises but a cancellation.

    To be called after the content of the response, and before the message that completes it: afterwards a server gives
    ``http.disconnect`` at once.
    """
    environ: Environ | None = scope.get("gateway.environ")
    if environ is not None:  # there is an adapter around, whose receive() reads as a WSGI application does
        if can_drop(environ):
            await in_thread(drop, environ)
        return
    with contextlib.suppress(Exception):
        if in_trio():
            with sys.modules["trio"].move_on_after(MOST_SECONDS):
                await _drop(receive)
        else:
            await asyncio.wait_for(_drop(receive), MOST_SECONDS)


async def _drop(receive: ASGIReceive) -> None:
    dropped = 0
    while dropped < MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        dropped += len(message.get("body", b""))
