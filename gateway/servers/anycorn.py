"""Anycorn: Hypercorn on AnyIO, so ASGI on asyncio or trio, HTTP/1, 2 and 3.

Sources: ``anycorn --help``; the facts were measured with 0.20.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server
from gateway.servers.hypercorn import quic

__all__ = ["ANYCORN"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "anycorn", "--bind", str(launch.bind))
    if launch.workers is not None:
        yield from ("--workers", str(launch.workers))
    if launch.reload:
        yield "--reload"
    yield from quic(launch)
    yield from launch.arguments
    # Without the prefix it calls an application as WSGI if it does not look asynchronous.
    yield f"asgi:{launch.target}"


ANYCORN = Server(
    name="anycorn",
    family="anycorn",
    interface="asgi",
    module="anycorn",
    requirement="anycorn",
    arguments=_arguments,
    options={
        "keep_alive": "--keep-alive",
        "graceful_timeout": "--graceful-timeout",
        "certfile": "--certfile",
        "keyfile": "--keyfile",
    },
    capabilities=Capabilities(
        inherited_socket=True,
        workers=True,
        reload=True,
        websocket=True,
        lifespan=True,
        http2=True,
        http3=True,
        pathsend=True,
        trailers=True,
        early_hints=True,
    ),
    quirks=("With two or more workers, a stop signal may cut running requests.",),
)
