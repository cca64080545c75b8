"""bjoern: a small WSGI server in C, one thread.

It does not have a command of its own, so a small module of ours runs it.

Sources: bjoern's README; the facts were measured with 3.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["BJOERN"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_bjoern", f"--bind={launch.bind}")
    yield from launch.arguments
    yield launch.target


BJOERN = Server(
    name="bjoern",
    family="bjoern",
    interface="wsgi",
    module="bjoern",
    requirement="bjoern",
    posix=True,
    arguments=_arguments,
    capabilities=Capabilities(inherited_socket=True, raw_path=False),
    quirks=(
        "It serves one request at a time, without keep-alive limits or timeouts.",
        "Its own process has no handler for SIGTERM: our runner makes SIGTERM do what SIGINT does.",
    ),
)
