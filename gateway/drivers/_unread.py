"""Read and drop the rest of a request body after a middleware has responded without reading it.

A server that closes a connection with unread bytes in it sends a TCP reset. A reset makes the client, or a proxy in
front, throw away a response that it has not read yet: it sees a cut connection instead of the 413. So the driver sends
the whole response, then reads and drops the rest of the request, and only then ends the exchange.

Bounds: :data:`MOST_BYTES`, and :data:`MOST_SECONDS` in all, so that a client cannot hold a worker by sending slowly or
not at all. ``receive()`` can be given up at any time. A read of ``wsgi.input`` cannot, so it takes a server that hands
out its socket, whose timeout bounds the read: Gunicorn. With another WSGI server nothing is read here.

If a read of a WSGI stream fails, because the client is gone or too slow, the stream does not know where the next
request begins. The bytes that follow must not be taken for a request, so the connection is shut down before it goes
back to the server. At the bounds the stream is sound, and the server treats the rest as it treats any unread body.

Sources: RFC 9112 section 9.6 (the reset problem); RFC 9110 section 15.5.14.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from gateway.loops import in_thread, move_on_after

if TYPE_CHECKING:
    from gateway.drivers._request_body import ServerInput
    from gateway.protocols import ASGIReceive, Environ, Scope

__all__ = ["MOST_BYTES", "MOST_SECONDS", "can_drop", "drop", "drop_async"]

MOST_BYTES: Final = 16 * 2**20
MOST_SECONDS: Final = 1.0
_BLOCK: Final = 64 * 1024


def can_drop(environ: Environ, *, began: bool = False) -> bool:
    """Return whether a WSGI request has a body, and its server lets us bound the time of a read.

    Args:
        environ: The server's.
        began: Whether some of the body was read; a transform may have removed the length from the environ.
    """
    return (
        "gunicorn.socket" in environ
        # In HTTP/1 a request without either of them has no body (RFC 9112 section 6.3).
        and (began or environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ)
        and "gateway.scope" not in environ  # the input is an adapter's
        and str(environ.get("SERVER_PROTOCOL")).startswith("HTTP/1.")  # in HTTP/2 other requests share the socket
    )


def drop(environ: Environ, source: ServerInput | None = None) -> None:
    """Read and drop the rest of a body for which :func:`can_drop` is true; never raises.

    Args:
        environ: The server's.
        source: The server's own stream, if the environ has another one around it.
    """
    client = cast("socket.socket", environ["gunicorn.socket"])
    read = (source or cast("ServerInput", environ["wsgi.input"])).read
    # One read calls recv() until it has enough, and each call may last as long as the timeout: a client that sends byte
    # by byte would hold the worker for minutes. So a timer sets the timeout to 0 after half of the time, and the recv()
    # that is under way then has the other half.
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
    except Exception:  # the client is gone or slow, or does not send a valid body
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
    """Shut a connection down both ways and drop the bytes that have arrived; sent bytes are still delivered."""
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
        client.settimeout(0)
        while client.recv(_BLOCK):
            pass


async def drop_async(scope: Scope, receive: ASGIReceive) -> None:
    """Read and drop the rest of the body of an ASGI request; raises nothing except a cancellation.

    To be called after the content of the response, and before the message that completes it: afterwards a server gives
    ``http.disconnect`` at once.
    """
    environ: Environ | None = scope.get("gateway.environ")
    if environ is not None:  # there is an adapter around, whose receive() reads as a WSGI application does
        if can_drop(environ):
            await in_thread(drop, environ)
        return
    with contextlib.suppress(Exception):
        async with move_on_after(MOST_SECONDS):
            await _drop(receive)


async def _drop(receive: ASGIReceive) -> None:
    dropped = 0
    while dropped < MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        dropped += len(message.get("body", b""))
