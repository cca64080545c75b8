"""Tell an application that its process ends soon, while a server that stops waits for its requests.

A server that stops waits for its responses, and then kills what is left. A response without an end, such as an event
stream, would always be killed, and with it the lifespan's shutdown of every application in the process. So shortly
before that, ``receive()`` returns ``http.disconnect``: a response that listens for it ends, and the rest of the time is
left for the shutdown. Other responses are not touched.

WSGI has no message for this. A server's hook gives the facts (`gateway.adapters.asgi_to_wsgi.start_all`).

Source: gunicorn ``arbiter.stop``, ``workers/gthread.py``: both wait for ``graceful_timeout``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Ending"]


class Ending:
    """The facts about the end of a process.

    Args:
        stopping: Tells whether the server has begun to stop. None: it cannot be known.
        patience: Seconds that responses may take from then on. None: no limit.
        single_threaded: The server calls the application in the main thread. Python runs signal handlers there, and not
            while it sleeps at a lock, because gunicorn restarts interrupted system calls (``siginterrupt``).
    """

    def __init__(
        self,
        stopping: Callable[[], bool] | None = None,
        patience: float | None = None,
        *,
        single_threaded: bool = False,
    ) -> None:
        self._stopping = stopping
        self._patience = patience
        self._since: float | None = None
        #: Whether to look at `is_near` from time to time. It measures from the first look at a server that stops.
        self.may_come = stopping is not None and patience is not None
        #: Whether to wake the thread of the server at each look, so that it learns of the signal to stop.
        self.wakes = self.may_come and single_threaded

    def is_near(self) -> bool:
        """Tell whether the time for responses is over."""
        if self._stopping is None or self._patience is None or not self._stopping():
            return False
        now = time.monotonic()
        if self._since is None:
            self._since = now
        return now - self._since >= self._patience
