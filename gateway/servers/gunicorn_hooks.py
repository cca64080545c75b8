"""Gunicorn's hooks: an application's startup and shutdown in each worker, draining, and the metrics of several workers.

In ``gunicorn.conf.py``::

    from gateway.servers.gunicorn_hooks import *

or, without a configuration file, ``gunicorn --config python:gateway.servers.gunicorn_hooks``. Without the hooks, the
application starts at the first request and shuts down at the interpreter's exit. The hooks start only the applications
that the served object reaches. If a startup fails, the worker ends while it boots, and Gunicorn reports exit status 3.

``Health`` catches its signals under the WSGI workers only with the hooks. If ``PROMETHEUS_MULTIPROC_DIR`` is set, the
hooks empty its folder at the start. When a worker ends, they fold its numbers into one file.

The asgi worker starts and stops the application by itself. When it stops, it waits for every open connection, idle ones
too, for up to ``graceful_timeout``. A proxy keeps its connections longer than that, so Gunicorn kills the worker before
it runs the application's shutdown. The hooks close idle connections as soon as the worker stops, as uvicorn does.

A WSGI worker waits for its responses for ``graceful_timeout``, and is killed after the same time. Five seconds before,
the hooks tell ASGI applications that listen for a disconnect to end their streams, so that the shutdown can run.

Sources: Gunicorn documentation "Server Hooks"; ``gunicorn.workers.gasgi.ASGIWorker._shutdown`` of 24 to 27.
"""

from __future__ import annotations

import logging
import os
import sys
import weakref
from asyncio import AbstractEventLoop, AbstractServer, BaseTransport
from typing import Any, Protocol

from gateway.adapters.asgi_to_wsgi import close_all, start_all
from gateway.middleware import _multiprocess

__all__ = ["child_exit", "on_starting", "post_worker_init", "worker_exit"]

_log = logging.getLogger("gateway.servers")

#: Seconds between two looks for idle connections, after the worker has begun to stop.
_LOOK_SECONDS = 0.2
#: Seconds of ``graceful_timeout`` that are kept for the shutdown of the applications. A gthread worker itself needs
#: two of them, because it waits for the closed connection.
_SHUTDOWN_SECONDS = 5.0
#: Classes of workers that call the application from one thread and patch nothing.
_ONE_THREAD = frozenset({"SyncWorker"})


class _Worker(Protocol):
    """A worker, as far as the hooks need it: its class, its process, and whether it still runs."""

    pid: int
    alive: bool


def on_starting(server: object) -> None:
    """Empty the folder of the workers' metrics, unless a new master takes over from one whose workers still serve."""
    folder = _multiprocess.directory()
    if folder is not None and "GUNICORN_PID" not in os.environ:
        # With --user, a root master has to give the folder to the user of its workers.
        settings = getattr(server, "cfg", None)
        uid, gid = getattr(settings, "uid", None), getattr(settings, "gid", None)
        _multiprocess.wipe(folder, (uid, gid) if isinstance(uid, int) and isinstance(gid, int) else None)


def child_exit(server: object, worker: _Worker) -> None:
    """Keep the counts of a dead worker, without its files. Runs in the master, however the worker ended."""
    folder = _multiprocess.directory()
    if folder is None:
        return
    try:
        _multiprocess.fold(folder, worker.pid)
    except Exception:  # an error here would end the master, and with it every worker
        _log.exception("the metrics files of worker %d could not be merged, and stay in %s", worker.pid, folder)


class _AsgiWorker(_Worker, Protocol):
    """The attributes of the asgi worker that the hooks need in addition."""

    loop: AbstractEventLoop
    servers: list[AbstractServer]


def post_worker_init(worker: _Worker) -> None:
    """Start the served application in the worker, after it is loaded and before the worker serves."""
    is_asgi = _calls_asgi(worker)
    # Gunicorn's own ASGI worker keeps the application under another name.
    served: object = getattr(worker, "asgi", None) or getattr(worker, "wsgi", None)
    # `Health` catches its signals now: the worker has set its own handlers, and this is its main thread. Requests run
    # in other threads.
    start_all(
        served,
        interface="asgi" if is_asgi else "wsgi",
        single_threaded=type(worker).__name__ in _ONE_THREAD,
        # A worker that stops waits for its threads. A WebSocket would hold a thread until Gunicorn kills the worker.
        stopping=lambda: not worker.alive,
        patience=_patience(worker),
    )


def worker_exit(server: object, worker: _Worker) -> None:
    """Shut the application down in the worker that ends."""
    close_all()


def _patience(worker: object) -> float | None:
    """Return how long responses may take after SIGTERM, so that some of Gunicorn's time is left for the shutdown.

    The worker waits for its threads for ``graceful_timeout``, and its master kills it after the same time.
    """
    seconds = getattr(getattr(worker, "cfg", None), "graceful_timeout", None)
    return max(0.0, seconds - _SHUTDOWN_SECONDS) if isinstance(seconds, int) else None


def _calls_asgi(worker: Any) -> bool:
    """Tell whether the worker calls the application as ASGI; for Gunicorn's own worker, handle idle connections too."""
    gasgi = sys.modules.get("gunicorn.workers.gasgi")
    if gasgi is not None and isinstance(worker, gasgi.ASGIWorker):
        _close_idle_connections(worker, gasgi)
        return True
    return type(worker).__module__.startswith(("uvicorn.", "uvicorn_worker"))


def _close_idle_connections(worker: _AsgiWorker, gasgi: Any) -> None:
    """Close the connections that carry no request, after the worker has stopped accepting new ones.

    The worker looks up the name ``ASGIProtocol`` in its module to create the protocol of each connection. A subclass
    under that name remembers the protocols. If a version of Gunicorn keeps it elsewhere, nothing changes.
    """
    theirs: Any = getattr(gasgi, "ASGIProtocol", None)
    if theirs is None:
        return
    known: weakref.WeakSet[Any] = weakref.WeakSet()
    idle: set[Any] = set()

    class Remembered(theirs):  # type: ignore[misc]  # the base class is known at run time only
        def connection_made(self, transport: BaseTransport) -> None:
            known.add(self)
            theirs.connection_made(self, transport)

    gasgi.ASGIProtocol = Remembered

    def look() -> None:
        nonlocal idle
        # Until the worker closes its sockets, it still responds to requests and announces the end of each connection.
        if not worker.alive and not any(_serves(server) for server in worker.servers):
            # True while the protocol waits for the first byte of a request, or for the next request.
            now = {each for each in known if getattr(each, "_awaiting_request", False)}
            for protocol in now & idle:  # idle twice in a row: the request of a new connection may be on its way
                protocol.transport.close()
            idle = now
        worker.loop.call_later(_LOOK_SECONDS, look)

    worker.loop.call_later(_LOOK_SECONDS, look)


def _serves(server: AbstractServer) -> bool:
    is_serving: Any = getattr(server, "is_serving", None)
    return is_serving is not None and bool(is_serving())
