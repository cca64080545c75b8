"""Run gevent's WSGI server: ``python -m gateway.servers._run_gevent module:app --bind 127.0.0.1:8000``.

SIGTERM and SIGINT stop accepting, and let the requests in flight end within ten seconds.
"""

from __future__ import annotations

import signal
import sys

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from gateway.servers._runner import Options, run

__all__: list[str] = []

_DRAIN_SECONDS = 10


def _serve(options: Options) -> None:
    application = options.application()
    server = WSGIServer(options.bind.listen(), application, spawn=Pool(options.threads or 1000), log=sys.stderr)
    stopping = Event()
    gevent.signal_handler(signal.SIGTERM, stopping.set)
    gevent.signal_handler(signal.SIGINT, stopping.set)
    server.start()
    stopping.wait()
    server.stop(timeout=_DRAIN_SECONDS)


if __name__ == "__main__":
    monkey.patch_all()  # before the application, and what it uses, is imported
    run("_run_gevent", _serve)
