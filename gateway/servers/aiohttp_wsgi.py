"""aiohttp-wsgi: WSGI on threads behind aiohttp's HTTP server, one process.

Sources: ``aiohttp-wsgi-serve --help``; the facts were measured with 0.10.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["AIOHTTP_WSGI"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._drain_on_sigterm", "aiohttp_wsgi.__main__:main")
    if launch.bind.path is not None:
        yield from ("--unix-socket", launch.bind.path)
    else:
        yield from ("--host", launch.bind.host, "--port", str(launch.bind.port))
    if launch.threads is not None:
        yield from ("--threads", str(launch.threads))
    yield from launch.arguments
    yield launch.target


AIOHTTP_WSGI = Server(
    name="aiohttp-wsgi",
    family="aiohttp-wsgi",
    interface="wsgi",
    module="aiohttp_wsgi",
    requirement="aiohttp-wsgi",
    dotted=False,
    arguments=_arguments,
    options={"graceful_timeout": "--shutdown-timeout"},
    capabilities=Capabilities(threads=True, streaming=False, latin_headers=False),
    quirks=(
        "It sends a response only when it is complete.",
        "Its own command has no handler for SIGTERM: gateway run makes SIGTERM do what SIGINT does.",
    ),
)
