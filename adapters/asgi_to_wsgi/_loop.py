"""Event loops that WSGI threads hand requests to: one thread per process, or a loop that a user runs.

`LoopThread` is the loop of this process for all adapters together. The first request (or a server's hook) starts it,
never the import. It belongs to the process that started it: after a fork, the child's first request starts another.
`ForeignLoop` is a loop that runs elsewhere. It is used, but never started or stopped.

A request costs at most one wake-up of the loop, and many requests that come at once share it, through a `Mailbox`.

Sources: asyncio ``call_soon_threadsafe``; CPython ``threading._register_atexit`` (runs where ``atexit`` does not).
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable

from gateway.adapters.asgi_to_wsgi._waiting import Conversation, make_gate, make_thread_gate
from gateway.adapters.hand_off._mailbox import Mailbox, soon_threadsafe
from gateway.errors import ConfigurationError

_log = logging.getLogger("gateway.adapters")


class _LoopElsewhere:
    """Base of a loop that another thread runs. Its mailbox takes the conversations and the callbacks."""

    _mailbox: Mailbox

    def _check_caller(self) -> None:
        """Raise ConfigurationError if this thread would wait for ever."""
        raise NotImplementedError

    def start(self, conversation: Conversation) -> None:
        """Have the loop begin the conversation."""
        self._check_caller()
        conversation.prepare()
        self._mailbox.post(conversation.begin)

    def wait(self, conversation: Conversation) -> None:
        """Block until the conversation has news."""
        conversation.block()

    def post(self, callback: Callable[[], object]) -> None:
        """Have a callback run soon. A closed loop drops it."""
        with contextlib.suppress(RuntimeError):
            self._mailbox.post(callback)


class LoopThread(_LoopElsewhere):
    """A loop in a thread of its own, for the process that created it (``pid``)."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop: asyncio.AbstractEventLoop
        self._thread_id = 0
        self._stopped = False
        self._failed: BaseException | None = None
        # A thread gate blocks every greenlet of this thread while the new thread starts. A greenlet gate would switch,
        # which the caller must not do because it holds a lock.
        started, self._started = make_thread_gate()
        _thread.start_new_thread(self._main, ())
        started()
        if self._failed is not None:
            raise self._failed

    def _check_caller(self) -> None:
        """Refuse to wait in the loop's own thread."""
        if _thread.get_ident() == self._thread_id:
            raise ConfigurationError(
                "an ASGI application wrapped for WSGI was called on the event loop that runs it, which would "
                "be a deadlock; call it in a thread (asyncio.to_thread), or call the ASGI application itself"
            )

    def alive(self) -> bool:
        """Tell whether the thread runs the loop."""
        return not self._stopped and not self.loop.is_closed()

    def stop(self) -> None:
        """End the loop and its thread: cancel the tasks, close generators and the executor, close the loop."""
        if self._stopped or os.getpid() != self.pid:
            return
        self._stopped = True
        if _thread.get_ident() == self._thread_id:
            self.loop.stop()
            return
        ended, self._ended = make_gate()
        self.loop.call_soon_threadsafe(self.loop.stop)
        ended()

    def _main(self) -> None:
        self._thread_id = _thread.get_ident()
        try:
            self.loop = asyncio.new_event_loop()
            self._mailbox = Mailbox(soon_threadsafe(self.loop))
        except BaseException as error:
            self._failed = error
            self._started()
            return
        self._started()
        try:
            self.loop.run_forever()
        finally:
            try:
                self.loop.run_until_complete(wind_up())
                self.loop.close()
            finally:
                ended: Callable[[], object] | None = getattr(self, "_ended", None)
                if ended is not None:
                    ended()


async def wind_up(seconds: float = 5.0) -> None:
    """Cancel every other task of the running loop, then end its generators and its executor."""
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, stubborn = await asyncio.wait(tasks, timeout=seconds)
        for task in stubborn:
            _log.warning("a task did not end within %s seconds after it was cancelled: %r", seconds, task)
    await loop.shutdown_asyncgens()
    if sys.version_info >= (3, 12):
        await loop.shutdown_default_executor(seconds)
    else:
        await loop.shutdown_default_executor()


class ForeignLoop(_LoopElsewhere):
    """A loop that the user runs in another thread; asyncio's, uvloop's or any other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pid = os.getpid()
        self.loop = loop
        self._mailbox = Mailbox(loop.call_soon_threadsafe)

    def _check_caller(self) -> None:
        """Refuse to wait for a loop that does not run, or that runs in this thread."""
        if not self.loop.is_running():
            raise ConfigurationError(
                f"AsgiToWsgi(loop=...) needs an event loop that runs in another thread, and {self.loop!r} is "
                "not running; start it before the first request, in the process that serves, or use "
                "loop='shared'"
            )
        if asyncio._get_running_loop() is self.loop:
            raise ConfigurationError(
                "AsgiToWsgi(loop=...) was called on that same loop, which would be a deadlock; call it in a "
                "thread (asyncio.to_thread), or call the ASGI application itself"
            )

    def alive(self) -> bool:
        """Tell whether the loop runs."""
        return self.loop.is_running()

    def stop(self) -> None:
        """Do nothing, because the loop belongs to the user."""
