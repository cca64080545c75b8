"""Run Werkzeug's server: ``python -m gateway.servers._run_werkzeug module:app --bind 127.0.0.1:8000``."""

from __future__ import annotations

import signal
from socketserver import ThreadingMixIn

from werkzeug._reloader import run_with_reloader
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway.adapters.asgi_to_wsgi import close_websockets
from gateway.servers._runner import IdleHandler, Options, run

__all__: list[str] = []


class _WerkzeugHandler(IdleHandler, WSGIRequestHandler):
    """Werkzeug's handler, with its idle connections known."""


def _serve(options: Options) -> None:
    IdleHandler.access_log = options.access_log
    bind = options.bind
    host = f"unix://{bind.path}" if bind.path is not None else bind.host

    def serve() -> None:
        server = make_server(
            host,
            bind.port,
            options.application(),
            threaded=(options.threads or 2) > 1,
            request_handler=_WerkzeugHandler,
            fd=bind.fd,
        )
        server.log_startup()
        if isinstance(server, ThreadingMixIn):
            server.daemon_threads = False  # wait for requests in flight
        with server:
            server.serve_forever()  # returns after a KeyboardInterrupt

    def stop(signum: int, frame: object) -> None:
        close_websockets()  # the server waits for their threads as well
        IdleHandler.idle.close()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if options.reload:
        run_with_reloader(serve)
    else:
        serve()


if __name__ == "__main__":
    run("_run_werkzeug", _serve)
