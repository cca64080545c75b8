"""socketify: a server on uWebSockets, ASGI and WSGI.

Sources: ``python -m socketify --help``; the facts were measured with 0.0.31.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["ASGI", "WSGI"]


def _arguments(launch: Launch, *, interface: str) -> Iterator[str]:
    # It reads the application first, and options after it.
    yield from ("-m", "socketify", launch.target, "--interface", interface)
    if launch.bind.path is not None:
        yield from ("--uds", launch.bind.path)
    else:
        yield from ("--host", launch.bind.host, "--port", str(launch.bind.port))
    yield from launch.arguments


_socketify = partial(
    Server,
    family="socketify",
    module="socketify",
    requirement="socketify",
    dotted=False,
    options={"certfile": "--ssl-certfile", "keyfile": "--ssl-keyfile"},
)

ASGI = _socketify(
    name="socketify-asgi",
    interface="asgi",
    arguments=partial(_arguments, interface="asgi3"),
    capabilities=Capabilities(websocket=True, lifespan=True, drains=False),
    quirks=("A stop signal cuts running requests.", "The path of its scopes is not percent-decoded."),
)
WSGI = _socketify(
    name="socketify-wsgi",
    interface="wsgi",
    arguments=partial(_arguments, interface="wsgi"),
    capabilities=Capabilities(serves_asgi=False, streaming=False, latin_headers=False, raw_path=False, drains=False),
    quirks=("A stop signal cuts running requests.", "It sends a response only when it is complete."),
)
