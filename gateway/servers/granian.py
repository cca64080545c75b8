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
        yield "--reload"
        if launch.app_dir is not None:
            yield from ("--reload-paths", launch.app_dir)
    yield from launch.arguments
    yield launch.target


_granian = partial(Server, family="granian", module="granian", requirement="granian")
_UNIX = "Its unix socket has mode 0755: set --uds-permissions for a proxy of another user."
_UTF8 = "Header values beyond ASCII are sent as UTF-8, where PEP 3333 has latin-1."
_RELOAD = '--reload needs its extra: pip install "granian[reload]".'

ASGI = _granian(
    name="granian-asgi",
    interface="asgi",
    arguments=partial(_arguments, interface="asgi"),
    capabilities=Capabilities(workers=True, reload=True, websocket=True, lifespan=True),
    quirks=(_UNIX, _RELOAD, 'Ports in scope["server"] and scope["client"] are text.'),
)
WSGI = _granian(
    name="granian-wsgi",
    interface="wsgi",
    arguments=partial(_arguments, interface="wsgi"),
    capabilities=Capabilities(workers=True, threads=True, reload=True, latin_headers=False, raw_path=False),
    quirks=(
        _UNIX,
        _RELOAD,
        _UTF8,
        "Its environ holds the process's environment variables too.",
        "Functions registered with atexit do not run when a worker is stopped.",
        "A body that breaks off by an exception is ended as if it were whole.",
        "It takes status and headers when the application returns: an application that calls start_response while it "
        "is iterated is answered 200 without headers. Behind any middleware of a chain it is answered right.",
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
        latin_headers=False,
        raw_path=False,
    ),
    quirks=(_UNIX, _RELOAD, _UTF8),
)
