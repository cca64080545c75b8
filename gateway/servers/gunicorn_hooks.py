"""Gunicorn's hooks: an application's startup and shutdown in each worker, draining, and the metrics of several workers.

In ``gunicorn.conf.py``::

    from gateway.servers.gunicorn_hooks import *

or, without a file of one's own, ``gunicorn --config python:gateway.servers.gunicorn_hooks``. Without the hooks the
application starts at the first request and is shut down at the interpreter's exit. A startup that fails ends the worker
while it boots, which Gunicorn reports with exit status 3.

Sources: Gunicorn documentation "Server Hooks".
"""

from __future__ import annotations

from typing import Protocol

from gateway.adapters.asgi_to_wsgi import close_all, start_all
from gateway.middleware.health import install_signals

__all__ = ["post_worker_init", "worker_exit"]

#: Classes of workers that call the application from one thread and patch nothing.
_ONE_THREAD = frozenset({"SyncWorker"})


class _Worker(Protocol):
    """What the hooks need to know of a worker: its class alone."""


def post_worker_init(worker: _Worker) -> None:
    """Start the application in the worker: it is loaded, and serves nothing yet."""
    start_all(single_threaded=type(worker).__name__ in _ONE_THREAD)
    # Here, because the worker has set its own handlers, and this is its main thread; requests come in others.
    install_signals()


def worker_exit(server: object, worker: _Worker) -> None:
    """Shut the application down in the worker that ends."""
    close_all()
