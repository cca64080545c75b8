"""Cheroot: WSGI on a pool of threads, CherryPy's server.

Sources: ``cheroot --help``; the facts were measured with 11.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["CHEROOT"]


def _arguments(launch: Launch) -> Iterator[str]:
    # cheroot reads a name without a slash as a host.
    place = launch.bind.netloc if launch.bind.path is None else str(Path(launch.bind.path).absolute())
    yield from ("-m", "gateway.servers._drain_on_sigterm", "cheroot", "--bind", place)
    if launch.threads is not None:
        yield from ("--threads", str(launch.threads))
    yield from launch.arguments
    yield launch.target


CHEROOT = Server(
    name="cheroot",
    family="cheroot",
    interface="wsgi",
    module="cheroot",
    requirement="cheroot",
    arguments=_arguments,
    options={"keep_alive": "--timeout", "graceful_timeout": "--shutdown-timeout"},
    capabilities=Capabilities(threads=True, raw_path=False),
    quirks=(
        "With gateway run, SIGTERM lets running requests finish. Its own command has no handler: there "
        "SIGTERM cuts running requests, and process 1 of a container ignores it (use STOPSIGNAL SIGINT, "
        "KillSignal=SIGINT).",
        "Its unix socket has mode 0755, and no option changes it: if the proxy runs as another user, set the umask.",
        "wsgi.input_terminated is False, although reading wsgi.input stops at the end of the body.",
        "It does not decode %2F in a path, so an application cannot distinguish %2F and %252F.",
        "It refuses a path that begins with //, with 400.",
    ),
)
