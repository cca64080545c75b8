"""Gunicorn: a supervisor with workers of several kinds, WSGI and ASGI.

Sources: gunicorn 23 to 27, ``gunicorn --help``; the facts were measured with 27.0.1.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

from gateway.errors import ConfigurationError
from gateway.servers._server import Capabilities, Launch, Server
from gateway.servers.gevent import GREENLETS

__all__ = ["ASGI", "GEVENT", "GTHREAD", "SYNC", "UVICORN", "configured", "lacks_hooks", "settings"]

_CONTROL_SOCKET_SINCE = 25
_UVICORN = "uvicorn_worker.UvicornWorker"


def _arguments(launch: Launch, *, worker: str, threads: int | None = None) -> Iterator[str]:
    yield from ("-m", "gunicorn", "--bind", str(launch.bind), "--worker-class", worker)
    if launch.workers is not None:
        yield from ("--workers", str(launch.workers))
    count = launch.threads if launch.threads is not None else threads
    if count is not None:
        yield from ("--threads", str(count))
    if launch.reload:
        yield "--reload"
    if not _configured(launch):
        if not launch.believes_proxies:
            yield from ("--config", "python:gateway.servers.gunicorn_proxied")
            if worker == _UVICORN:  # it replaces the peer's address if the proxy is on this machine
                yield "--forwarded-allow-ips="
        elif launch.hooks:
            yield from ("--config", "python:gateway.servers.gunicorn_hooks")
    if launch.isolated and int(metadata.version("gunicorn").partition(".")[0]) >= _CONTROL_SOCKET_SINCE:
        yield "--no-control-socket"
    yield from launch.arguments
    yield launch.target


def _configured(launch: Launch) -> bool:
    """Whether the user has a configuration. Gunicorn reads only one, and the user's may import the hooks."""
    variable = launch.environment.get("GUNICORN_CMD_ARGS", os.environ.get("GUNICORN_CMD_ARGS", ""))
    given = (*launch.arguments, *shlex.split(variable))
    return any(argument.startswith(("-c", "--config")) for argument in given) or Path("gunicorn.conf.py").exists()


_OPTIONS = {"graceful_timeout": "--graceful-timeout", "certfile": "--certfile", "keyfile": "--keyfile"}
_gunicorn = partial(
    Server,
    family="gunicorn",
    module="gunicorn",
    dotted=False,
    posix=True,
    options={"keep_alive": "--keep-alive", **_OPTIONS},
)
_QUIRKS = (
    "After SIGTERM, running requests have --graceful-timeout (30 s) to finish, while the kernel still "
    "accepts connections.",
    "Keep-alive is 2 s: behind a load balancer, set --keep-alive above the load balancer's idle timeout.",
    "It takes the scheme from X-Forwarded-Proto if the peer is 127.0.0.1, ::1 or a unix socket, and sends "
    "400 if X-Forwarded-Proto and X-Forwarded-Ssl disagree. secure_scheme_headers = {} in gunicorn.conf.py "
    "turns both off.",
    "On Python 3.14, the headers of Gunicorn's own error pages end with a bare LF, which strict clients refuse.",
)

SYNC = _gunicorn(
    name="gunicorn-sync",
    interface="wsgi",
    requirement="gunicorn",
    arguments=partial(_arguments, worker="sync"),
    options=_OPTIONS,
    capabilities=Capabilities(inherited_socket=True, workers=True, reload=True, keep_alive=False, early_hints=True),
    quirks=(*_QUIRKS, "Each worker serves one request at a time, without keep-alive: put NGINX in front of it."),
)
GTHREAD = _gunicorn(
    name="gunicorn-gthread",
    interface="wsgi",
    requirement="gunicorn",
    # Gunicorn's own default is one thread, which handles one request at a time.
    arguments=partial(_arguments, worker="gthread", threads=4),
    capabilities=Capabilities(
        inherited_socket=True, workers=True, threads=True, reload=True, hands_over_socket=True, early_hints=True
    ),
    quirks=(
        *_QUIRKS,
        "An open WebSocket (websockets=True) holds a thread, and the server's access log does not contain it.",
    ),
)
GEVENT = _gunicorn(
    name="gunicorn-gevent",
    interface="wsgi",
    requirement="gunicorn[gevent]",
    requires=("gevent", "packaging"),
    arguments=partial(_arguments, worker="gevent"),
    capabilities=Capabilities(inherited_socket=True, workers=True, reload=True, serves_asgi=False, early_hints=True),
    quirks=(*_QUIRKS, "The worker patches the standard library before it imports the application.", GREENLETS),
)
ASGI = _gunicorn(
    name="gunicorn-asgi",
    interface="asgi",
    requirement="gunicorn>=24",
    requires=("gunicorn.asgi",),
    arguments=partial(_arguments, worker="asgi"),
    capabilities=Capabilities(inherited_socket=True, workers=True, reload=True, websocket=True, lifespan=True),
    quirks=(
        *_QUIRKS,
        'On a unix socket, scope["server"] contains only the first two characters of the path.',
        "On SIGINT it cuts running requests and does not send lifespan.shutdown.",
        "When it stops, it also waits for idle connections, and after --graceful-timeout it does not send "
        "lifespan.shutdown. The hooks close idle connections (--config "
        "python:gateway.servers.gunicorn_hooks).",
    ),
)
UVICORN = _gunicorn(
    name="gunicorn-uvicorn",
    interface="asgi",
    requirement="uvicorn-worker",
    requires=("uvicorn_worker",),
    arguments=partial(_arguments, worker=_UVICORN),
    capabilities=Capabilities(inherited_socket=True, workers=True, websocket=True, lifespan=True),
    quirks=_QUIRKS[:1],
)


def configured(server: Server, launch: Launch) -> bool:
    """Tell whether the user has a Gunicorn configuration, whose settings the command line would override."""
    return server.family == "gunicorn" and _configured(launch)


def lacks_hooks(server: Server, launch: Launch) -> bool:
    """Tell whether the user's configuration omits the hooks that the launch needs."""
    if not launch.hooks or not configured(server, launch):
        return False
    try:
        return not settings(launch.arguments, app_dir=launch.app_dir)["hooks"]
    except ConfigurationError:
        return False  # Gunicorn reports it when it starts


def settings(arguments: Sequence[str], *, app_dir: str | None = None) -> Mapping[str, str]:
    """Return the settings that matter to a deployment, as Gunicorn itself reads them for these arguments.

    Gunicorn also reads the current folder's ``gunicorn.conf.py``, ``--config`` and ``GUNICORN_CMD_ARGS``. The
    configuration runs in a process of its own.

    Args:
        arguments: Gunicorn's arguments, without the application.
        app_dir: Folder to import from; None means the current folder.

    Returns:
        The values as text, by Gunicorn's own names. ``hooks`` is "yes" if the configuration imports the hooks of this
        package, else "".

    Raises:
        ConfigurationError: Gunicorn refuses the arguments or the configuration.
    """
    paths = filter(None, (app_dir, os.environ.get("PYTHONPATH")))
    read = subprocess.run(
        [sys.executable, "-m", "gateway.servers._gunicorn_settings", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    if read.returncode != 0:
        said = read.stderr.strip().splitlines() or ["no reason given"]
        raise ConfigurationError(
            f"gunicorn rejected its arguments or its configuration: {said[-1]}; run: gunicorn --check-config"
        )
    found: dict[str, str] = json.loads(read.stdout.splitlines()[-1])
    return found
