"""Twisted's web server with its ``WSGIResource``: WSGI on threads, one process.

``twist web --wsgi`` cuts requests in flight and cannot serve a unix socket, so a small module of ours runs it.

Sources: Twisted documentation ``twisted.web.wsgi``; the facts were measured with 26.10.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["TWISTED"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_twisted", f"--bind={launch.bind}")
    if launch.threads is not None:
        yield f"--threads={launch.threads}"
    yield from launch.arguments
    yield launch.target


TWISTED = Server(
    name="twisted",
    family="twisted",
    interface="wsgi",
    module="twisted",
    requirement="twisted",
    arguments=_arguments,
    options={"graceful_timeout": "--graceful-timeout"},
    capabilities=Capabilities(inherited_socket=True, threads=True, header_order="grouped", raw_path=False),
    quirks=("twist web --wsgi cuts running requests when it stops; our runner lets them finish.",),
)
