"""One ASGI application being served in one process (its loop, its lifespan, its tasks), and the list of all of them.

A service starts with the first request or with a server's hook. ``close()``, a server's hook or the exit of the
interpreter ends it. It belongs to one process: after a fork, the child starts its own and does not touch the parent's.

Sources: ASGI Lifespan 2.0; CPython ``os.register_at_fork``, ``threading._register_atexit``.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
from collections import deque
from typing import Any

from gateway.adapters.asgi_to_wsgi._ending import Ending
from gateway.adapters.asgi_to_wsgi._lend import LentLoop, lending_is_possible
from gateway.adapters.asgi_to_wsgi._loop import ForeignLoop, LoopThread
from gateway.adapters.asgi_to_wsgi._waiting import Job, Runner
from gateway.adapters.websocket._open import OpenSockets
from gateway.lifespan import Lifespan

_log = logging.getLogger("gateway.adapters")


class Service:
    """An application on a loop, from the startup of its lifespan to the shutdown.

    Attributes:
        pid: Id of the process that it belongs to.
        runner: The loop.
        tasks: The running tasks of the application: requests, and work after their responses.
        lifespan: The application's lifespan; every request gets its ``state``.
        sockets: The open WebSockets.
        ending: The facts about the end of the process.
    """

    def __init__(self, runner: Runner, lifespan: Lifespan, drain_timeout: float) -> None:
        self.pid = os.getpid()
        self.runner = runner
        self.tasks: set[asyncio.Task[None]] = set()
        self.lifespan = lifespan
        self.sockets = OpenSockets()
        self.ending = ending
        self.serving = False  # started, and not closed
        self.kind: str | asyncio.AbstractEventLoop = "shared"
        self._drain_timeout = drain_timeout
        # One item for each adapter. The garbage collector may remove an adapter at any time, so no lock can be taken:
        # each step must be atomic.
        self._users: deque[None] = deque([None])
        self._end_once = iter((True,))
        self._starting: asyncio.Task[None] | None = None
        self.closed = False
        self._stopping: asyncio.Task[None] | None = None

    def serves(self, kind: str | asyncio.AbstractEventLoop, lifespan: Lifespan) -> bool:
        """Tell whether another adapter of the same application can share this service."""
        return (
            self.lifespan.app is lifespan.app
            and self.lifespan.mode == lifespan.mode
            and self.kind == kind
            and not self.closed
            and self.pid == os.getpid()
            and self.lifespan.phase != "failed"
            and self.runner.alive()
        )

    def start(self) -> None:
        """Run the lifespan's startup once; callers that come meanwhile wait for the same startup.

        Raises:
            LifespanFailed: The startup failed; every later call raises it again.
        """
        Job.run(self.runner, self._start)
        self.serving = not self.closed

    async def _start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self.lifespan.startup())
        await asyncio.shield(self._starting)

    def close(self) -> None:
        """Wait a while for the tasks, cancel the rest, run the lifespan's shutdown, release the loop.

        If another adapter still serves the same application, nothing ends.
        """
        if self._leave():
            self.end()

    def end(self) -> None:
        """Close for every adapter."""
        if not self._is_to_end():
            return
        try:
            if self.runner.alive():
                Job.run(self.runner, self._stop)
            elif self.lifespan.supported:
                _log.warning(
                    "the event loop of an ASGI application stopped first, so the application's lifespan shutdown "
                    "does not run"
                )
        finally:
            _services.discard(self)
            _release(self.runner)

    def forget(self) -> None:
        """Close without waiting, for an adapter that was dropped without a close."""
        if self._leave() and self._is_to_end():
            self.runner.post(self._stop_alone)

    def join(self) -> None:
        """Add an adapter of the same application."""
        self._users.append(None)

    def _leave(self) -> bool:
        """Remove one adapter; tell whether it was the last one."""
        with contextlib.suppress(IndexError):  # every adapter was closed together
            self._users.pop()
        return not self._users

    def _is_to_end(self) -> bool:
        if os.getpid() != self.pid or not next(self._end_once, False):
            return False
        self.closed = True
        self.serving = False
        return True

    def _stop_alone(self) -> None:
        async def stop() -> None:
            try:
                await self._stop()
            except Exception:
                _log.exception("stopping an ASGI application failed")
            finally:
                _services.discard(self)
                _release(self.runner)

        self._stopping = asyncio.get_running_loop().create_task(stop())

    async def _stop(self) -> None:
        self.sockets.close()
        tasks = set(self.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._drain_timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        await self.lifespan.shutdown()


#: Every service of this process that was started and not closed.
_services: set[Service] = set()
#: The loops that this package made in this process, and how many services use each.
_runners: dict[str, tuple[Runner, int]] = {}
_lock = threading.Lock()
#: Whether the process is known to serve in one thread, see `start_all`.
single_threaded = False
#: The facts about the end of the process, see `start_all`.
ending = Ending()
#: Services and loops of the parent process, kept alive in a child: a loop that is destroyed here would remove the
#: parent's sockets from the selector that both processes share.
_abandoned: list[object] = []
_exit_registered = False


def lock() -> threading.Lock:
    """Return the lock under which services are made. Greenlets share a thread, so do not wait or switch under it."""
    return _lock


def serve(kind: str | asyncio.AbstractEventLoop, lifespan: Lifespan, drain_timeout: float) -> Service:
    """Return a service on the process's loop of a kind, or on a user's loop; a new service is not started yet.

    Adapters of the same application share one service, because the lifespan belongs to the application, which may be
    mounted twice. A failed service is not shared, so that a new adapter tries again.

    Call it with `lock` held.
    """
    for service in tuple(_services):
        if service.serves(kind, lifespan):
            service.join()
            return service
    service = Service(_acquire(kind), lifespan, drain_timeout)
    service.kind = kind
    _services.add(service)
    return service


def close_services() -> None:
    """Close every service of this process; errors are logged."""
    for service in tuple(_services):
        try:
            service.end()
        except Exception:
            _log.exception("stopping an ASGI application failed")


def close_sockets() -> None:
    """Begin to close the WebSockets of this process; safe in a signal handler."""
    for service in tuple(_services):
        if service.pid == os.getpid():
            service.runner.post(service.sockets.close)


def _acquire(kind: str | asyncio.AbstractEventLoop) -> Runner:
    global _exit_registered
    if not isinstance(kind, str):
        return ForeignLoop(kind)
    if not _exit_registered:
        _exit_registered = True
        _at_exit()
    if kind == "auto":
        kind = "lend" if single_threaded else "shared"
    runner, users = _runners[kind] if kind in _runners else (_make(kind), 0)
    _runners[kind] = (runner, users + 1)
    return runner


def _make(kind: str) -> Runner:
    if kind == "lend" and lending_is_possible():
        try:
            return LentLoop()
        except NotImplementedError as error:
            _log.warning("loop='lend' is not possible here, so the event loop runs in its own thread: %s", error)
    return LoopThread()


def _release(runner: Runner) -> None:
    with _lock:
        for kind, (candidate, users) in tuple(_runners.items()):
            if candidate is runner:
                if users > 1:
                    _runners[kind] = (runner, users - 1)
                    return
                del _runners[kind]
    runner.stop()


def _at_exit() -> None:
    """Close everything when the interpreter ends.

    ``threading``'s hook runs before ``atexit``, while executors still work. It also runs if a server ends its workers
    without ``atexit`` (granian).
    """
    register: Any = getattr(threading, "_register_atexit", None)
    if register is None:
        atexit.register(close_services)
        return
    try:
        register(close_services)
    except RuntimeError:  # the interpreter is ending already
        atexit.register(close_services)


def _after_fork_in_child() -> None:
    global _lock, _exit_registered
    _abandoned.append((_services.copy(), _runners.copy()))
    _services.clear()
    _runners.clear()
    _lock = threading.Lock()  # another thread of the parent may have held it
    _exit_registered = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
