"""Run Tornado's server: ``python -m gateway.servers._run_tornado module:app --bind 127.0.0.1:8000``.

On SIGTERM and SIGINT the server stops accepting connections, and requests in flight have ``--graceful-timeout``
seconds to end. Tornado
itself would cut them.
"""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.wsgi import WSGIContainer

from gateway.servers._runner import Options, run, terminated

__all__: list[str] = []

_THREADS = 8
_LOOK_SECONDS = 0.05


class _Container(WSGIContainer):
    """Tornado's container, which also counts the requests in flight."""

    in_flight = 0

    async def handle_request(self, request: HTTPServerRequest) -> None:
        """Serve one request in a thread."""
        self.in_flight += 1
        try:
            await super().handle_request(request)
        except Exception:
            # Tornado would leave the client without a response until it gives up.
            connection = request.connection
            if isinstance(connection, HTTP1Connection) and connection.stream is not None:
                connection.stream.close()
            raise
        finally:
            self.in_flight -= 1


def _serve(options: Options) -> None:
    application = terminated(options.application())

    async def serve() -> None:
        stopping = asyncio.Event()
        for stop in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(stop, stopping.set)
        with ThreadPoolExecutor(options.threads or _THREADS) as threads:
            container = _Container(application, threads)
            server = HTTPServer(container)
            listener = options.bind.listen()
            listener.setblocking(False)
            server.add_socket(listener)
            await stopping.wait()
            server.stop()
            connections = server._connections
            deadline = asyncio.get_running_loop().time() + options.drain_seconds
            while asyncio.get_running_loop().time() < deadline and (  # noqa: ASYNC110  # as the comment below says
                container.in_flight or any(connection.stream.writing() for connection in connections)
            ):
                await asyncio.sleep(_LOOK_SECONDS)  # Tornado has no event for the last byte that leaves a stream
            await server.close_all_connections()

    asyncio.run(serve())


if __name__ == "__main__":
    run("_run_tornado", _serve)
