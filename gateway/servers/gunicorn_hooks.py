"""Gunicorn's hooks: an application's startup and shutdown in each worker, draining, and the metrics of several workers.

In ``gunicorn.conf.py``::

    from gateway.servers.gunicorn_hooks import *

or, without a file of one's own, ``gunicorn --config python:gateway.servers.gunicorn_hooks``. Without the hooks the
application starts at the first request and is shut down at the interpreter's exit. A startup that fails ends the worker
while it boots, which Gunicorn reports with exit status 3.

``Health`` catches its signals under the WSGI workers only with the hooks. Where ``PROMETHEUS_MULTIPROC_DIR`` is set,
its folder is emptied at the start, and what a worker counted is folded into one file when it ends.

Sources: Gunicorn documentation "Server Hooks".
"""

from __future__ import annotations

import logging
import os
from typing import Protocol

from gateway.adapters.asgi_to_wsgi import close_all, start_all
from gateway.middleware import _multiprocess
from gateway.middleware.health import install_signals

__all__ = ["child_exit", "on_starting", "post_worker_init", "worker_exit"]

_log = logging.getLogger("gateway.servers")

#: Classes of workers that call the application from one thread and patch nothing.
_ONE_THREAD = frozenset({"SyncWorker"})


class _Worker(Protocol):
    """What the hooks need to know of a worker: its class, its process, and whether it was told to stop."""

    pid: int
    alive: bool


def on_starting(server: object) -> None:
    """Empty the folder of the workers' metrics; not where a new master takes over while the old one's workers serve."""
    folder = _multiprocess.directory()
    if folder is not None and "GUNICORN_PID" not in os.environ:
        # With --user a root master has to leave the folder to its workers.
        settings = getattr(server, "cfg", None)
        uid, gid = getattr(settings, "uid", None), getattr(settings, "gid", None)
        _multiprocess.wipe(folder, (uid, gid) if isinstance(uid, int) and isinstance(gid, int) else None)


def child_exit(server: object, worker: _Worker) -> None:
    """Keep what a dead worker counted, without its files; runs in the master, whatever ended the worker."""
    folder = _multiprocess.directory()
    if folder is None:
        return
    try:
        _multiprocess.fold(folder, worker.pid)
    except Exception:  # an error here would end the master, and with it every worker
        _log.exception("the metrics of worker %d stay in files of their own in %s", worker.pid, folder)


def post_worker_init(worker: _Worker) -> None:
    """Start the application in the worker: it is loaded, and serves nothing yet."""
    # A worker that was told to stop waits for its threads, and a WebSocket would hold one until it is killed.
    start_all(single_threaded=type(worker).__name__ in _ONE_THREAD, stopping=lambda: not worker.alive)
    # Here, because the worker has set its own handlers, and this is its main thread; requests come in others.
    install_signals()


def worker_exit(server: object, worker: _Worker) -> None:
    """Shut the application down in the worker that ends."""
    close_all()
