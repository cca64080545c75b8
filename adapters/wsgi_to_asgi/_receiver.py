"""The one reader of a request's ``receive``: first its body, then its disconnect.

It runs only where it is needed: for a body that is too large to be awaited before a worker is taken, and for a
response that is not complete when the loop first sees it. Nothing else calls ``receive`` meanwhile: no message is lost.

Source: ASGI HTTP 2.4 "Request", "Disconnect".
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.adapters.hand_off._ports import Port, Spawn
from gateway.adapters.wsgi_to_asgi._input import Inbox
from gateway.protocols import ASGIReceive


class Receiver:
    """Feeds an `Inbox` from ``receive`` and tells of the client's end. All methods belong to the loop's thread."""

    __slots__ = (
        "_cancel", "_complete", "_disconnected", "_port", "_receive", "_resumed", "_running", "_spawn", "_stopped",
        "_watching", "error", "inbox",
    )  # fmt: skip

    def __init__(
        self,
        receive: ASGIReceive,
        port: Port,
        spawn: Spawn,
        disconnected: Callable[[], None],
        *,
        complete: bool,
        high: int,
        low: int,
    ) -> None:
        """Make a reader that has not begun.

        Args:
            receive: The server's.
            port: Where the worker asks for more.
            spawn: Starts the reading task.
            disconnected: Called when the client went away.
            complete: Whether the body was read already.
            high: Bytes of the body that are buffered at most.
            low: Bytes from which on reading goes on.
        """
        self._receive = receive
        self._port = port
        self._spawn = spawn
        self._disconnected = disconnected
        self._complete = complete
        self._cancel: Callable[[], object] | None = None
        self._running = False
        self._stopped = False
        self._watching = False
        #: What ``receive`` raised.
        self.error: Exception | None = None
        self._resumed = port.signal()
        self.inbox = Inbox(high, low, self._ask)

    def _ask(self) -> None:  # by the worker
        self._port.post(self._go_on)

    def _go_on(self) -> None:
        self.start()
        self._resumed.set()

    def start(self) -> None:
        """Begin to read the body, unless it is being read."""
        if not self._running and not self._stopped and not (self._complete and not self._watching):
            self._running = True
            self._cancel = self._spawn(self._run)

    def watch(self) -> None:
        """Read on after the body, until the client disconnects."""
        if not self._watching:
            self._watching = True
            self.start()

    def stop(self) -> None:
        """Read no more: the request is over. A worker that still waits for its body is told so."""
        self._stopped = True
        self.inbox.fail()
        if self._running and self._cancel is not None:
            self._cancel()

    async def _run(self) -> None:
        try:
            while not self._complete:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self._lost()
                    return
                go_on = self.inbox.feed(message.get("body", b""))
                if not message.get("more_body", False):
                    self._complete = True
                    self.inbox.end()
                elif not go_on:
                    await self._resumed.wait()
            if self._watching:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self._lost()
                # Anything else: a server that has no disconnect to tell. Asking again might never suspend.
        except Exception as error:  # raised by who serves the request
            self.error = error
            self._lost()
        finally:
            self._running = False
            self._cancel = None  # it holds the task, whose exception holds this

    def _lost(self) -> None:
        self._stopped = True
        self._disconnected()
        self.inbox.fail()  # the last: what a worker answers to it goes nowhere
