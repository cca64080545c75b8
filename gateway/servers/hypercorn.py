"""Hypercorn: ASGI on asyncio or trio, HTTP/1, 2 and 3.

Sources: ``hypercorn --help``; the facts were measured with 0.18.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["ASYNCIO", "TRIO", "quic"]


def _arguments(launch: Launch, *, worker: str) -> Iterator[str]:
    yield from ("-m", "hypercorn", "--bind", str(launch.bind), "--worker-class", worker)
    if launch.workers is not None:
        yield from ("--workers", str(launch.workers))
    if launch.reload:
        yield "--reload"
    yield from quic(launch)
    yield from launch.arguments
    # Without the prefix it calls an application as WSGI if it does not look asynchronous.
    yield f"asgi:{launch.target}"


def quic(launch: Launch) -> Iterator[str]:
    """Yield the option for HTTP/3 at the same port, if the launch has a certificate and aioquic is installed."""
    if launch.certfile is not None and launch.bind.path is None and launch.bind.fd is None and find_spec("aioquic"):
        yield from ("--quic-bind", str(launch.bind))


_hypercorn = partial(
    Server,
    family="hypercorn",
    interface="asgi",
    module="hypercorn",
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
        trailers=True,
        early_hints=True,
    ),
)
_QUIRKS = (
    "With two or more workers, a stop signal cuts running requests, and workers end without lifespan.shutdown.",
    "Its unix socket has mode 0755: if the proxy runs as another user, set --umask. It does not remove the "
    "socket when it stops.",
)

ASYNCIO = _hypercorn(
    name="hypercorn-asyncio",
    requirement="hypercorn",
    arguments=partial(_arguments, worker="asyncio"),
    quirks=_QUIRKS,
)
TRIO = _hypercorn(
    name="hypercorn-trio",
    requirement="hypercorn[trio]",
    requires=("trio",),
    arguments=partial(_arguments, worker="trio"),
    quirks=(
        *_QUIRKS,
        "If an application returns from the lifespan scope without an answer, instead of raising, the server stops.",
        "If a client closes a WebSocket at the same moment as the application, the server stops, with all workers "
        "and status 0.",
    ),
)
