"""Notice that a client is gone, without losing a message of the application.

A server says so by ``http.disconnect`` and by nothing else: ``send()`` of several servers never raises. So one
``receive()`` is kept pending in a task of its own, once the request body has been read, or from the start if the
request has no body.

The watch begins before the headers if the application took longer than :data:`LOOK_AFTER` for them. Otherwise it begins
with the first chunk that others follow, because a task for each quick response would cost more than the rest of a
chain. The messages that it receives belong to the application, which from then on receives through the watch. The
pending call is cancelled when the exchange ends, and never before: a server may take that for a disconnect.

Source: ASGI HTTP "Disconnect - receive event".
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from gateway.loops import in_trio, move_on_after, new_event, sleep

if TYPE_CHECKING:
    from gateway.loops import Event
    from gateway.protocols import ASGIReceive, Message, Scope

__all__ = ["LOOK_AFTER", "Watcher", "has_request_body", "is_gone", "refused_by", "watch", "watch_early"]

logger = logging.getLogger("gateway.drivers")

#: Seconds without headers after which the driver looks whether the client is still there.
LOOK_AFTER: float = 0.01
#: Turns of the loop in which a server says that a client is gone: one to begin the watch, one for the message.
_TURNS: Final = 2
_TURNS_OF_TRIO: Final = 4  # a system task starts a turn later, and trio runs a batch in any order


def has_request_body(scope: Scope) -> bool:
    """Return whether a request has a body. HTTP/2 and HTTP/3 requests need not declare it, so theirs may have one."""
    if scope.get("http_version", "1.1") in ("2", "3") and scope.get("method") not in ("GET", "HEAD"):
        return True
    for name, value in scope["headers"]:
        size = len(name)
        if size == 14 and value != b"0" and name.lower() == b"content-length":
            return True
        if size == 17 and name.lower() == b"transfer-encoding":
            return True
    return False


class _Running(Protocol):
    def cancel(self) -> object: ...


class Watcher:
    """One pending ``receive()`` and the messages that it got.

    Attributes:
        gone: Whether ``http.disconnect`` was received.
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
    #: The call that begins the watch, then its task; under trio its cancel scope.
    _running: _Running
    #: Whether the end of the request was received here.
    _ended: bool
    _stopped: bool
    _waiting: Event | None

    def _begin(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        try:
            while not self.gone:
                message = await self._receive()
                self.gone = message["type"] == "http.disconnect"
                if not self.gone and not message.get("more_body", False):
                    if self._ended:
                        # A server that repeats the end of the request has no disconnect to send.
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
        """Return the next message for the application; after the disconnect always the disconnect."""
        while not self._got:
            if self._error is not None:
                raise self._error
            if self._stopped:
                return await self._receive()
            if self._waiting is None:
                self._waiting = new_event()
            await self._waiting.wait()
        return self._got[0] if self.gone and len(self._got) == 1 else self._got.pop(0)

    def stop(self) -> None:
        """End the watch; an application that goes on receiving asks the server itself."""
        try:
            self._running.cancel()
        except RuntimeError:  # the loop is closed, and the watch has ended with it
            return
        self._stopped = True
        if self._waiting is not None:
            self._wake()


def watch(receive: ASGIReceive) -> Watcher:
    """Begin a watch when the loop next turns: a response that is complete by then needs no task."""
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
    """Begin a watch before the headers are sent; return when the server has had time to say that the client is gone."""
    watcher = watch(receive)
    for _ in range(_TURNS_OF_TRIO if in_trio() else _TURNS):
        await sleep(0)
        if watcher.gone:
            break
    return watcher


async def is_gone(receive: ASGIReceive, seconds: float = 0.05) -> bool:
    """Return whether the server says that the client is gone.

    Only after the application has ended early: the ``receive()`` is given up, which may lose a message.
    """
    gone = False

    async def wait() -> None:
        nonlocal gone
        ended = False
        while not gone:
            message = await receive()
            gone = message["type"] == "http.disconnect"
            if not message.get("more_body", False):
                if ended:
                    # A server that repeats the end of the request has no disconnect to send.
                    return
                ended = True

    async with move_on_after(seconds):
        await wait()
    return gone


def refused_by(error: BaseException, send: Callable[..., object], awaited: object) -> BaseException | None:
    """Return the exception that the server's ``send`` raised, if it did: the server has not taken that message.

    The driver hands the server's awaitable back untouched, so it looks afterwards: at the exception of the application,
    and at its causes, because applications raise their own instead of the server's.

    Args:
        error: The exception of the application.
        send: The server's ``send``.
        awaited: The awaitable that ``send`` returned for the headers. The code of a coroutine is looked for in the
            tracebacks, so this works if ``send`` is a plain function that returns one.
    """
    codes = {getattr(awaited, "cr_code", None), getattr(getattr(send, "__func__", send), "__code__", None)} - {None}
    looked: set[int] = set()
    raised: BaseException | None = error
    while raised is not None and id(raised) not in looked:
        looked.add(id(raised))
        trace = raised.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code in codes:
                return raised
            trace = trace.tb_next
        # A `send` that is not a coroutine function leaves no frame; an exception class of the server's own is a sign.
        if not codes and isinstance(raised, OSError) and type(raised).__module__ != "builtins":
            return raised
        raised = raised.__cause__ or raised.__context__
    return None
