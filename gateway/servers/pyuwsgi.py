"""uWSGI, as the wheel pyuwsgi and as the program uwsgi: a server in C with processes and threads, WSGI.

Sources: uWSGI documentation "Options", "Chunked input"; the facts were measured with 2.0.30.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from gateway.servers._server import Capabilities, Launch, Server

__all__ = ["PYUWSGI", "UWSGI"]


def _of_the_wheel(launch: Launch) -> Iterator[str]:
    # The module does not support `python -m`; its console script runs this code.
    yield from ("-c", "import pyuwsgi; pyuwsgi.run()")
    # At a reload it runs itself again: without the path, by the interpreter outside of the virtual environment.
    yield from ("--binary-path", sys.executable)
    yield from _arguments(launch)


def _arguments(launch: Launch) -> Iterator[str]:
    yield from ("--http-socket", launch.bind.path or str(launch.bind))
    # By default it resets a connection whose headers are larger than 4 KiB, and one large cookie can be that large.
    yield from ("--buffer-size", "32768")
    yield from ("--master", "--need-app", "--enable-threads", "--die-on-term")
    # Without this hook SIGTERM drops the requests in flight.
    yield from ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
    # It closes every connection without notice, so a proxy would send the next request on a closed connection.
    yield from ("--add-header", "Connection: close")
    if launch.workers is not None:
        yield from ("--processes", str(launch.workers))
    if launch.threads is not None:
        yield from ("--threads", str(launch.threads))
    if launch.reload:
        yield from ("--py-autoreload", "1")
    yield from ("--pythonpath", launch.app_dir or ".")
    yield from launch.arguments
    yield from ("--module", launch.target)
    if launch.hooks:
        yield from ("--import", "gateway.servers.uwsgi_hooks")


_uwsgi = partial(
    Server,
    interface="wsgi",
    dotted=False,
    posix=True,
    options={"graceful_timeout": "--worker-reload-mercy", "no_access_log": "--disable-logging"},
    capabilities=Capabilities(
        inherited_socket=True,
        workers=True,
        threads=True,
        reload=True,
        chunked_upload="lost",
        keep_alive=False,
        expect_continue=False,
    ),
    quirks=(
        "wsgi.input is empty for a chunked request body. Our adapter reads it with uwsgi.chunked_read(), so "
        "an ASGI application gets the body and a WSGI application does not.",
        "It closes every connection of --http-socket without notice. gateway run adds --add-header "
        '"Connection: close", so that a proxy does not reuse the connection.',
        "It does not respond to Expect: 100-continue.",
        "It resets a connection whose headers are larger than --buffer-size: 4096 bytes by default, 32768 "
        "with gateway run.",
        "Its unix socket has mode 0755: if the proxy runs as another user, set --chmod-socket=660 or 666.",
        "It takes the scheme from X-Forwarded-Proto and X-Forwarded-SSL of any client; ProxyHeaders corrects it.",
        "It resolves dot segments of the path before the application sees the path.",
        "The application is imported before the fork, unless --lazy-apps is given.",
    ),
)

PYUWSGI = _uwsgi(name="pyuwsgi", family="pyuwsgi", module="pyuwsgi", requirement="pyuwsgi", arguments=_of_the_wheel)
UWSGI = _uwsgi(name="uwsgi", family="uwsgi", program="uwsgi", requirement="uwsgi", arguments=_arguments)
