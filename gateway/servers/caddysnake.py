"""Caddy with Python inside, as the wheel caddysnake: ASGI, in processes of their own.

It can also call an application as WSGI. This package does not use that, because its ``PATH_INFO`` then is not the
latin-1 text that PEP 3333 requires, and an uploaded body without a length is lost. A WSGI application runs through the
adapter.

Sources: ``caddysnake --help``; the facts were measured with 0.3.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["CADDYSNAKE"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_caddysnake", "--server-type", "asgi")
    yield from ("--listen", f"unix/{launch.bind.path}" if launch.bind.path is not None else launch.bind.netloc)
    # Its own default is one worker for each core.
    yield from ("--workers", str(launch.workers or 1))
    yield from launch.arguments
    yield from ("--app", launch.target)


CADDYSNAKE = Server(
    name="caddysnake",
    family="caddysnake",
    interface="asgi",
    module="caddysnake",
    requires=("caddysnake_cli",),
    requirement="caddysnake",
    arguments=_arguments,
    capabilities=Capabilities(workers=True, websocket=True, header_order="sorted"),
    quirks=(
        "It runs its workers with the first python3 on PATH, which has to be of the same minor version. They do not "
        "know the virtual environment: gateway run gives them its import path.",
        "It sends no lifespan events, so an application gets no startup and shutdown events.",
        "The headers of the scope lack Host.",
        "Its administration API listens on localhost:2019.",
    ),
)
