"""Run gevent's WSGI server: ``python -m gateway.servers._run_gevent module:app --bind 127.0.0.1:8000``.

On SIGTERM and SIGINT the server stops accepting connections, and requests in flight have ``--graceful-timeout``
seconds to end.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from gateway.servers._runner import Idle, Options, run

__all__: list[str] = []

#: One for the module, because a process runs one server.
_IDLE = Idle()


class _Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    def handle_one_request(self) -> Any:
        """Begin to wait for a request, each time a kept-alive connection is reused too."""
        _IDLE.add(self.socket)
        try:
            return super().handle_one_request()
        finally:
            _IDLE.remove(self.socket)

    def read_request(self, raw_requestline: Any) -> Any:
        """Read the request; from now on, the server waits for its greenlet when it stops."""
        whole = super().read_request(raw_requestline)
        _IDLE.remove(self.socket)
        return whole


def _serve(options: Options) -> None:
    application = options.application()
    pool = Pool(options.threads or 1000)
    log = sys.stderr if options.access_log else None
    server = WSGIServer(options.bind.listen(), application, spawn=pool, log=log, handler_class=_Handler)
    stopping = Event()
    gevent.signal_handler(signal.SIGTERM, stopping.set)
    gevent.signal_handler(signal.SIGINT, stopping.set)
    server.start()
    stopping.wait()
    _IDLE.close()
    server.stop(timeout=options.drain_seconds)


if __name__ == "__main__":
    monkey.patch_all()  # before Python imports the application and its dependencies
    run("_run_gevent", _serve)
