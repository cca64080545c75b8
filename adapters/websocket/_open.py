"""The open WebSockets of one loop, so that a server that stops can close them.

A WSGI server that stops waits for its threads, and an open WebSocket holds a thread. So a server's hook, or `close`,
closes the WebSockets first, with code 1001 ("going away"). Clients reconnect after this code.

Some servers call no hook but can be polled (Gunicorn's workers). They are polled twice a second while a WebSocket is
open.

Source: RFC 6455 section 7.4.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_ASK_SECONDS = 0.5

#: Tells whether the server of this process has begun to stop; set by `gateway.adapters.asgi_to_wsgi.start_all`.
stopping: Callable[[], bool] | None = None


class OpenSockets:
    """The functions that close the open WebSockets. All methods run on the loop."""

    def __init__(self) -> None:
        self._goodbyes: set[Callable[[], object]] = set()
        self._asking: asyncio.TimerHandle | None = None

    def add(self, goodbye: Callable[[], object]) -> None:
        """Add the function that closes an open WebSocket."""
        self._goodbyes.add(goodbye)
        if stopping is not None and self._asking is None:
            self._asking = asyncio.get_running_loop().call_later(_ASK_SECONDS, self._ask)

    def discard(self, goodbye: Callable[[], object]) -> None:
        """Remove the function of a WebSocket that has ended."""
        self._goodbyes.discard(goodbye)

    def close(self) -> None:
        """Begin to close all of them."""
        for goodbye in tuple(self._goodbyes):
            goodbye()

    def _ask(self) -> None:
        self._asking = None
        if stopping is not None and self._goodbyes:
            if stopping():
                self.close()
            self._asking = asyncio.get_running_loop().call_later(_ASK_SECONDS, self._ask)
