"""FastPySGI: a server in C, one thread in one process, WSGI.

It can also call an application as ASGI, but then loses streamed responses. So a small module of ours runs it, as WSGI.

Sources: FastPySGI's README; the facts were measured with 0.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["FASTPYSGI"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_fastpysgi", f"--bind={launch.bind}")
    yield from launch.arguments
    yield launch.target


FASTPYSGI = Server(
    name="fastpysgi",
    family="fastpysgi",
    interface="wsgi",
    module="fastpysgi",
    requirement="fastpysgi",
    arguments=_arguments,
    capabilities=Capabilities(unix_socket=False, streaming=False, latin_headers=False, raw_path=False, drains=False),
    quirks=("A stop signal cuts running requests.", "It sends a response only when it is complete."),
)
