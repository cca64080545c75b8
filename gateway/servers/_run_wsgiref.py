"""Run wsgiref's server: ``python -m gateway.servers._run_wsgiref module:app --bind 127.0.0.1:8000``.

This module adds unix and inherited sockets, threads, and a ``wsgi.multithread`` that reports them. It also adds a drain
on SIGTERM and SIGINT, and a response to chunked requests. wsgiref does not decode chunks and gives the application no
length, so the body would be lost without an error. RFC 9112 section 6.1 has status 501 for a transfer coding that a
server does not understand.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse

from gateway.protocols import Environ, WSGIApplication
from gateway.servers._runner import IdleHandler, Options, run

__all__: list[str] = []

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1 << 20


class _Server(WSGIServer):
    """wsgiref's server on a socket that is already open."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(("", 0), _WsgirefHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        name = listener.getsockname()
        self.server_name, self.server_port = name[:2] if isinstance(name, tuple) else ("localhost", 0)
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection. A client on a unix socket has no address, but the handler reads one."""
        connection, address = self.socket.accept()
        return connection, ("", 0) if isinstance(address, str) else address


class _ThreadingServer(ThreadingMixIn, _Server):
    """A server with one thread for each connection; it joins the threads when it ends."""


class _WsgirefHandler(IdleHandler, WSGIRequestHandler):
    def parse_request(self) -> bool:
        """Refuse requests that wsgiref cannot read, before it calls the application."""
        if not super().parse_request():
            return False
        if self.headers.get("Transfer-Encoding") is not None:
            self.send_error(501, "Transfer-Encoding is not supported by wsgiref")
            self._linger()
            return False
        return True

    def _linger(self) -> None:
        """Read the rest of the request, because an earlier close resets the connection and loses the response."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_LINGER_SECONDS)
        left = _LINGER_BYTES
        try:
            while left > 0 and (received := self.connection.recv(65536)):
                left -= len(received)
        except OSError:  # the read timed out, or the client has left
            return

    def address_string(self) -> str:
        """Return the client's address for the access log, without a name lookup."""
        return self.client_address[0] or "unix:"


def _told_of_threads(application: WSGIApplication) -> WSGIApplication:
    """Set ``wsgi.multithread``: wsgiref's handler has a fixed value for every server (PEP 3333: environ Variables)."""

    def multithreaded(environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        environ["wsgi.multithread"] = True
        return application(environ, start_response)

    return multithreaded


def _serve(options: Options) -> None:
    IdleHandler.access_log = options.access_log
    application = options.application()
    listener = options.bind.listen()
    threaded = options.threads is None or options.threads > 1
    server = _ThreadingServer(listener) if threaded else _Server(listener)
    server.set_app(_told_of_threads(application) if threaded else application)

    def stop(signum: int, frame: object) -> None:
        # shutdown() waits for serve_forever() to return, and this thread runs serve_forever().
        threading.Thread(target=server.shutdown, daemon=True).start()
        IdleHandler.idle.close()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.stderr.write(f"wsgiref listens on {options.bind if options.bind.path else options.bind.at(listener)}\n")
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()


if __name__ == "__main__":
    run("_run_wsgiref", _serve)
