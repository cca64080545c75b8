"""Tornado's HTTP server with its ``WSGIContainer``: WSGI on threads, one process.

It does not have a command of its own, so a small module of ours runs it.

Sources: Tornado documentation ``tornado.wsgi``; the facts were measured with 6.6.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["TORNADO"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_tornado", f"--bind={launch.bind}")
    if launch.threads is not None:
        yield f"--threads={launch.threads}"
    yield from launch.arguments
    yield launch.target


TORNADO = Server(
    name="tornado",
    family="tornado",
    interface="wsgi",
    module="tornado",
    requirement="tornado",
    arguments=_arguments,
    options={"graceful_timeout": "--graceful-timeout"},
    capabilities=Capabilities(
        inherited_socket=True, threads=True, streaming=False, header_order="grouped", raw_path=False
    ),
    quirks=(
        "It sends a response only when it is complete.",
        "Tornado itself cuts running requests when it stops; our runner lets them finish.",
    ),
)
