"""pyvoy: the Envoy proxy with Python inside, ASGI and WSGI, HTTP/1, 2 and 3.

Sources: ``pyvoy --help``; the facts were measured with 1.3.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["ASGI", "WSGI"]


def _arguments(launch: Launch, *, interface: str) -> Iterator[str]:
    # The package does not support `python -m`; its console script runs this code.
    yield from ("-c", "from pyvoy._cli import main; main()")
    if launch.reload:
        yield "--reload"
        if launch.app_dir is not None:
            yield from ("--reload-dirs", launch.app_dir)
    # An option follows --reload-dirs, which takes everything up to the next option.
    yield from ("--interface", interface)
    yield from ("--address", launch.bind.host, "--port", str(launch.bind.port))
    if interface == "asgi":
        yield "--websockets"  # off by default
    if launch.threads is not None:
        yield from ("--worker-threads", str(launch.threads))
    yield from launch.arguments
    yield launch.target


_pyvoy = partial(
    Server,
    family="pyvoy",
    module="pyvoy",
    requirement="pyvoy",
    dotted=False,
    options={"certfile": "--tls-cert", "keyfile": "--tls-key"},
)

ASGI = _pyvoy(
    name="pyvoy-asgi",
    interface="asgi",
    arguments=partial(_arguments, interface="asgi"),
    capabilities=Capabilities(
        unix_socket=False,
        threads=True,
        reload=True,
        websocket=True,
        lifespan=True,
        drains=False,
        http2=True,
        http3=True,
        trailers=True,
    ),
    quirks=(
        "A stop signal cuts running requests.",
        "It takes the client address and the scheme from X-Forwarded-For and X-Forwarded-Proto of any client, so "
        "clients can forge both. No option stops that.",
        "It serves WebSockets only with --websockets, which gateway run sets.",
        "It refuses HTTP/1.0 with 426.",
    ),
)
WSGI = _pyvoy(
    name="pyvoy-wsgi",
    interface="wsgi",
    arguments=partial(_arguments, interface="wsgi"),
    capabilities=Capabilities(
        unix_socket=False,
        threads=True,
        reload=True,
        chunked_upload="lost",
        latin_headers=False,
        raw_path=False,
        drains=False,
        http2=True,
        http3=True,
    ),
    quirks=(
        "A stop signal cuts running requests.",
        "It takes the scheme from X-Forwarded-Proto of any client, so clients can forge it. No option stops that. If a "
        "request has X-Forwarded-For, REMOTE_ADDR is empty.",
        "It refuses HTTP/1.0 with 426.",
        "It does not set wsgi.input_terminated, so applications do not read a chunked request body.",
        "wsgi.input.read(n) may return fewer than n bytes before the end of the body.",
    ),
)
