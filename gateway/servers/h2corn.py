"""h2corn: an ASGI server in Rust for HTTP/1 and HTTP/2, with and without TLS.

Sources: ``h2corn --help``; the facts were measured with 2.0.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["H2CORN"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "h2corn", "--bind", str(launch.bind))
    if launch.workers is not None:
        yield from ("--workers", str(launch.workers))
    if launch.reload:
        yield "--reload"
        if launch.app_dir is not None:
            yield from ("--reload-dir", launch.app_dir)
    yield from launch.arguments
    yield launch.target


H2CORN = Server(
    name="h2corn",
    family="h2corn",
    interface="asgi",
    module="h2corn",
    requirement="h2corn",
    arguments=_arguments,
    options={
        "keep_alive": "--timeout-keep-alive",
        "graceful_timeout": "--timeout-graceful-shutdown",
        "certfile": "--certfile",
        "keyfile": "--keyfile",
        "no_access_log": "--no-access-log",
    },
    capabilities=Capabilities(
        inherited_socket=True,
        workers=True,
        reload=True,
        websocket=True,
        lifespan=True,
        http2=True,
        pathsend=True,
        early_hints=True,
    ),
    quirks=(
        "Its scopes have no root_path.",
        "It refuses HTTP/1.0 with 400.",
    ),
)
