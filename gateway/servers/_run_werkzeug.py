"""Run Werkzeug's server: ``python -m gateway.servers._run_werkzeug module:app --bind 127.0.0.1:8000``."""

from __future__ import annotations

import signal
from socketserver import ThreadingMixIn

from werkzeug._reloader import run_with_reloader
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway.adapters.asgi_to_wsgi import close_websockets
from gateway.servers._runner import Idle, Options, run

__all__: list[str] = []

#: Werkzeug's server runs once in a process.
_IDLE = Idle()


class _RequestHandler(WSGIRequestHandler):
    def setup(self) -> None:
        """Begin to wait for a request."""
        super().setup()
        _IDLE.add(self.connection)

    def finish(self) -> None:
        """Forget a connection that ends, with a request or without one."""
        _IDLE.remove(self.connection)
        super().finish()

    def parse_request(self) -> bool:
        """Take the request; its thread is waited for from now on."""
        whole = super().parse_request()
        _IDLE.remove(self.connection)
        return whole


def _serve(options: Options) -> None:
    bind = options.bind
    host = f"unix://{bind.path}" if bind.path is not None else bind.host

    def serve() -> None:
        server = make_server(
            host,
            bind.port,
            options.application(),
            threaded=(options.threads or 2) > 1,
            request_handler=_RequestHandler,
            fd=bind.fd,
        )
        server.log_startup()
        if isinstance(server, ThreadingMixIn):
            server.daemon_threads = False  # requests in flight are waited for
        with server:
            server.serve_forever()  # ends at KeyboardInterrupt, and returns

    def stop(signum: int, frame: object) -> None:
        close_websockets()  # their threads are waited for as well
        _IDLE.close()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if options.reload:
        run_with_reloader(serve)
    else:
        serve()


if __name__ == "__main__":
    run("_run_werkzeug", _serve)
