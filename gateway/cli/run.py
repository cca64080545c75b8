"""``gateway run``: find the application, choose a server that suits it, and become that server.

The server's own command replaces this process (``exec``). Signals, workers, reloading and the duties of process 1 in a
container are then the server's, whichever version of this package you have. Checks before that turn each fault into one
line and exit status 2.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from traceback import format_exception

import click
from click.core import ParameterSource

from gateway._load import INDIRECT, VARIABLE, Target
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
from gateway.cli._command import ServerCommand
from gateway.cli._source import source, source_options
from gateway.dual import Dual
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.middleware.access_log import AccessLog
from gateway.protocols import Interface, detect, gives_coroutine, is_proxy
from gateway.servers import Bind, Command, Launch, Server, choose, gunicorn
from gateway.servers._reachable import applications, gateways, middleware, reads_forwarded

__all__ = ["KEEP_ALIVE", "command", "needs_websockets", "plan", "supervise"]

#: Seconds that an idle connection stays open: above the 60 s of NGINX and of most load balancers, so that these close
#: a connection first. The other way round, a proxy sends a request on a connection that the server is closing.
KEEP_ALIVE = 75
_FILE = click.Path(exists=True, dir_okay=False)


@click.command("run", cls=ServerCommand, short_help="Serve an application under an installed server.")
@source_options
@click.option("--server", metavar="NAME", help="Server to start. [default: the first installed server that fits]")
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="HOST:PORT, unix:/PATH or fd://NUMBER.")
@click.option("--host", help="Host to listen on, instead of --bind.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, instead of --bind.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of worker processes. [default: the server's own]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads in each process, for servers that use threads.")
@click.option("--reload", is_flag=True, help="Restart when a source file changes.")
@click.option(
    "--keep-alive",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Time that an idle connection stays open. [default: 75, for a server with this option]",
)
@click.option(
    "--graceful-timeout",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Time that running requests have to finish after the stop signal. [default: the server's own]",
)
@click.option("--certfile", type=_FILE, help="Certificate and its chain, PEM; the server then speaks TLS.")
@click.option("--keyfile", type=_FILE, help="Private key of the certificate, PEM.")
@click.option("--env-file", type=_FILE, help="File with environment variables, NAME=VALUE; set ones are kept.")
@click.option("--traceback", is_flag=True, help="Show the traceback if the application cannot be imported.")
@click.option("--dry-run", is_flag=True, help="Print the server's command instead of running it.")
def command(
    target: str | None,
    config: str | None,
    arguments: tuple[str, ...],
    server: str | None,
    bind: str,
    workers: int | None,
    threads: int | None,
    host: str | None,
    port: int | None,
    reload: bool,
    keep_alive: int | None,
    graceful_timeout: int | None,
    certfile: str | None,
    keyfile: str | None,
    env_file: str | None,
    traceback: bool,
    app_dir: str | None,
    factory: bool,
    dry_run: bool,
) -> None:
    """Serve an application, WSGI or ASGI, under a server of either kind.

    MODULE:ATTRIBUTE names the application as an import string: shop:app, shop.web:site.app, shop:create_app(). Without
    an attribute it is the module's Gateway or Mount, else app or application. A Django project is mysite.wsgi or
    mysite.asgi.

    Without MODULE, gateway.toml or [tool.gateway] in pyproject.toml names the application and the server; so does
    --config FILE. Command-line options override the file. In a folder with the manage.py of a Django project and
    without such a file, the project is served.

    \b
    gateway run shop:app
    gateway run shop:app --server waitress --bind 0.0.0.0:8080
    gateway run shop:create_app() --server gunicorn --workers 4 -- --timeout 60
    """
    if env_file is not None:
        _read_environment(env_file)
    if keyfile is not None and certfile is None:
        raise click.UsageError("--keyfile needs --certfile, the certificate of the key")
    bind_given = click.get_current_context().get_parameter_source("bind") is not ParameterSource.DEFAULT
    if host is not None or port is not None:
        if bind_given:
            raise click.UsageError("--bind already names the address; remove --host and --port")
        bind, bind_given = str(Bind(host=(host or "127.0.0.1").strip("[]"), port=8000 if port is None else port)), True
    chosen_source = source(target, config, app_dir, factory=factory)
    if chosen_source is None:
        raise ConfigurationError(
            f"no application given: run `gateway run MODULE:APP`, or add gateway.toml (or [tool.gateway] in "
            f"pyproject.toml) to {Path(app_dir or '.').absolute()}, which has no manage.py of a Django project either"
        )
    # These add the place of a wrong value to its error.
    at_server: AbstractContextManager[None] = nullcontext()
    at_bind: AbstractContextManager[None] = nullcontext()
    folder = app_dir and str(chosen_source.folder)
    if (file := chosen_source.config) is not None:
        folder = str(chosen_source.folder)
        if server is None and file.server.name is not None:
            server, at_server = file.server.name, file.at("server")
        workers = workers or file.server.workers
        threads = threads or file.server.threads
        arguments = arguments or file.server.arguments
        if not bind_given:
            bind, at_bind = file.server.bind or bind, file.at("server.bind")
    with at_bind:
        address = Bind.parse(bind)
    launch = Launch(
        target=INDIRECT,
        bind=address,
        workers=workers,
        threads=threads,
        reload=reload,
        app_dir=folder,
        arguments=arguments,
        keep_alive=keep_alive,
        graceful_timeout=graceful_timeout,
        certfile=certfile and str(Path(certfile).absolute()),
        keyfile=keyfile and str(Path(keyfile).absolute()),
    )
    try:
        found, application = chosen_source.load()
    except ConfigurationError as error:
        if traceback and error.__cause__ is not None:
            click.echo("".join(format_exception(error.__cause__)), err=True, nl=False)
        elif error.__cause__ is not None:
            raise ConfigurationError(f"{error}; --traceback shows the whole traceback") from error
        raise
    interface = detect(application)
    with at_server:
        chosen, launch = plan(found, application, interface, launch, server)
        to_run = chosen.command(launch)
    if dry_run:
        click.echo(str(to_run))
        return
    if reason := launch.bind.unavailable():
        raise ConfigurationError(f"{reason}, or choose another address with --bind")
    how = "" if interface == chosen.interface else f" as {chosen.interface.upper()}"
    click.echo(f"{found} speaks {interface.upper()}; {chosen.name} serves it{how} on {launch.bind}", err=True)
    if gunicorn.lacks_hooks(chosen, launch):
        wanted = "gunicorn_hooks" if launch.believes_proxies else "gunicorn_proxied"
        click.echo(
            f"your Gunicorn configuration lacks the hooks that {found} needs; add this line to that file: "
            f"from gateway.servers.{wanted} import *",
            err=True,
        )
    _become(to_run)


def plan(
    target: Target, application: object, interface: Interface, launch: Launch, name: str | None
) -> tuple[Server, Launch]:
    """Choose the server and the object that it imports: the application itself, or the wrapped application.

    Args:
        target: The import string of the application.
        application: The application that ``target`` names.
        interface: Interface of the application.
        launch: The options of the user.
        name: A server or a family of servers; None means any.

    Raises:
        ConfigurationError: The server does not exist, is not installed, or does not support the options.
    """
    server = choose(interface, launch, name, websockets=needs_websockets(application, interface))
    if launch.keep_alive is None and "keep_alive" in server.options and not gunicorn.configured(server, launch):
        launch = replace(launch, keep_alive=KEEP_ALIVE)
    launch = replace(
        launch,
        access_log=not any(isinstance(each, AccessLog) for each in middleware(application)),
        # A chain has middleware to start and stop, and signals to catch. Gunicorn's asgi worker needs the hooks for any
        # application, because without them it waits for idle connections when it stops.
        hooks=interface != server.interface or isinstance(application, Dual) or server.name == "gunicorn-asgi",
        believes_proxies=not reads_forwarded(application),
    )
    if not server.capabilities.serves_asgi and (interface != "wsgi" or _has_asgi(application)):
        raise ConfigurationError(
            f"{server.name} cannot serve ASGI applications or ASGI middleware, and {target} contains one: "
            "gevent replaces the threads that ASGI needs. Choose --server gunicorn-gthread or --server "
            "gunicorn-asgi"
        )
    if interface == "rsgi" and server.interface != "rsgi":
        raise ConfigurationError(
            f"{target} is an RSGI application, and only granian serves RSGI, not {server.name}; choose "
            "--server granian-rsgi"
        )
    if _told_directly(server, target, application, interface):
        return server, replace(launch, target=str(target))
    return server, replace(launch, environment={**launch.environment, VARIABLE: str(target)})


def needs_websockets(application: object, interface: Interface) -> bool:
    """Whether the application serves WebSockets, as far as its interface and its chain show it."""
    return interface in ("asgi", "asgi2") or any(
        each._for_websockets() is not None or each.explain().gives_socket for each in gateways(application)
    )


def _has_asgi(application: object) -> bool:
    """Whether any part of the application runs through an ASGI-to-WSGI adapter when a WSGI server calls it."""
    return any(issubclass(type(each), AsgiToWsgi) for each in applications(application)) or any(
        each.explain().as_dict()["servers"]["wsgi"]["adapters"] for each in gateways(application)
    )


def _told_directly(server: Server, target: Target, application: object, interface: Interface) -> bool:
    """Whether the server can import the application by itself, and will then call it in the right interface."""
    if target.call or (len(target.names) > 1 and not server.dotted):
        return False
    if isinstance(application, Dual) and not is_proxy(application):
        return True
    if interface != server.interface:
        return False
    # Servers with several interfaces call an application as ASGI only if it looks asynchronous.
    return interface != "asgi" or gives_coroutine(application)


def _become(command: Command) -> None:
    """Replace this process by the server; Windows cannot, so there wait for the server and exit with its status."""
    environment = {**os.environ, **command.environment}
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        sys.exit(supervise(command.argv, environment))
    # This ends the threads that the application's module has started; the server imports the module again.
    os.execvpe(command.argv[0], command.argv, environment)


def supervise(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command as a child, pass stop signals on to it, and return its exit status.

    Windows has no ``exec``. There Ctrl-C reaches the child by itself, because it has the same console; this process
    only has to outlive it. Any other stop signal is sent to the child.
    """
    stops = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        stops.append(signal.SIGBREAK)
    with subprocess.Popen(argv, env=environment) as child:

        def stop(signum: int, frame: object) -> None:
            if sys.platform != "win32":
                child.send_signal(signum)
            elif signum != signal.SIGINT:
                child.send_signal(signal.CTRL_BREAK_EVENT if signum == signal.SIGBREAK else signum)

        previous = {signum: signal.signal(signum, stop) for signum in stops}
        try:
            return child.wait()
        finally:
            for signum, handler in previous.items():
                signal.signal(signum, handler)


def _read_environment(file: str) -> None:
    """Set the variables of a file that the environment does not have yet."""
    try:
        from dotenv import dotenv_values
    except ModuleNotFoundError as error:
        raise MissingExtraError("--env-file", "standard", package="python-dotenv") from error
    for name, value in dotenv_values(file).items():
        if value is None:
            raise ConfigurationError(f"--env-file {file}: {name} has no value; write {name}=VALUE")
        os.environ.setdefault(name, value)
