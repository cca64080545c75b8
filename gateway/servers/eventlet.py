"""eventlet.wsgi: WSGI on greenlets, one process.

It does not have a command of its own, so a small module of this package runs it and patches the standard library.

Sources: eventlet documentation ``eventlet.wsgi``; the facts were measured with 0.41.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["EVENTLET"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_eventlet", f"--bind={launch.bind}")
    if launch.threads is not None:
        yield f"--threads={launch.threads}"
    yield from launch.arguments
    yield launch.target


EVENTLET = Server(
    name="eventlet",
    family="eventlet",
    interface="wsgi",
    module="eventlet",
    requirement="eventlet",
    arguments=_arguments,
    options={"no_access_log": "--no-access-log"},
    capabilities=Capabilities(inherited_socket=True, threads=True, serves_asgi=False, streaming=False, raw_path=False),
    quirks=(
        "It sends a response in blocks of 4096 bytes or when it is complete.",
        "eventlet is no longer developed; its own documentation advises against new use.",
    ),
)
