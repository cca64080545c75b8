"""wsgiref: the standard library's WSGI server, for tests and for machines without another server.

It does not have a command of its own, so a small module of ours runs it.

Sources: Python's ``wsgiref.simple_server``.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["WSGIREF"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_wsgiref", f"--bind={launch.bind}")
    if launch.threads is not None:
        yield f"--threads={launch.threads}"
    yield from launch.arguments
    yield launch.target


WSGIREF = Server(
    name="wsgiref",
    family="wsgiref",
    interface="wsgi",
    module="wsgiref",
    requirement="",
    arguments=_arguments,
    options={"no_access_log": "--no-access-log"},
    capabilities=Capabilities(
        inherited_socket=True,
        threads=True,
        chunked_upload="refused",
        raw_path=False,
        expect_continue=False,
        keep_alive=False,
    ),
    quirks=(
        "It sends HTTP/1.0 responses and closes every connection.",
        "It does not decode chunked bodies: our runner sends 501, while wsgiref itself would lose the body.",
        "It is for development: it has no limits and no timeouts.",
    ),
)
