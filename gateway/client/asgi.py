"""ASGI: whether the client of one request is gone, decided here for the drivers and the adapters.

A server says so by ``http.disconnect`` and by nothing else: ``send()`` of several servers never raises. So one
``receive()`` is kept pending in a task of its own, once the request body has been read, or from the start if the
request has no body.

The watch begins before the headers if the application took longer than :data:`~gateway.client.LOOK_AFTER` for them,
or if somebody asks. Otherwise it begins with the first chunk that others follow, because a task for each quick response
would cost more than the rest of a chain. The messages that it receives belong to the application, which from then on
receives through the watch. The pending call is cancelled when the exchange ends, and never before: a server may take
that for a disconnect.

A request has one `AsgiClient`. A driver's exchange is one, and an adapter below it uses it
(:func:`client_of`), so a request never has two pending calls of ``receive()``.

Source: ASGI HTTP "Disconnect - receive event".
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from gateway.loops import in_trio, move_on_after, new_event, sleep

if TYPE_CHECKING:
    from gateway.loops import Event
    from gateway.protocols import ASGIReceive, Message, Scope

__all__ = ["AsgiClient", "LoneClient", "client_of", "has_request_body", "refused_by"]

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


class _Watch:
    """One pending ``receive()`` and the messages that it got."""

    __slots__ = ("_ended", "_error", "_got", "_receive", "_running", "_stopped", "_waiting", "gone", "told")

    def __init__(self, receive: ASGIReceive, *, ended: bool) -> None:
        self._receive = receive
        self._got: list[Message] = []
        self._error: Exception | None = None
        self._waiting: Event | None = None
        #: Whether the end of the request was received.
        self._ended = ended
        self._stopped = False
        #: Whether ``http.disconnect`` was received.
        self.gone = False
        #: Called when the client has left, or with the error of ``receive``.
        self.told: Callable[[Exception | None], object] | None = None
        #: The call that begins the watch, then its task; under trio its cancel scope.
        self._running: _Running = self._start()

    def _start(self) -> _Running:
        """Begin when the loop next turns: a response that is complete by then needs no task."""
        if not in_trio():
            return asyncio.get_running_loop().call_soon(self._begin)
        trio = sys.modules["trio"]
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await self._watch()

        trio.lowlevel.spawn_system_task(scoped)
        return cast("_Running", scope)

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
        told = self.told
        if told is not None:
            told(self._error)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.set()

    @property
    def is_blind(self) -> bool:
        """Whether the server has no disconnect to send, or ``receive`` failed."""
        return self._stopped or self._error is not None

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
        self.told = None
        try:
            self._running.cancel()
        except RuntimeError:  # the loop is closed, and the watch has ended with it
            return
        self._stopped = True
        if self._waiting is not None:
            self._wake()


class AsgiClient:
    """The client of one HTTP request. A driver's exchange is one; `LoneClient` is one by itself."""

    if not TYPE_CHECKING:  # the attributes are slots of the subclasses
        __slots__ = ()
    else:
        #: Whether the client is gone, as far as this object has been told.
        gone: bool
        #: The scope and ``receive`` of the server.
        _offered: Scope
        _receive: ASGIReceive
        #: Whether the request body has been read to its end.
        _read_all: bool
        _watch: _Watch | None

    async def next_message(self) -> Message:
        """Return the next message for the application, and note what it says."""
        watch = self._watch
        message = await (self._receive if watch is None else watch.receive)()
        kind = message["type"]
        if kind == "http.request":
            self._read_all = not message.get("more_body", False)
        elif kind == "http.disconnect":
            self.gone = True
        return message

    def is_watchable(self) -> bool:
        """Return whether a ``receive()`` has nothing to tell but a disconnect."""
        return self._read_all or not has_request_body(self._offered)

    def watch(self, told: Callable[[Exception | None], object] | None = None) -> None:
        """Begin to watch, unless the rest of the request body comes first, or a watch has begun.

        Args:
            told: Called once when the client has left, or with the error that ``receive`` raised.
        """
        watch = self._watch
        if watch is None and self.is_watchable():
            watch = self._watch = _Watch(self._receive, ended=self._read_all)
        if told is not None and watch is not None:
            if watch.gone:
                told(None)
            else:
                watch.told = told

    async def watch_early(self) -> None:
        """Begin to watch before the headers; return when the server has had time to say that the client is gone."""
        self.watch()
        watch = self._watch
        for _ in range(0 if watch is None else _TURNS_OF_TRIO if in_trio() else _TURNS):
            await sleep(0)
            if self.look():
                break

    def look(self) -> bool:
        """Return whether the client is gone, as far as the watch has seen."""
        watch = self._watch
        if watch is not None and watch.gone:
            self.gone = True
        return self.gone

    async def ask(self, seconds: float = 0.05) -> bool:
        """Return whether the server says that the client is gone.

        Only after the application has ended early: the ``receive()`` is given up, which may lose a message.
        """
        receive = self._receive if self._watch is None else self._watch.receive
        async with move_on_after(seconds):
            ended = False
            while not self.gone:
                message = await receive()
                self.gone = message["type"] == "http.disconnect"
                if not message.get("more_body", False):
                    if ended:
                        break  # a server that repeats the end of the request has no disconnect to send
                    ended = True
        return self.gone

    def disconnected(self) -> bool | None:
        """Return whether the client is gone; ``None`` if nothing says so: the request body must be read before.

        The first call begins the watch, so it may say ``False`` of a client that has left already.
        """
        if self.look():
            return True
        self.watch()
        return None if self._watch is None or self.is_blind else False

    @property
    def is_blind(self) -> bool:
        """Whether the server has no disconnect to send, or ``receive`` failed."""
        return self._watch is not None and self._watch.is_blind

    def stop_watching(self) -> None:
        """End the watch."""
        if self._watch is not None:
            self._watch.stop()

    def leave(self) -> None:
        """Tell nobody any more: an adapter is done with the request."""
        if self._watch is not None:
            self._watch.told = None


class LoneClient(AsgiClient):
    """The client of a request that no driver's exchange has to do with. Its user reads the body before it watches."""

    __slots__ = ("_offered", "_read_all", "_receive", "_watch", "gone")

    def __init__(self, receive: ASGIReceive) -> None:
        self._offered = {}
        self._receive = receive
        self._read_all = True
        self._watch = None
        self.gone: bool = False

    def leave(self) -> None:
        """End the watch, because nobody else has begun it."""
        self.stop_watching()


def client_of(receive: ASGIReceive) -> AsgiClient:
    """Return the client behind a ``receive``: the exchange of a driver if it is its, else a new object.

    The caller reads the whole request body before it begins to watch.
    """
    owner = getattr(receive, "__self__", None)
    return owner if isinstance(owner, AsgiClient) else LoneClient(receive)


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
