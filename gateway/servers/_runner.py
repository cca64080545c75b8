"""A command line for the servers that have no command of their own: wsgiref, werkzeug, gevent.

``python -m`` runs a ``_run_NAME`` module in place of a server's own command. These modules share the arguments. They
import from the current folder, as ``python -m`` does.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Protocol, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gateway._load import load, told
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.errors import ConfigurationError
from gateway.servers._bind import Bind

__all__ = ["Idle", "IdleHandler", "Options", "parse_arguments", "run", "terminated"]

#: Seconds that requests in flight have to end after the stop signal, unless --graceful-timeout gives another number.
DRAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Options:
    """The arguments that every runner takes."""

    target: str
    bind: Bind
    threads: int | None
    reload: bool
    drain_seconds: float
    access_log: bool

    def application(self) -> WSGIApplication:
        """Import the application."""
        _, application = told(f"loading {self.target}", partial(load, self.target))
        if not callable(application):
            raise ConfigurationError(
                f"{self.target} is not an application, because it is not callable: {application!r}"
            )
        return cast("WSGIApplication", application)  # a callable; only a call can show more


def terminated(application: WSGIApplication) -> WSGIApplication:
    """Set ``wsgi.input_terminated`` for a server that has read the whole request body before it calls the application.

    Without the mark, an application does not read a body that came in chunks.
    """

    def marked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input_terminated"] = True
        return application(environ, start_response)

    return marked


class _Socket(Protocol):
    def shutdown(self, how: int, /) -> object: ...


class Idle:
    """The connections that carry no request, so that they do not delay a server that stops.

    Such a server waits for the thread of each connection. `close` shuts the connections down for reading. A thread that
    waits for a request then reads the bytes that have already arrived, and ends. There is
    no lock although a signal handler calls `close`: each step is one operation on a set.
    """

    def __init__(self) -> None:
        self._connections: set[_Socket] = set()
        self._stopping = False

    def add(self, connection: _Socket) -> None:
        """Add a connection that waits for a request."""
        self._connections.add(connection)
        if self._stopping:
            _end(connection)

    def remove(self, connection: _Socket) -> None:
        """Remove a connection that has a request."""
        self._connections.discard(connection)

    def close(self) -> None:
        """Shut down every connection without a request, and each one that `add` gets later."""
        self._stopping = True
        for connection in tuple(self._connections):
            _end(connection)


def _end(connection: _Socket) -> None:
    with suppress(OSError):  # the client has already closed the connection
        connection.shutdown(socket.SHUT_RD)


class IdleHandler(BaseHTTPRequestHandler):
    """Keep `idle` for a server whose handlers are `http.server`'s: put it before the server's own handler."""

    #: One for all handlers, because a process runs one server.
    idle = Idle()
    #: Whether the server writes a line for each request.
    access_log = True

    def setup(self) -> None:
        """Begin to wait for a request."""
        super().setup()
        self.idle.add(self.connection)

    def finish(self) -> None:
        """Remove a connection that ends, with or without a request."""
        self.idle.remove(self.connection)
        super().finish()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write the access log."""
        if self.access_log:
            super().log_request(code, size)

    def parse_request(self) -> bool:
        """Parse the request; from now on, the server waits for its thread when it stops."""
        whole = super().parse_request()
        self.idle.remove(self.connection)
        return whole


def parse_arguments(program: str, argv: list[str]) -> Options:
    """Read a runner's arguments."""
    parser = argparse.ArgumentParser(prog=f"python -m gateway.servers.{program}")
    parser.add_argument("target", help="the WSGI application, module:name")
    parser.add_argument("--bind", default="127.0.0.1:8000", help="host:port, unix:/path or fd://number")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--graceful-timeout", type=float, default=DRAIN_SECONDS)
    parser.add_argument("--no-access-log", action="store_true")
    found = parser.parse_args(argv)
    return Options(
        found.target,
        Bind.parse(found.bind),
        found.threads,
        found.reload,
        found.graceful_timeout,
        not found.no_access_log,
    )


def run(program: str, serve: Callable[[Options], None]) -> None:
    """Run a runner: read the arguments and serve until a stop signal. An error is one line and exit status 2."""
    try:
        options = parse_arguments(program, sys.argv[1:])
        try:
            serve(options)
        finally:
            close_all()
    except ConfigurationError as error:
        sys.exit(_fail(program, str(error)))
    except OSError as error:
        sys.exit(_fail(program, f"cannot listen: {error}"))
    except KeyboardInterrupt:
        sys.exit(0)


def _fail(program: str, message: str) -> int:
    sys.stderr.write(f"{program.removeprefix('_run_')}: {message}\n")
    return 2
