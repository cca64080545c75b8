"""Run Werkzeug's server: ``python -m gateway.servers._run_werkzeug module:app --bind 127.0.0.1:8000``."""

from __future__ import annotations

import signal
from socketserver import ThreadingMixIn

from werkzeug._reloader import run_with_reloader
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway.adapters.asgi_to_wsgi import close_websockets
from gateway.servers._runner import Idle, Options, run

__all__: list[str] = []

#: One for the module, because a process runs one server.
_IDLE = Idle()


class _WerkzeugHandler(WSGIRequestHandler):
    def setup(self) -> None:
        """Begin to wait for a request."""
        super().setup()
        _IDLE.add(self.connection)

    def finish(self) -> None:
        """Remove a connection that ends, with or without a request."""
        _IDLE.remove(self.connection)
        super().finish()

    def parse_request(self) -> bool:
        """Parse the request; from now on, the server waits for its thread when it stops."""
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
        _IDLE.close()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if options.reload:
        run_with_reloader(serve)
    else:
        serve()


if __name__ == "__main__":
    run("_run_werkzeug", _serve)
