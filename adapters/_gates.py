"""How a WSGI thread, or a greenlet, sleeps until another thread wakes it; and real threads under monkey patching.

A *gate* is a binary semaphore with one waiter: a pair of callables ``(wait, wake)``. ``wake`` may come from any thread,
before or after ``wait``; several wakes before one wait count as one. For a thread it is one lock. For a greenlet (under
gevent, patched or not) blocking the thread would stop every other greenlet, so it parks and its hub is woken instead.

gevent may patch ``threading`` before or after this module is imported. What is taken here is always the original: the
event loop needs a real thread, and its locks must not belong to a hub.

Sources: gevent ``hub.loop.async_`` ("the only thread-safe watcher"), ``gevent.monkey.get_original``.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

Gate: TypeAlias = tuple[Callable[[], object], Callable[[], object]]


class Lock(Protocol):
    """What is used of a real lock."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *exc_info: object) -> None: ...


def _original(name: str) -> Any:
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original("_thread", name)
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None:
        return getattr(patcher.original("_thread"), name)
    return getattr(_thread, name)


#: Bound once: a later patch replaces the names in ``_thread`` and ``threading``, not these.
_allocate_lock: Callable[[], Lock] = _original("allocate_lock")
start_real_thread: Callable[[Callable[[], None], tuple[()]], int] = _original("start_new_thread")
real_thread_id: Callable[[], int] = _original("get_ident")


def real_lock() -> Lock:
    """Return a lock that blocks the thread, whatever was patched."""
    return _allocate_lock()


def threading_is_patched() -> bool:
    """Tell whether ``threading`` makes greenlets in this process."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        return True
    patcher: Any = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def make_gate() -> Gate:
    """Return a closed gate for whoever calls: a greenlet where a hub runs in this thread, else the thread itself."""
    if "gevent._hub_local" in sys.modules:
        gate = _greenlet_gate()
        if gate is not None:
            return gate
    return make_thread_gate()


def make_thread_gate() -> Gate:
    """Return a closed gate for a thread of our own, which never runs a hub."""
    lock = _allocate_lock()
    lock.acquire()

    def wake() -> None:
        try:  # noqa: SIM105  # in the path of every request; contextlib.suppress costs more than all of it
            lock.release()
        except RuntimeError:  # it was open already: two wakes are one
            pass

    return lock.acquire, wake


def _greenlet_gate() -> Gate | None:
    import gevent
    from gevent._hub_local import get_hub_if_exists

    hub = get_hub_if_exists()
    if hub is None or gevent.getcurrent() is hub:
        return None
    gate = _GreenletGate(hub)
    return gate.wait, gate.wake


class _GreenletGate:
    """A gate for one greenlet. The hub's ``async_`` watcher, which keeps the hub alive, exists only during a wait."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._open = False
        self._watcher: Any = None
        # Real, held for an instant, never across a switch: it keeps wake() from a watcher that is being closed.
        self._guard = _allocate_lock()

    def wait(self) -> None:
        from gevent.hub import Waiter

        if not self._open:
            make_waiter: Any = Waiter
            waiter = make_waiter(self._hub)
            watcher = self._hub.loop.async_()
            watcher.start(waiter.switch, None)
            self._guard.acquire()
            self._watcher = watcher
            already = self._open
            self._guard.release()
            try:
                if not already:
                    waiter.get()
            finally:
                self._guard.acquire()
                self._watcher = None
                self._guard.release()
                watcher.stop()
                watcher.close()
        self._open = False

    def wake(self) -> None:
        self._guard.acquire()
        self._open = True
        if self._watcher is not None:
            self._watcher.send()
        self._guard.release()
