"""A connected socket on a running loop: writes do not wait, reads can be paused, and the end comes once.

An asyncio transport would do the same for a plain socket. This class also takes a TLS socket whose handshake a WSGI
server has made, which no asyncio transport accepts.

All methods run on the loop. ``lost`` is called exactly once, when the socket is closed, for whatever reason.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: Bytes that may wait to be written before `Wire.drain` waits. It continues at half of that.
HIGH_BYTES = 128 * 1024
_READ_BYTES = 64 * 1024


def _ignore(data: bytes = b"") -> None:
    pass


_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """One socket.

    Args:
        sock: A non-blocking socket. The wire closes it, unless it is a TLS socket, which the server closes.
        received: Called with the bytes that arrived; b"" if the client has ended its side, or the connection broke.
        took: Called when the client has read bytes again after the send buffer was full.
        lost: Called at the end.
    """

    def __init__(
        self,
        sock: Any,
        *,
        received: Callable[[bytes], object],
        took: Callable[[], object],
        lost: Callable[[], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._fd: int = sock.fileno()
        self._pending: Callable[[], int] | None = getattr(sock, "pending", None)
        self._received = received
        self._took = took
        self._lost = lost
        self._out = bytearray()
        self._reading = False
        self._writing = False
        self._ending = False
        self._broken = False  # writing failed
        self._room: asyncio.Future[None] | None = None
        self.closed = False

    # Reading.

    def resume(self) -> None:
        """Start or continue reading."""
        if not self._reading and not self.closed:
            self._reading = True
            self._loop.add_reader(self._fd, self._readable)
            if self._pending is not None:  # bytes that TLS has read ahead do not make the descriptor readable
                self._loop.call_soon(self._readable)

    def pause(self) -> None:
        """Stop reading, so that the client has to wait."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def look(self) -> None:
        """Read bytes that have arrived already, unless reading is paused."""
        self._readable()

    def _readable(self) -> None:
        if not self._reading:
            return
        try:
            data = self._socket.recv(_READ_BYTES)
        except _NOT_NOW:
            return
        except OSError:
            data = b""
        if not data:
            self.pause()
        elif self._pending is not None and self._pending():
            # The next record is decrypted already, so the descriptor may not become readable for it.
            self._loop.call_soon(self._readable)
        self._received(data)

    # Writing.

    def write(self, data: bytes | bytearray) -> None:
        """Write as much as the socket takes, and the rest when it takes more."""
        if self.closed or self._ending or self._broken:
            return
        waiting = bool(self._out)
        self._out += data
        if not waiting:
            self._flush()

    async def drain(self) -> None:
        """Wait while more than `HIGH_BYTES` wait to be written. Returns at half of that, or at the end."""
        while len(self._out) > HIGH_BYTES and not self.closed:
            if self._room is None:
                self._room = self._loop.create_future()
            await asyncio.shield(self._room)

    def end(self) -> None:
        """Close the connection once all bytes are written."""
        if not self.closed and not self._ending:
            self._ending = True
            if not self._out:
                self.abort()

    def abort(self) -> None:
        """Close the connection now."""
        if self.closed:
            return
        self.closed = True
        self.pause()
        if self._writing:
            self._loop.remove_writer(self._fd)
        self._out.clear()
        self._make_room()
        with suppress(OSError):  # the client may have closed the connection first
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._pending is None:  # a plain socket is our duplicate; a TLS socket is the server's, which closes it
            self._socket.close()
        lost = self._lost
        # Break the reference cycle: the methods belong to the object that holds this wire.
        self._received = self._took = self._lost = _ignore
        lost()

    def _flush(self) -> None:
        try:
            sent: int = self._socket.send(self._out)
        except _NOT_NOW:
            sent = 0
        except OSError:
            self._write_failed()
            return
        if sent:
            del self._out[:sent]
            if self._writing:  # the send buffer was full before, so the client has read something
                self._took()
        if self._out:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._fd, self._flush)
        elif self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)
        if len(self._out) <= HIGH_BYTES // 2:
            self._make_room()
        if self._ending and not self._out:
            self.abort()

    def _write_failed(self) -> None:
        self._broken = True
        self._out.clear()
        self._make_room()
        if self._ending:
            self.abort()
            return
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)
        self.resume()  # the other side may have sent bytes before it went; reading finds the end after them

    def _make_room(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None
