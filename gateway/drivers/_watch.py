"""See a client go away while a response streams, without losing a message of the application.

A server tells it by ``http.disconnect`` and by nothing else: ``send()`` of several servers never raises. So one
``receive()`` is kept pending in a task of its own, from the first chunk of a response that goes on, once the request
body has been read (or there is none). What it gets belongs to the application: from then on the application reads
here. It is never abandoned, because a server may take that for a disconnect; it is cancelled when the exchange ends.

Source: ASGI HTTP "Disconnect - receive event".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from gateway.drivers._colour import in_trio

if TYPE_CHECKING:
    from gateway.protocols import ASGIReceive, Message, Scope

__all__ = ["Watcher", "has_request_body"]

logger = logging.getLogger("gateway.drivers")


def has_request_body(scope: Scope) -> bool:
    """Return whether a request declares a body; HTTP/2 and 3 need not, so theirs counts until it was read."""
    if scope.get("http_version", "1.1") in ("2", "3") and scope.get("method") not in ("GET", "HEAD"):
        return True
    return any(
        name.lower() == b"transfer-encoding" or (name.lower() == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


class _Event(Protocol):
    def set(self) -> object: ...
    def wait(self) -> Awaitable[object]: ...


class Watcher:
    """One pending ``receive()`` and what it got.

    Attributes:
        gone: Whether the client was seen going away.
    """

    def __init__(self, receive: ASGIReceive) -> None:
        self._receive = receive
        self._got: deque[Message] = deque()
        self._error: BaseException | None = None
        self._event: Callable[[], _Event]
        self.gone: bool = False
        self._stopped = False
        if in_trio():
            trio = sys.modules["trio"]
            self._event = trio.Event
            scope = trio.CancelScope()
            self._cancel: Callable[[], object] = scope.cancel

            async def scoped() -> None:
                with scope:
                    await self._watch()

            trio.lowlevel.spawn_system_task(scoped)
        else:
            self._event = asyncio.Event
            # Not before the loop turns: a response that is complete by then needs no task.
            self._cancel = asyncio.get_running_loop().call_soon(self._begin).cancel
        self._waiting: _Event | None = None

    def _begin(self) -> None:
        self._cancel = asyncio.get_running_loop().create_task(self._watch()).cancel

    async def _watch(self) -> None:
        try:
            while not self.gone:
                message = await self._receive()
                self.gone = message["type"] == "http.disconnect"
                self._got.append(message)
                self._wake()
        except Exception as error:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.set()

    async def receive(self) -> Message:
        """Give the application its next message; after the disconnect nothing else comes."""
        while not self._got:
            if self._error is not None:
                raise self._error
            if self._stopped:
                return await self._receive()
            if self._waiting is None:
                self._waiting = self._event()
            await self._waiting.wait()
        return self._got[0] if self.gone and len(self._got) == 1 else self._got.popleft()

    def stop(self) -> None:
        """End the watch; who goes on receiving after the exchange asks the server itself."""
        with contextlib.suppress(RuntimeError):  # where the loop is closed the watch has ended with it
            self._cancel()
            self._stopped = True
            self._wake()
