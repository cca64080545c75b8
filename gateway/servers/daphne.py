"""Daphne: ASGI on Twisted, one process.

Sources: ``daphne --help``; the facts were measured with 4.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["DAPHNE"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "daphne")
    bind = launch.bind
    if bind.fd is not None:
        yield from ("--fd", str(bind.fd))
    elif bind.path is not None:
        yield from ("-u", bind.path)
    else:
        yield from ("-b", bind.host, "-p", str(bind.port))
    yield from launch.arguments
    yield launch.target


DAPHNE = Server(
    name="daphne",
    family="daphne",
    interface="asgi",
    module="daphne",
    requirement="daphne",
    arguments=_arguments,
    options={"no_access_log": "--verbosity 0"},
    capabilities=Capabilities(inherited_socket=True, websocket=True, header_order="grouped", drains=False),
    quirks=(
        "It does not support lifespan, so an application gets no startup and shutdown events.",
        "SIGTERM and SIGINT cut running requests.",
        "It calls the application with keyword arguments. Its WebSocket scopes have no state, scheme or http_version.",
        "It groups response headers of the same name.",
    ),
)
