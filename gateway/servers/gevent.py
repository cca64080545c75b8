"""gevent.pywsgi: WSGI on greenlets, one process.

It does not have a command of its own, so a small module of this package runs it and patches the standard library.

Sources: gevent documentation ``gevent.pywsgi``; the facts were measured with 26.9.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["GREENLETS", "PYWSGI"]

#: A quirk of every server that patches with gevent.
GREENLETS = (
    "It refuses ASGI applications and ASGI middleware at startup, because gevent replaces the threads that "
    "they need. Use gunicorn-gthread or gunicorn-asgi for them."
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
    options={"graceful_timeout": "--graceful-timeout", "no_access_log": "--no-access-log"},
    capabilities=Capabilities(inherited_socket=True, threads=True, raw_path=False, serves_asgi=False),
    quirks=(
        "The runner patches the standard library before it imports the application.",
        "--threads is the number of greenlets, and so of requests at once; the default is 1000.",
        GREENLETS,
    ),
)
