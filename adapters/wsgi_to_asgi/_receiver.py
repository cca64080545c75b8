"""The only reader of a request's ``receive``: it reads the body, then the disconnect.

It runs only if it is needed. One case is a body that is too large to await before a worker is taken. The other is a
response that is not complete when the loop first sees it. No other code calls ``receive`` meanwhile, so no message is
lost.

Source: ASGI HTTP 2.4 "Request", "Disconnect".
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.adapters.hand_off._ports import Port, Spawn
from gateway.adapters.wsgi_to_asgi._input import Inbox
from gateway.protocols import ASGIReceive


class Receiver:
    """Feeds an `Inbox` from ``receive`` and reports when the client leaves. Loop thread only."""

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
            port: The port through which the worker requests more.
            spawn: Starts the reading task.
            disconnected: Called when the client has left.
            complete: Whether the body was read already.
            high: Number of buffered bytes at which reading pauses.
            low: Number of buffered bytes at which reading continues.
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
        #: The error that ``receive`` raised, or None.
        self.error: Exception | None = None
        self._resumed = port.signal()
        self.inbox = Inbox(high, low, self._ask)

    def _ask(self) -> None:  # called in the worker
        self._port.post(self._go_on)

    def _go_on(self) -> None:
        self.start()
        self._resumed.set()

    def start(self) -> None:
        """Begin to read the body, unless the reading task runs already."""
        if not self._running and not self._stopped and not (self._complete and not self._watching):
            self._running = True
            self._cancel = self._spawn(self._run)

    def watch(self) -> None:
        """Keep reading after the body, until the client disconnects."""
        if not self._watching:
            self._watching = True
            self.start()

    def stop(self) -> None:
        """Stop reading, because the request is over. A worker that waits for the body gets `ClientDisconnected`."""
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
                # A server that sends anything else has no disconnect events. Another receive() might never suspend.
        except Exception as error:  # `RequestCycle` raises it to the server
            self.error = error
            self._lost()
        finally:
            self._running = False
            self._cancel = None  # break the reference cycle: it holds the task, whose exception holds this object

    def _lost(self) -> None:
        self._stopped = True
        self._disconnected()
        self.inbox.fail()  # last, because the run must be gone before the failing read makes the worker respond
