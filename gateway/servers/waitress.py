"""Waitress: WSGI on threads in one process, on every platform.

Sources: ``waitress-serve --help``; the facts were measured with 3.0.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["WAITRESS"]


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("-m", "gateway.servers._drain_on_sigterm", "waitress")
    if launch.bind.path is not None:
        yield f"--unix-socket={launch.bind.path}"
    else:
        yield f"--listen={launch.bind.netloc}"
    if launch.threads is not None:
        yield f"--threads={launch.threads}"
    if not launch.believes_proxies:
        # By default waitress removes X-Forwarded-* and Forwarded before it calls the application.
        yield "--no-clear-untrusted-proxy-headers"
    yield from launch.arguments
    yield launch.target


WAITRESS = Server(
    name="waitress",
    family="waitress",
    interface="wsgi",
    module="waitress",
    requirement="waitress",
    arguments=_arguments,
    options={"keep_alive": "--channel-timeout"},
    capabilities=Capabilities(threads=True, header_order="sorted"),
    quirks=(
        "With gateway run, SIGTERM lets running requests finish. Its own command has no handler: there "
        "SIGTERM cuts running requests, and process 1 of a container ignores it (use STOPSIGNAL SIGINT, "
        "KillSignal=SIGINT).",
        "When it stops, it waits 5 seconds for requests, and then cuts large responses that slow clients are "
        "still reading.",
        "It sorts response headers by name.",
        "It removes X-Forwarded-* and Forwarded from a request, unless --no-clear-untrusted-proxy-headers is set.",
        "It reads the whole request body into memory or a temporary file before it calls the application.",
        "Its unix socket has mode 0600: if the proxy runs as another user, set --unix-socket-perms.",
        "It merges several slashes at the start of the path into one.",
    ),
)
