"""A loop without a thread of its own. A WSGI thread that finds it free runs it for as long as its request needs.

Theory of operation. There is one loop and one lock, ``_lead``. The thread that holds the lock is the *leader*; only the
leader may touch the loop.

* A WSGI thread that gets the lock starts its request at once, eagerly, in itself. If the application never suspends,
  its request is complete then, without a hand-off or a turn of the loop. If it suspends, the thread runs the loop until
  there is news for its request.
* A thread that does not get the lock puts its request into the inbox, wakes the loop and sleeps. It is then a
  *follower*. A leader that leaves names one follower the *heir* and wakes it to lead. There is one heir at a time.
  The heir leads or, if it has news of its own, names another follower.
* Between leaders, no thread runs the loop. The *caretaker* thread watches it from outside: it polls the selector's
  descriptor, with the next timer as the timeout. It leads for as long as something is ready. A leader starts the
  caretaker if it leaves something behind that may become ready: callbacks, timers, sockets.

Nothing may be lost when a leader leaves. So ``_tend()`` runs after the lock is released: it looks at the work that
remains and names the next leader. A callback that is posted without a leader writes to the loop's own pipe, which wakes
the caretaker.

This module uses private attributes of asyncio's loop: ``_thread_id``, ``_run_once``, ``_ready``, ``_scheduled``,
``_selector``. `lending_is_possible` checks for them. It needs CPython's selector loop on 3.12 or newer, with a selector
that can be polled; every other loop is replaced by the shared loop.

Do not use it for applications that keep thread-local data, because the loop's thread changes between requests.

Sources: CPython 3.12, 3.13 ``asyncio/base_events.py`` (``run_forever``), ``Task(eager_start=True)``; epoll(7): an epoll
descriptor can itself be polled.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple

from gateway.adapters.asgi_to_wsgi._loop import wind_up
from gateway.adapters.asgi_to_wsgi._waiting import Conversation, Job, make_thread_gate
from gateway.adapters.hand_off._mailbox import Callback, run_all

_log = logging.getLogger("gateway.adapters")

_PRIVATE = ("_thread_id", "_run_once", "_ready", "_scheduled", "_selector")
#: Number of extra turns that a leader gives the loop after its own request, for callbacks of that request.
_LAST_TURNS = 3


def lending_is_possible() -> bool:
    """Tell whether a loop can be lent here: Python 3.12, asyncio's own loop, a selector to poll."""
    return (
        sys.version_info >= (3, 12)
        and sys.implementation.name == "cpython"
        and hasattr(select, "poll")
        and all(hasattr(asyncio.SelectorEventLoop, name) for name in ("_run_once", "_asyncgen_firstiter_hook"))
    )


_Ts = TypeVarTuple("_Ts")


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's loop, which calls ``on_wake`` after each ``call_soon_threadsafe``."""

    on_wake: Callable[[], object] | None = None

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        if self.on_wake is not None:
            self.on_wake()
        return handle


def _new_loop() -> Any:  # Any, because this module uses private attributes of the loop
    return _Loop()


