"""Let a WSGI thread or a greenlet sleep until another thread wakes it, and refuse patched threads.

A *gate* is a binary semaphore with one waiter: a pair of callables ``(wait, wake)``. Any thread may call ``wake``,
before or after ``wait``; several wakes before one wait count as one. The gate of a thread is a lock. gevent.pywsgi may
run in an unpatched process, where blocking the thread would stop every other greenlet. So the gate of a greenlet parks
the greenlet, and ``wake`` wakes its hub.

If gevent or eventlet has patched ``threading``, an ASGI application is refused. docs/how-to/asgi-under-gunicorn.md has
the measurements.

Sources: gevent ``hub.loop.async_`` ("the only thread-safe watcher"); gunicorn ``workers/ggevent.py``, which patches in
the worker, after a preloaded application was imported.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from gateway.errors import ConfigurationError

Gate: TypeAlias = tuple[Callable[[], object], Callable[[], object]]

#: Modules of gunicorn's workers that patch the standard library. Gunicorn imports only the configured worker, before it
#: preloads the application.
_PATCHING_WORKERS = ("gunicorn.workers.ggevent", "gunicorn.workers.geventlet")
#: WSGI servers that also work if threads are patched.
_GREENLET_SERVERS = ("gevent.pywsgi", "eventlet.wsgi")


def refuse_greenlet_server() -> None:
    """Refuse to build an adapter for an ASGI application in a process whose WSGI server patches threads.

    Raises:
        ConfigurationError: The server has patched threads, or will do so after the fork.
    """
    if any(name in sys.modules for name in _PATCHING_WORKERS):
        raise _refusal()
    if any(name in sys.modules for name in _GREENLET_SERVERS):
        refuse_patched_threads()


def refuse_patched_threads() -> None:
    """Refuse to run an ASGI application in a process where ``threading`` makes greenlets.

    Raises:
        ConfigurationError: gevent or eventlet has patched ``threading``.
    """
    monkey: Any = sys.modules.get("gevent.monkey")
    patcher: Any = sys.modules.get("eventlet.patcher")
    if (monkey is not None and monkey.is_module_patched("threading")) or (
        patcher is not None and patcher.is_monkey_patched("thread")
    ):
        raise _refusal()


def _refusal() -> ConfigurationError:
    return ConfigurationError(
        "ASGI applications and ASGI middleware need real threads, which gevent and eventlet replace with greenlets: "
        "run gunicorn with --worker-class gthread or --worker-class asgi instead"
    )


def make_gate() -> Gate:
    """Return a closed gate for the caller: for its greenlet if this thread runs a hub, else for the thread itself."""
    if "gevent._hub_local" in sys.modules:
        gate = _greenlet_gate()
        if gate is not None:
            return gate
    return make_thread_gate()


def make_thread_gate() -> Gate:
    """Return a closed gate for a thread that runs no hub, such as a thread that this package started."""
    lock = _thread.allocate_lock()
    lock.acquire()

    def wake() -> None:
        try:  # noqa: SIM105  # in the path of every request; contextlib.suppress costs more than all of it
            lock.release()
        except RuntimeError:  # the gate is open already: two wakes count as one
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
        # Held briefly and never across a switch. It keeps wake() from using a watcher that wait() closes.
        self._guard = _thread.allocate_lock()

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
