"""The command line of the servers that have none: wsgiref, werkzeug, gevent.

Each ``_run_NAME`` module is executed with ``python -m`` in the place of a server's own command. They share these
arguments, and the rule that the current folder is imported from, as ``python -m`` has it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from wsgiref.types import WSGIApplication

from gateway._load import load
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.errors import ConfigurationError
from gateway.servers._bind import Bind

__all__ = ["Options", "parse_arguments", "run"]


@dataclass(frozen=True)
class Options:
    """What every runner takes."""

    target: str
    bind: Bind
    threads: int | None
    reload: bool

    def application(self) -> WSGIApplication:
        """Import the application."""
        _, application = load(self.target)
        if not callable(application):
            raise ConfigurationError(f"{self.target} is not callable, so it is no application: {application!r}")
        return cast("WSGIApplication", application)  # a callable; more can only be known by calling it


def parse_arguments(program: str, argv: list[str]) -> Options:
    """Read a runner's arguments."""
    parser = argparse.ArgumentParser(prog=f"python -m gateway.servers.{program}")
    parser.add_argument("target", help="the WSGI application, module:name")
    parser.add_argument("--bind", default="127.0.0.1:8000", help="host:port, unix:/path or fd://number")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--reload", action="store_true")
    found = parser.parse_args(argv)
    return Options(found.target, Bind.parse(found.bind), found.threads, found.reload)


def run(program: str, serve: Callable[[Options], None]) -> None:
    """Run one runner: read the arguments, serve until told to stop; an error is one line and exit status 2."""
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
