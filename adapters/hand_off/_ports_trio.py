"""The trio version of `gateway.adapters.hand_off._ports`. Imported only under trio."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import trio

from gateway.adapters.hand_off._mailbox import Callback, Mailbox
from gateway.adapters.hand_off._ports import Background, Port, Signal, Spawn
from gateway.adapters.hand_off._workers import Workers


class TrioSignal(Signal):
    """A `Signal` of trio."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: trio.Event | None = None

    def set(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    def __await__(self) -> Generator[Any, None, None]:
        self._event = event = trio.Event()
        return event.wait().__await__()


class TrioPort(Port):
    """A `Port` of one trio run."""

    def __init__(self, token: trio.lowlevel.TrioToken, threads: int) -> None:
        def wake(callback: Callback) -> None:
            with contextlib.suppress(trio.RunFinishedError):  # the run has ended, so no task waits for the result
                token.run_sync_soon(callback)

        mailbox = Mailbox(wake)
        super().__init__(mailbox, Workers(threads, mailbox.flush))
        self._token = token

    def serves(self, loop: object) -> bool:
        return self._token is loop and self.pid == os.getpid()

    @property
    def gone(self) -> bool:
        if self.pid != os.getpid():
            return True
        try:
            self._token.run_sync_soon(_nothing, idempotent=True)
        except trio.RunFinishedError:
            return True
        return False

    def signal(self) -> TrioSignal:
        return TrioSignal()

    async def run(self, main: Callable[[Spawn], Awaitable[None]]) -> None:
        error: Exception | None = None
        async with trio.open_nursery() as nursery:

            def spawn(function: Background) -> Callable[[], object]:
                scope = trio.CancelScope()

                async def scoped() -> None:
                    with scope:
                        await function()

                nursery.start_soon(scoped)
                return scope.cancel

            try:
                await main(spawn)
            except Exception as caught:
                error = caught  # raised after the nursery, which would wrap it in an ExceptionGroup
            nursery.cancel_scope.cancel()
        if error is not None:
            try:
                raise error
            finally:
                del error  # break the reference cycle: the traceback holds this frame


def _nothing() -> None:
    pass
