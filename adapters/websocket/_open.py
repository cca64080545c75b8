"""The WebSockets that are open on one loop, so that a server that ends can say goodbye to them.

A WSGI server waits for its threads when it is told to stop, and a WebSocket holds one for as long as it lasts. So who
is told first (a server's hook, `close`) has them closed with 1001, "going away"; clients know to connect again.

A server that cannot tell, but can be asked (Gunicorn's workers), is asked twice a second while anything is open.

Source: RFC 6455 section 7.4.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_ASK_SECONDS = 0.5

#: Tells whether the server of this process has begun to stop; set by `gateway.adapters.asgi_to_wsgi.start_all`.
stopping: Callable[[], bool] | None = None


class OpenSockets:
    """What to call to close each one. Everything here runs on the loop."""

    def __init__(self) -> None:
        self._goodbyes: set[Callable[[], object]] = set()
        self._asking: asyncio.TimerHandle | None = None

    def add(self, goodbye: Callable[[], object]) -> None:
        """Keep one."""
        self._goodbyes.add(goodbye)
        if stopping is not None and self._asking is None:
            self._asking = asyncio.get_running_loop().call_later(_ASK_SECONDS, self._ask)

    def discard(self, goodbye: Callable[[], object]) -> None:
        """Forget one that has ended."""
        self._goodbyes.discard(goodbye)

    def close(self) -> None:
        """Say goodbye to all."""
        for goodbye in tuple(self._goodbyes):
            goodbye()

    def _ask(self) -> None:
        self._asking = None
        if stopping is not None and self._goodbyes:
            if stopping():
                self.close()
            self._asking = asyncio.get_running_loop().call_later(_ASK_SECONDS, self._ask)
