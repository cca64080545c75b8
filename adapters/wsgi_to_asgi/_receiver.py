"""Reads the body of a request for a worker, and has its client watched afterwards.

It runs only if it is needed. One case is a body that is too large to await before a worker is taken. The other is a
response that is not complete when the loop first sees it, or an application that asks whether the client is gone. No
other code calls ``receive`` meanwhile, so no message is lost.

Source: ASGI HTTP 2.4 "Request", "Disconnect".
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.adapters.hand_off._ports import Port, Spawn
from gateway.adapters.wsgi_to_asgi._input import Inbox
from gateway.client.asgi import AsgiClient
from gateway.loops import sleep
from gateway.protocols import ASGIReceive

#: Turns of the loop: the end of the request, then the disconnect. trio needs the most.
_TURNS = 8


class Receiver:
    """Feeds an `Inbox` from ``receive`` and reports when the client leaves. Loop thread only."""

    __slots__ = (
        "_cancel", "_client", "_complete", "_disconnected", "_port", "_receive", "_resumed", "_running", "_spawn",
        "_stopped", "_watching", "error", "inbox", "looked",
    )  # fmt: skip

    def __init__(
        self,
        client: AsgiClient,
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
            client: The client of the request.
            receive: Returns its messages.
            port: The port through which the worker requests more.
            spawn: Starts the reading task.
            disconnected: Called when the client has left.
            complete: Whether the body was read already.
            high: Number of buffered bytes at which reading pauses.
            low: Number of buffered bytes at which reading continues.
        """
        self._client = client
        self._receive = receive
        self._port = port
        self._spawn = spawn
        self._disconnected = disconnected
        self._complete = complete
        self._cancel: Callable[[], object] | None = None
        self._running = False
        self._stopped = False
        self._watching = False
        #: Whether the server has had time to say that the client is gone.
        self.looked = False
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
        if not (self._running or self._stopped or self._complete):
            self._running = True
            self._cancel = self._spawn(self._run)

    def watch(self) -> None:
        """Have the client watched, once the body has been read."""
        if self._watching or self._stopped:
            return
        self._watching = True
        if self._complete:
            self._client.watch(self._lost)
        else:
            self.start()

    async def look(self, then: Callable[[], object]) -> None:
        """Have the client watched; call ``then`` when the server has had time to say that it is gone."""
        try:
            self.watch()
            for _ in range(_TURNS):
                await sleep(0)
                if self._stopped:
                    break
        finally:
            self.looked = True
            then()

    @property
    def is_blind(self) -> bool:
        """Whether the server sends no disconnects."""
        return self._client.is_blind

    def stop(self) -> None:
        """Stop reading, because the request is over. A worker that waits for the body gets `ClientGone`."""
        self._stopped = True
        self.inbox.fail()
        if self._running and self._cancel is not None:
            self._cancel()
        self._client.leave()

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
                    await self._resumed
            if self._watching:
                self._client.watch(self._lost)
        except Exception as error:
            self._lost(error)
        finally:
            self._running = False
            self._cancel = None  # break the reference cycle: it holds the task, whose exception holds this object

    def _lost(self, error: Exception | None = None) -> None:
        self.error = error  # `RequestCycle` raises it to the server
        self._stopped = True
        self._disconnected()
        self.inbox.fail()  # last, because the run must be gone before the failing read makes the worker respond
