"""gevent.pywsgi: WSGI on greenlets, one process.

It has no command of its own, so a small module of ours runs it, with the standard library patched.

Sources: gevent documentation ``gevent.pywsgi``; the facts were measured with 26.9.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["HUBS", "PYWSGI"]

#: A quirk of every server that patches with gevent.
HUBS = (
    "The loop of an ASGI application runs in a thread with a gevent hub of its own: an executor or a queue that was "
    "made at import belongs to another hub, and stalls. Make it at startup, in the lifespan."
)


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_gevent", f"--bind={launch.bind}")
    if launch.threads is not None:
        yield f"--threads={launch.threads}"
    yield from launch.arguments
    yield launch.target


PYWSGI = Server(
    name="gevent",
    family="gevent",
    interface="wsgi",
    module="gevent",
    requirement="gevent",
    arguments=_arguments,
    capabilities=Capabilities(inherited_socket=True, threads=True, raw_path=False, hands_over_socket=True),
    quirks=(
        "The runner patches the standard library before it imports the application.",
        "--threads is the number of greenlets that answer at once, 1000 without it.",
        HUBS,
    ),
)
