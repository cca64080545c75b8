"""Granian: a server in Rust with three interfaces, RSGI (its own, and its default), ASGI and WSGI.

Sources: ``granian --help``; the facts were measured with 2.8.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["ASGI", "RSGI", "WSGI"]


def _arguments(launch: Launch, *, interface: str) -> Iterator[str]:
    yield from ("-m", "granian", "--interface", interface)
    if launch.bind.path is not None:
        yield from ("--uds", launch.bind.path)
    else:
        yield from ("--host", launch.bind.host, "--port", str(launch.bind.port))
    if launch.workers is not None:
        yield from ("--workers", str(launch.workers))
    if launch.threads is not None:
        yield from ("--blocking-threads", str(launch.threads))
    if launch.reload:
        # Else a file with a syntax error ends the server, unless a further change comes first.
        yield from ("--reload", "--reload-ignore-worker-failure")
        if launch.app_dir is not None:
            yield from ("--reload-paths", launch.app_dir)
    yield from launch.arguments
    yield launch.target


_granian = partial(
    Server,
    family="granian",
    module="granian",
    requirement="granian",
    options={
        "graceful_timeout": "--workers-kill-timeout",
        "certfile": "--ssl-certificate",
        "keyfile": "--ssl-keyfile",
    },
)
_UNIX = "Its unix socket has mode 0755: if the proxy runs as another user, set --uds-permissions."
_UTF8 = "It sends non-ASCII header values as UTF-8; PEP 3333 requires Latin-1."
_RELOAD = '--reload needs an extra: pip install "granian[reload]".'

ASGI = _granian(
    name="granian-asgi",
    interface="asgi",
    arguments=partial(_arguments, interface="asgi"),
    capabilities=Capabilities(
        workers=True, reload=True, websocket=True, lifespan=True, header_order="grouped", http2=True, pathsend=True
    ),
    quirks=(_UNIX, _RELOAD, 'The ports in scope["server"] and scope["client"] are str, not int.'),
)
WSGI = _granian(
    name="granian-wsgi",
    interface="wsgi",
    arguments=partial(_arguments, interface="wsgi"),
    capabilities=Capabilities(
        workers=True, threads=True, reload=True, header_order="grouped", latin_headers=False, raw_path=False, http2=True
    ),
    quirks=(
        _UNIX,
        _RELOAD,
        _UTF8,
        "Its environ also contains the environment variables of the process.",
        "When a worker stops, functions registered with atexit do not run.",
        "If the application raises within the body, the response looks complete.",
        "It reads status and headers when the application returns. If the application calls start_response "
        "only while it is iterated, the client gets 200 without headers. Any middleware in the chain avoids "
        "this.",
    ),
)
RSGI = _granian(
    name="granian-rsgi",
    interface="rsgi",
    arguments=partial(_arguments, interface="rsgi"),
    capabilities=Capabilities(
        workers=True,
        reload=True,
        websocket=True,
        lifespan=True,
        header_order="grouped",
        latin_headers=False,
        raw_path=False,
        http2=True,
        pathsend=True,
    ),
    quirks=(
        _UNIX,
        _RELOAD,
        _UTF8,
        "It calls every application on its event loop, and refuses --blocking-threads above 1. So a WSGI application "
        "runs on the adapter's own threads; granian-wsgi runs it on granian's.",
        "RSGI cannot cut a connection. If the application raises within the body, our adapter cuts it over HTTP/1 and "
        "TCP; on a unix socket and over HTTP/2, the response looks complete.",
    ),
)
