"""Werkzeug's development server, WSGI on threads.

It does not have a command for an arbitrary application, so a small module of ours runs it.

Sources: ``werkzeug.serving``; the facts were measured with 3.1.9.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["WERKZEUG"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._run_werkzeug", f"--bind={launch.bind}")
    if launch.threads is not None:
        yield f"--threads={launch.threads}"
    if launch.reload:
        yield "--reload"
    yield from launch.arguments
    yield launch.target


WERKZEUG = Server(
    name="werkzeug",
    family="werkzeug",
    interface="wsgi",
    module="werkzeug",
    requirement="werkzeug",
    arguments=_arguments,
    options={"no_access_log": "--no-access-log"},
    capabilities=Capabilities(
        inherited_socket=True, threads=True, reload=True, keep_alive=False, hands_over_socket=True
    ),
    quirks=(
        "It is for development: it has no limits, and uses a new connection for every request.",
        "It merges several slashes at the start of the path into one.",
        "It starts a thread for each request without a limit; only --threads=1 has an effect, and serves one "
        "request at a time.",
    ),
)