class LentLoop:
    """A loop that the waiting WSGI threads run themselves."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop: Any = _new_loop()
        missing = [name for name in _PRIVATE if not hasattr(self.loop, name)]
        if missing or not hasattr(self.loop._selector, "fileno"):
            self.loop.close()
            raise NotImplementedError(
                f"asyncio's event loop has no {', '.join(missing) or 'selector that can be polled'} here"
            )
        self._lead = threading.Lock()
        self._inbox: deque[Callback] = deque()
        self._followers: deque[Conversation] = deque()
        self._heir: Conversation | None = None  # the follower that was named and does not lead yet
        self._sockets = self.loop._selector.get_map()  # a live view of the registered sockets
        self._own_sockets = len(self._sockets)
        self._caretaker = 0  # id of the caretaker's thread; 0 without a caretaker, -1 while it starts
        self._caretaker_ended: Callable[[], object] | None = None
        self._alarm = float("inf")  # the time at which the caretaker will look at the timers
        self._nudged = False  # the loop's own pipe was written to, and no thread has turned the loop since
        self._stopping = False
        self._stopped = False
        self._own_hooks = (self.loop._asyncgen_firstiter_hook, self.loop._asyncgen_finalizer_hook)
        self.loop.on_wake = self._outside

    # The interface of a runner.

    def start(self, conversation: Conversation) -> None:
        """Begin the conversation in this thread if the loop is free. Otherwise the loop's leader begins it."""
        if self._lead.acquire(False):
            if asyncio._get_running_loop() is None:
                self._enter()
                try:
                    conversation.begin()
                finally:
                    self._leave()
                # Without news, this thread will call `wait` now, which leads and tends.
                if conversation.signalled:
                    self._tend()
                return
            self._lead.release()  # another loop runs in this thread, so a thread without a loop must lead
        conversation.prepare()
        self._inbox.append(conversation.begin)
        self._nudge()

    def wait(self, conversation: Conversation) -> None:
        """Lead until the conversation has news, or sleep while another thread leads."""
        try:
            while not conversation.signalled:
                if asyncio._get_running_loop() is None and self._lead.acquire(False):
                    self._run_for(conversation)
                    return
                if conversation.prepare():
                    return
                if not self._follow(conversation) or conversation.news():
                    return
                conversation.signalled = False  # this follower was only named the heir: it leads next
                if conversation.news():  # as in `_waiting`: clear the flag first, then look
                    conversation.signalled = True
        finally:
            self._tend()

    def _follow(self, conversation: Conversation) -> bool:
        """Sleep until the conversation has news or is named to lead. Returns whether it was named."""
        self._followers.append(conversation)
        # The leader may have left before it could see this follower. The caretaker then takes over its work.
        if not self._lead.locked():
            self._nudge()
        try:
            conversation.block()
        finally:
            # Remove first and read `_heir` second: `_tend` sets `_heir` before it removes the follower.
            with contextlib.suppress(ValueError):  # `_tend` has removed it already
                self._followers.remove(conversation)
            named = self._heir is conversation
            if named:
                self._heir = None
        return named

    def post(self, callback: Callable[[], object]) -> None:
        """Run a callback in this thread if the loop is free. Otherwise the loop's leader runs it."""
        if self._stopped:
            return
        self._inbox.append(callback)
        if asyncio._get_running_loop() is None and self._lead.acquire(False):
            self._enter()
            run_all(self._inbox)
            self._leave()
            self._tend()
        else:
            self._nudge()

    def alive(self) -> bool:
        """Tell whether the loop can be run."""
        return not self._stopped

    def stop(self) -> None:
        """End the loop and the caretaker."""
        if self._stopped or os.getpid() != self.pid:
            return
        if self.loop._thread_id == threading.get_ident():  # called on the loop: its last user was dropped, not closed
            self.loop.call_soon(self._stop_from_within)
            return
        Job.run(self, wind_up)
        self._end()

    # Leading.

    def _enter(self) -> None:
        """Make this thread the runner of the loop, as ``run_forever`` does before its first turn."""
        loop = self.loop
        self._hooks = sys.get_asyncgen_hooks()
        loop._thread_id = threading.get_ident()
        sys.set_asyncgen_hooks(*self._own_hooks)
        asyncio._set_running_loop(loop)

    def _leave(self) -> None:
        asyncio._set_running_loop(None)
        self.loop._thread_id = None
        sys.set_asyncgen_hooks(*self._hooks)
        self._lead.release()

    def _run_for(self, conversation: Conversation) -> None:
        loop = self.loop
        self._enter()
        try:
            run_all(self._inbox)
            while not conversation.signalled:
                self._turn()
                if self._inbox:
                    run_all(self._inbox)
            # Run the last callbacks of the request (of its task) here, so that no other thread is woken for them.
            for _ in range(_LAST_TURNS):
                if not loop._ready:
                    break
                self._turn()
        finally:
            self._leave()

    def _turn(self) -> None:
        try:
            self.loop._run_once()
        finally:  # an application may raise SystemExit
            self._nudged = False  # cleared before the inbox is read again, see `_nudge`

    def _tend(self) -> None:
        """Make sure that another thread does the remaining work, after this thread has released the loop."""
        if self._lead.locked():
            return  # another thread leads already, and tends when it leaves
        if self._inbox:
            self._nudge()
        followers = self._followers
        while followers:
            if self._heir is not None:
                return  # the heir is awake, and will lead or tend
            try:
                # Set `_heir` before removing the follower. The follower removes itself first and reads `_heir` second,
                # so it cannot miss that it was named.
                self._heir = heir = followers[0]
                followers.remove(heir)
            except (IndexError, ValueError):  # the follower woke for its own news and removed itself
                self._heir = None
                continue
            heir.signal()
            return
        loop = self.loop
        if loop._ready:
            self._nudge()
        elif loop._scheduled:
            if self._next_timer() < self._alarm:
                self._nudge()
        elif not self._caretaker and len(self._sockets) > self._own_sockets:
            self._watch()

    def _next_timer(self) -> float:
        """Return when the next timer is due. If another thread leads meanwhile, that thread looks again itself."""
        scheduled = self.loop._scheduled
        try:
            first = scheduled[0]
        except IndexError:
            return float("inf")
        if not first._cancelled:
            return float(first._when)
        # Cancelled timers stay in the list until a turn of the loop. Skip them, so that a timeout that was not reached
        # wakes no thread.
        return min((timer._when for timer in tuple(scheduled) if not timer._cancelled), default=float("inf"))

    def _nudge(self) -> None:
        """Wake the thread that runs the loop, or the caretaker. Call it after the work was written.

        If the loop has not turned since the last nudge, another nudge is not needed: the next turn finds the work.
        """
        self._watch()
        if not self._nudged:
            self._nudged = True
            self.loop._write_to_self()

    def _outside(self) -> None:
        if not self._caretaker and not self._lead.locked():
            self._watch()  # the loop's call_soon_threadsafe has written to the pipe already

    # The caretaker.

    def _watch(self) -> None:
        if not self._caretaker and not self._stopping:
            self._caretaker = -1
            ended, self._caretaker_ended = make_thread_gate()
            self._await_caretaker = ended
            _thread.start_new_thread(self._take_care, ())

    def _take_care(self) -> None:
        self._caretaker = threading.get_ident()
        loop = self.loop
        poller = select.poll()
        poller.register(loop._selector.fileno(), select.POLLIN)
        try:
            while not self._stopping:
                # Set "never" before the timers are read: a leader that adds a timer in between finds it earlier than
                # the alarm, and nudges.
                self._alarm = float("inf")
                when = loop._scheduled[0]._when if loop._scheduled else None
                if when is not None:
                    self._alarm = when
                if not self._inbox and not loop._ready:
                    seconds = None if when is None else max(0.0, when - loop.time())
                    poller.poll(None if seconds is None else int(seconds * 1000) + 1)
                self._lead.acquire()
                self._enter()
                try:
                    run_all(self._inbox)
                    loop.call_soon(_nothing)  # with a ready callback, the turn does not wait for IO
                    self._turn()
                    while loop._ready or self._inbox:
                        run_all(self._inbox)
                        loop.call_soon(_nothing)
                        self._turn()
                finally:
                    self._leave()
        finally:
            self._caretaker = 0
            if self._caretaker_ended is not None:
                self._caretaker_ended()

    # The end.

    def _stop_from_within(self) -> None:
        _thread.start_new_thread(self.stop, ())

    def _end(self) -> None:
        self._stopping = True
        if self._caretaker:
            self.loop._write_to_self()
            self._await_caretaker()
        self._stopped = True
        self._lead.acquire()  # never released, so that no thread runs the closed loop
        self.loop.close()


def _nothing() -> None:
    pass
