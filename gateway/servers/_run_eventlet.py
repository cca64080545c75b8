"""Run eventlet's WSGI server: ``python -m gateway.servers._run_eventlet module:app --bind 127.0.0.1:8000``.

On SIGTERM and SIGINT the server stops accepting connections and waits for the requests in flight.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import Any

from gateway.servers._runner import Options, run

__all__: list[str] = []


def _eventlet() -> Any:
    """Import eventlet, which has no types and is not always installed."""
    return import_module("eventlet")


def _serve(options: Options) -> None:
    eventlet = _eventlet()
    application = options.application()
    pool = eventlet.GreenPool(options.threads or 1000)
    wsgi: Any = import_module("eventlet.wsgi")
    listener = options.bind.listen()
    server = eventlet.spawn(
        wsgi.server, listener, application, log=sys.stderr, custom_pool=pool, log_output=options.access_log
    )

    def stop(signum: int, frame: object) -> None:
        # The server ends its loop and waits for its pool. The signal may arrive in any greenlet, so throw it there.
        eventlet.spawn_after(0, server.kill, KeyboardInterrupt)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.wait()


if __name__ == "__main__":
    _eventlet().monkey_patch()  # before Python imports the application and its dependencies
    run("_run_eventlet", _serve)
