"""See a client go away, without losing a message of the application.

A server tells it by ``http.disconnect`` and by nothing else: ``send()`` of several servers never raises. So one
``receive()`` is kept pending in a task of its own, once the request body has been read (or there is none). It begins
with the head, if the application took longer than :data:`LOOK_AFTER` for it, else with the first chunk of a response
that goes on: a task for each quick response would cost more than the rest of a chain. What it gets belongs to the
application: from then on the application reads here. It is never abandoned, because a server may take that for a
disconnect; it is cancelled when the exchange ends.

Source: ASGI HTTP "Disconnect - receive event".
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, Protocol

from gateway.drivers._colour import in_trio, let_others_run

if TYPE_CHECKING:
    from gateway.protocols import ASGIReceive, Message, Scope

__all__ = ["LOOK_AFTER", "Watcher", "has_request_body", "watch", "watch_early"]

logger = logging.getLogger("gateway.drivers")

#: Seconds without a head after which the driver looks whether the client is still there.
LOOK_AFTER: float = 0.01
#: Turns of the loop in which a server tells of a client that is gone: to begin the watch, and to be told.
_TURNS: Final = 2
_TURNS_OF_TRIO: Final = 4  # a system task starts a turn later, and trio runs a batch in any order


def has_request_body(scope: Scope) -> bool:
    """Return whether a request declares a body; HTTP/2 and 3 need not, so theirs counts until it was read."""
    if scope.get("http_version", "1.1") in ("2", "3") and scope.get("method") not in ("GET", "HEAD"):
        return True
    for name, value in scope["headers"]:
        size = len(name)
        if size == 14 and value != b"0" and name.lower() == b"content-length":
            return True
        if size == 17 and name.lower() == b"transfer-encoding":
            return True
    return False


class _Event(Protocol):
    def set(self) -> object: ...
    def wait(self) -> Awaitable[object]: ...


class _Running(Protocol):
    def cancel(self) -> object: ...


class Watcher:
    """One pending ``receive()`` and what it got.

    Attributes:
        gone: Whether the client was seen going away.
    """

    __slots__ = ("_ended", "_error", "_got", "_receive", "_running", "_stopped", "_waiting", "gone")

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__  # made bare, by :func:`watch`

    gone: bool
    _error: BaseException | None
    _got: list[Message]
    _receive: ASGIReceive
    #: What can be cancelled: the call that begins the watch, then its task; under trio its scope.
    _running: _Running
    #: Whether the end of the request was received here.
    _ended: bool
    _stopped: bool
    _waiting: _Event | None

    def _begin(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        try:
            while not self.gone:
                message = await self._receive()
                self.gone = message["type"] == "http.disconnect"
                if not self.gone and not message.get("more_body", False):
                    if self._ended:
                        # A server that tells the end of the request again and again has no disconnect to tell.
                        self._stopped = True
                        self._wake()
                        return
                    self._ended = True
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
                made: _Event = sys.modules["trio"].Event() if in_trio() else asyncio.Event()
                self._waiting = made
            await self._waiting.wait()
        return self._got[0] if self.gone and len(self._got) == 1 else self._got.pop(0)

    def stop(self) -> None:
        """End the watch; who goes on receiving after the exchange asks the server itself."""
        try:
            self._running.cancel()
        except RuntimeError:  # the loop is closed, and the watch has ended with it
            return
        self._stopped = True
        if self._waiting is not None:
            self._wake()


def watch(receive: ASGIReceive) -> Watcher:
    """Begin to look out, when the loop turns: a response that is complete by then needs no task."""
    watcher = Watcher()
    watcher.gone = watcher._stopped = watcher._ended = False
    watcher._error = watcher._waiting = None
    watcher._got = []
    watcher._receive = receive
    if in_trio():
        trio = sys.modules["trio"]
        scope = watcher._running = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await watcher._watch()

        trio.lowlevel.spawn_system_task(scoped)
    else:
        watcher._running = asyncio.get_running_loop().call_soon(watcher._begin)
    return watcher


async def watch_early(receive: ASGIReceive) -> Watcher:
    """Begin to look out before the head is sent, and return when a client that is gone has been seen."""
    watcher = watch(receive)
    for _ in range(_TURNS_OF_TRIO if in_trio() else _TURNS):
        await let_others_run()
        if watcher.gone:
            break
    return watcher
