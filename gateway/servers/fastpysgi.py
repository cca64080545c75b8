"""FastPySGI: a server in C, ASGI and WSGI, one thread in one process.

Sources: ``fastpysgi --help``; the facts were measured with 0.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["ASGI", "WSGI"]


def _arguments(launch: Launch) -> Iterator[str]:
    # The package does not support `python -m`; its console script runs this code.
    yield from ("-c", "from fastpysgi import run_from_cli; run_from_cli()")
    yield from ("--host", launch.bind.host, "--port", str(launch.bind.port))
    yield from launch.arguments
    yield launch.target


_fastpysgi = partial(
    Server,
    family="fastpysgi",
    module="fastpysgi",
    requirement="fastpysgi",
    arguments=_arguments,
    dotted=False,
    options={"certfile": "--certfile", "keyfile": "--keyfile"},
)

ASGI = _fastpysgi(
    name="fastpysgi-asgi",
    interface="asgi",
    capabilities=Capabilities(unix_socket=False, lifespan=True, streaming=False),
)
WSGI = _fastpysgi(
    name="fastpysgi-wsgi",
    interface="wsgi",
    capabilities=Capabilities(unix_socket=False),
)
