"""Uvicorn: ASGI on asyncio, one process or several.

Sources: ``uvicorn --help``; the facts were measured with 0.54.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["H11", "UVICORN"]


def _arguments(launch: Launch, *, http: str | None = None) -> Iterator[str]:
    yield from ("-m", "uvicorn")
    if http is not None:
        yield from ("--http", http)
    bind = launch.bind
    if bind.fd is not None:
        yield from ("--fd", str(bind.fd))
    elif bind.path is not None:
        yield from ("--uds", bind.path)
    else:
        yield from ("--host", bind.host, "--port", str(bind.port))
    if launch.workers is not None and not (launch.reload and launch.workers == 1):
        yield from ("--workers", str(launch.workers))
    if launch.reload:
        yield "--reload"
        if launch.app_dir is not None:
            yield from ("--reload-dir", launch.app_dir)
    if not launch.believes_proxies:
        yield "--no-proxy-headers"
    yield from launch.arguments
    yield launch.target


_uvicorn = partial(
    Server,
    family="uvicorn",
    interface="asgi",
    module="uvicorn",
    requirement="uvicorn",
    options={
        "keep_alive": "--timeout-keep-alive",
        "graceful_timeout": "--timeout-graceful-shutdown",
        "certfile": "--ssl-certfile",
        "keyfile": "--ssl-keyfile",
        "no_access_log": "--no-access-log",
    },
    capabilities=Capabilities(inherited_socket=True, workers=True, reload=True, websocket=True, lifespan=True),
    quirks=(
        "At startup it calls the application without arguments, to find out whether it is a factory.",
        "After SIGTERM, a single process lets its requests finish and then raises the signal again, so the "
        "exit status is 143.",
        "Keep-alive is 5 s: behind a load balancer, set --timeout-keep-alive above the load balancer's idle timeout.",
        "It replaces the client address by X-Forwarded-For from a proxy on this machine, unless "
        "--no-proxy-headers is set.",
        "With --fd it treats a TCP socket as a unix socket and leaves Nagle's algorithm on. On Linux this "
        "costs 40 ms per response, unless the program that opens the socket sets TCP_NODELAY (systemd: "
        "NoDelay=true).",
        'WebSockets need the package websockets or wsproto ("uvicorn[standard]").',
    ),
)

#: Uvicorn itself chooses httptools if it is installed, else h11.
UVICORN = _uvicorn(name="uvicorn", arguments=_arguments)
H11 = _uvicorn(name="uvicorn-h11", requires=("h11",), arguments=partial(_arguments, http="h11"))
