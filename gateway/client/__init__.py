"""Whether the client of a request is gone: one rule per interface, for drivers and adapters alike."""

from __future__ import annotations

import errno

__all__ = ["LOOK_AFTER", "ClientGone"]

#: Seconds without headers after which a driver looks whether the client is still there.
LOOK_AFTER: float = 0.01


class ClientGone(ConnectionResetError):
    """Raised by an adapter in a read or a send: the client is gone, as the server says.

    It has the ``errno`` by which servers tell a client that went away from a fault of the application.
    """

    def __init__(self, during: str) -> None:
        super().__init__(errno.ECONNRESET, f"the client disconnected {during}")
