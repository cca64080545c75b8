"""Hazards of a deployment: settings that keep the specifications, but still lose requests, trust or numbers.

The checks are pure. They judge a `ServedDeployment`: the application, its server, the server's arguments and settings.
`facts` looks at an application object. Nothing here starts a server.

(Above 400 lines, because the rules are one table, with each rule beside its check.)

Sources: the servers' own sources and documentation, tested with the versions in this project's test suite.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import ProtocolViolation
from gateway.rules.table import Minor, Table

__all__ = ["RULES", "ServedDeployment", "facts", "hazards"]

RULES = Table("Deployment")
_NOTHING: dict[str, str] = {}
#: Default seconds for which a server keeps an idle connection, and the options that change them.
_KEEP_ALIVE = {
    "gunicorn": (2.0, ("--keep-alive",)),
    "uvicorn": (5.0, ("--timeout-keep-alive",)),
    "hypercorn": (5.0, ("--keep-alive",)),
}
#: Servers that SIGTERM ends at once, and their requests in flight with them.
_DROPS_ON_SIGTERM = ("waitress", "cheroot", "bjoern", "daphne")
#: Module that makes waitress and cheroot drain on SIGTERM, in a command of `gateway run`.
_DRAINS = "gateway.servers._drain_on_sigterm"
#: Signals that stop a server as process 1. SIGTERM and SIGINT stop the servers that are not listed here.
_STOPS_ON = {
    "waitress": ("SIGINT",),
    "cheroot": ("SIGINT",),
    "bjoern": ("SIGINT",),
    "gunicorn": ("SIGTERM", "SIGINT", "SIGQUIT"),
    "uwsgi": ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"),
    "pyuwsgi": ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"),
}
#: Options that make uWSGI listen for another protocol, or for HTTP through its router.
_OTHER_SOCKETS = ("--socket", "-s", "--uwsgi-socket", "--http", "--https", "--fastcgi-socket", "--scgi-socket")
#: Mode of a server's unix socket, and the options that change it.
_SOCKET_MODE = {
    "waitress": ("0600", ("--unix-socket-perms",)),
    "granian": ("0755", ("--uds-permissions",)),
    "hypercorn": ("0755", ("-m", "--umask")),
    "uwsgi": ("0755", ("--umask", "--chmod-socket")),
    "pyuwsgi": ("0755", ("--umask", "--chmod-socket")),
}
#: Value of a server's own Server header, the options that remove it, and the remedy.
_SERVER_HEADER = {
    "uvicorn": ("uvicorn", ("--no-server-header",), "add --no-server-header"),
    "waitress": ("waitress", ("--ident",), "add --ident="),
    "daphne": ("daphne", ("--no-server-name", "--server-name"), "add --no-server-name"),
    "hypercorn": (
        "hypercorn-h11",
        ("-c", "--config"),
        "set include_server_header = false in a file, and give that with --config",
    ),
}
_UWSGI_HOOKS = "gateway.servers.uwsgi_hooks"


@dataclass(frozen=True, kw_only=True)
class ServedDeployment:
    """An application, its server, and their settings.

    Attributes:
        server: The server's family: ``"gunicorn"``, ``"uvicorn"``; empty if unknown.
        kind: The server with its kind of worker: ``"gunicorn-asgi"``; empty if unknown.
        version: The server's version; empty if unknown.
        arguments: The arguments of the server's own command.
        settings: The settings that the server would have, with its configuration file, by its own names; empty if
            they cannot be read. ``hooks`` is set if the configuration imports this package's hooks.
        environment: The environment variables of the server.
        workers: The number of worker processes.
        idle_timeout: Seconds for which the load balancer in front keeps an idle connection.
        stop_signal: Signal that the supervisor sends to stop the server.
        process_1: The server is process 1 of a container.
        unix_socket: The server listens on a unix socket for a proxy that runs as another user.
        copied_call: The application is a function that carries another object's ``__call__``.
        accepts_nothing: The application can be called without an argument.
        threads: Names of the threads that started when the application was imported.
        reads_forwarded: The chain takes the client from ``X-Forwarded-*`` (`ProxyHeaders`).
        strips_server: The chain removes the Server header (`SecurityHeaders`).
        drains_by_signal: The chain catches signals to drain (`Health`).
        counts: The chain has `Metrics`.
        has_lifespan: The chain has an ASGI application inside, which needs a startup and a shutdown.
        metrics_folder: Fault of the folder in ``PROMETHEUS_MULTIPROC_DIR``: ``"does not exist"``; empty if it has
            none.
    """

    server: str = ""
    kind: str = ""
    version: str = ""
    arguments: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    workers: int = 1
    idle_timeout: float | None = None
    stop_signal: str = "SIGTERM"
    process_1: bool = False
    unix_socket: bool = False
    copied_call: bool = False
    accepts_nothing: bool = False
    threads: Sequence[str] = ()
    reads_forwarded: bool = False
    strips_server: bool = False
    drains_by_signal: bool = False
    counts: bool = False
    has_lifespan: bool = False
    metrics_folder: str = ""

    @property
    def hooks(self) -> bool:
        """Whether the server runs this package's hooks."""
        return bool(self.settings.get("hooks")) or any(_UWSGI_HOOKS in argument for argument in self.arguments)

    def seconds(self, setting: str, default: float, *options: str) -> float | None:
        """Return a setting, or the value of an option, in seconds; None if the value is not a number."""
        try:
            return float(self.settings.get(setting) or self.option(*options) or default)
        except ValueError:
            return None  # the server refuses it

    def option(self, *names: str) -> str | None:
        """Return the value of an option in the arguments: ``""`` for a flag, None if it is absent."""
        for number, argument in enumerate(self.arguments):
            name, equals, value = argument.partition("=")
            if name in names:
                following = self.arguments[number + 1 : number + 2]
                if equals:
                    return value
                return following[0] if following and not following[0].startswith("-") else ""
        return None


def facts(app: object, threads_before: Sequence[threading.Thread] | None = None) -> ServedDeployment:
    """Return the facts that an application object shows by itself.

    Args:
        app: The application. This calls it without arguments, as uvicorn does to find factories.
        threads_before: The threads that ran before the import; with None the result has no threads.
    """
    new = [] if threads_before is None else [t.name for t in threading.enumerate() if t not in threads_before]
    return ServedDeployment(
        copied_call=inspect.isfunction(app) and "__call__" in vars(app),
        accepts_nothing=_accepts_nothing(app),
        threads=sorted(new),
    )


def _accepts_nothing(app: object) -> bool:
    if not callable(app):
        return False
    try:
        result: object = app()
    except TypeError:
        return False
    except Exception:  # it accepted the call without arguments, and failed later
        return True
    close = getattr(result, "close", None)
    if inspect.iscoroutine(result) and callable(close):
        close()  # it is never awaited, and Python would warn
    return True


def hazards(deployment: ServedDeployment) -> list[tuple[ProtocolViolation, bool]]:
    """Return the findings of the checks, each with True for an error or False for a warning."""
    found = [(rule, rule.check(deployment)) for rule in RULES]
    return [(rule.violation(what), rule.severity_of(what) == "error") for rule, what in found if what is not None]


@RULES.rule(
    "D01",
    "A wrapper does not have the attributes of the object that it wraps: functools.wraps copies an "
    "instance's `__call__`.",
    "hypercorn, hypercorn.utils.is_asgi; uvicorn, uvicorn.config.Config.load",
    "application",
    "deployment",
    seen="live",
)
def marks_are_the_applications_own(deployment: ServedDeployment) -> str | None:
    found = "a function with another object's __call__, so servers detect the wrong interface"
    return found if deployment.copied_call else None


@RULES.rule(
    "D02",
    "An application called without arguments raises TypeError; otherwise servers take it for a factory.",
    "uvicorn, uvicorn.config.Config.load",
    "application",
    "deployment",
    seen="live",
)
def application_is_no_factory(deployment: ServedDeployment) -> str | None:
    return "a call without arguments that did not raise TypeError" if deployment.accepts_nothing else None


@RULES.rule(
    "D03",
    "If the server forks after importing the application, the import starts no threads: they would not run "
    "in the workers.",
    "POSIX fork(); gunicorn settings, preload_app; uWSGI, The Art of Graceful Reloading",
    "application",
    "deployment",
    severity="warning",
    seen="live",
)
def no_threads_before_the_fork(deployment: ServedDeployment) -> str | None:
    gunicorn = deployment.server == "gunicorn" and (
        deployment.option("--preload", "--preload-app") is not None or deployment.settings.get("preload_app") == "True"
    )
    uwsgi = deployment.server in ("uwsgi", "pyuwsgi") and deployment.option("--lazy-apps", "--lazy") is None
    if not deployment.threads or not (gunicorn or uwsgi):
        return None
    return f"{', '.join(deployment.threads)} started on import, before {deployment.server} forks"


@RULES.rule(
    "D04",
    "The server trusts forwarded addresses from its proxies only, not from every client.",
    "gunicorn settings, forwarded_allow_ips; uvicorn settings, --forwarded-allow-ips; waitress, trusted_proxy",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def trust_is_not_for_everybody(deployment: ServedDeployment) -> str | None:
    if deployment.unix_socket:
        return None  # only the proxy can open the socket
    options = ("--forwarded-allow-ips", "--trusted-proxy")
    if deployment.option(*options) == "*" or "'*'" in deployment.settings.get("forwarded_allow_ips", ""):
        return "forwarded addresses are trusted from '*'; name the addresses of the proxies"
    reads = deployment.server in ("gunicorn", "uvicorn", "") and deployment.option(*options) is None
    trusted = deployment.environment.get("FORWARDED_ALLOW_IPS", "")
    if reads and "*" in [part.strip() for part in trusted.split(",")]:
        return f"FORWARDED_ALLOW_IPS={trusted}"
    daphne = deployment.server == "daphne" and deployment.option("--proxy-headers") is not None
    return "--proxy-headers, which trusts every client" if daphne else None


@RULES.rule(
    "D05",
    "A server keeps idle connections longer than the load balancer in front, which otherwise sends requests "
    "into closed connections.",
    "RFC 9112 9.3.1, 9.5; gunicorn settings, keepalive; uvicorn settings, --timeout-keep-alive",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def keep_alive_outlasts_the_load_balancer(deployment: ServedDeployment) -> str | None:
    known = _KEEP_ALIVE.get(deployment.server)
    if known is None or deployment.idle_timeout is None or deployment.kind == "gunicorn-sync":
        return None  # the sync worker announces that it closes each connection
    default, options = known
    seconds = deployment.seconds("keepalive", default, *options)
    if seconds is None or seconds > deployment.idle_timeout:
        return None
    idle = deployment.idle_timeout
    return (
        f"{deployment.server} closes an idle connection after {seconds:g} s, the load balancer after {idle:g} s; set "
        f"{options[0]} above {idle:g}"
    )


@RULES.rule(
    "D06",
    "hypercorn runs with one worker: with more, the first worker that stops makes it kill the others and "
    "their requests.",
    "hypercorn 0.18, hypercorn.run",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def hypercorn_has_one_worker(deployment: ServedDeployment) -> str | None:
    text = deployment.option("-w", "--workers")
    workers = int(text) if text and text.isdigit() else deployment.workers
    several = deployment.server == "hypercorn" and workers > 1
    return f"{workers} workers of hypercorn; start several instances of one worker instead" if several else None


@RULES.rule(
    "D07",
    "The stop signal lets running requests finish: waitress, cheroot, bjoern and daphne drop them on SIGTERM.",
    "waitress, waitress.runner; cheroot, cheroot.cli; daphne, daphne.server",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def stop_signal_drains(deployment: ServedDeployment) -> str | None:
    server = deployment.server
    if server not in _DROPS_ON_SIGTERM or deployment.stop_signal != "SIGTERM" or _DRAINS in deployment.arguments:
        return None
    remedy = {
        "daphne": "drain it first with Health(drain_file=...)",
        "bjoern": "stop it with SIGINT",
    }.get(server, "start it with gateway run, or stop it with SIGINT")
    return f"SIGTERM, on which {server} drops requests in flight; {remedy}"


@RULES.rule(
    "D08",
    "uWSGI runs behind a proxy that sends a Content-Length, because wsgi.input is empty for a chunked body.",
    "uWSGI, Managing Chunked input",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def uwsgi_is_not_given_chunks(deployment: ServedDeployment) -> str | None:
    facing = deployment.option("--socket", "--uwsgi-socket") is None
    uwsgi = deployment.server in ("uwsgi", "pyuwsgi")
    return (
        "uWSGI facing clients: a chunked body is empty; put NGINX in front, with uwsgi_pass"
        if uwsgi and facing
        else None
    )


@RULES.rule(
    "D09",
    "uWSGI before 2.0.27 runs the application's threads only with --enable-threads or --threads.",
    "uWSGI, Things to know: Threads",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def uwsgi_runs_threads(deployment: ServedDeployment) -> str | None:
    enabled = deployment.option("--enable-threads", "--threads") is not None
    version = tuple(int(part) for part in deployment.version.split(".")[:3] if part.isdecimal())
    old = deployment.server in ("uwsgi", "pyuwsgi") and () < version < (2, 0, 27)
    return f"uWSGI {deployment.version} without --enable-threads; add that option" if old and not enabled else None


@RULES.rule(
    "D10",
    "The proxy, which runs as another user, can open the unix socket.",
    "waitress, unix_socket_perms; granian, --uds-permissions; hypercorn, --umask; uWSGI, --chmod-socket",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def unix_socket_can_be_opened(deployment: ServedDeployment) -> str | None:
    known = _SOCKET_MODE.get(deployment.server)
    if known is None or not deployment.unix_socket or deployment.option(*known[1]) is not None:
        return None
    return f"the socket has mode {known[0]}, the default of {deployment.server}; set {known[1][-1]}"


@RULES.rule(
    "D11",
    "Process 1 of a container handles the stop signal; otherwise the kernel drops the signal.",
    "pid_namespaces(7), The namespace init process; waitress, waitress.runner; cheroot, cheroot.cli",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def process_1_handles_the_stop_signal(deployment: ServedDeployment) -> str | None:
    stops: tuple[str, ...] = ("SIGTERM", "SIGINT")
    if _DRAINS not in deployment.arguments:
        stops = _STOPS_ON.get(deployment.server, stops)
    if not deployment.process_1 or deployment.stop_signal in stops:
        return None
    instead = f"set STOPSIGNAL {stops[0]}" + (", or start it with gateway run" if "SIGTERM" not in stops else "")
    return f"{deployment.stop_signal}, which does not stop {deployment.server} as process 1; {instead}"


@RULES.rule(
    "D12",
    "The HTTP socket of uWSGI sends `Connection: close`, because it closes each connection and a proxy would reuse it.",
    "RFC 9112 9.6; uWSGI, Options: http-socket, add-header",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def uwsgi_announces_its_close(deployment: ServedDeployment) -> str | None:
    kept = deployment.server in ("uwsgi", "pyuwsgi") and deployment.idle_timeout is not None
    said = any(argument.lower().endswith("connection: close") for argument in deployment.arguments)
    if not kept or said or deployment.option(*_OTHER_SOCKETS) is not None:
        return None
    return 'connections are closed without notice; add --add-header "Connection: close"'


@RULES.rule(
    "D13",
    "The server passes `X-Forwarded-*` and the proxy's own address unchanged to a chain with `ProxyHeaders`.",
    "waitress, clear_untrusted_proxy_headers; uvicorn settings, --proxy-headers; daphne, --proxy-headers",
    "server",
    "deployment",
    seen="live",
)
def forwarded_headers_reach_the_chain(deployment: ServedDeployment) -> str | None:
    server, option = deployment.server, deployment.option
    if not deployment.reads_forwarded:
        return None
    if server == "waitress" and option("--trusted-proxy") is not None:
        return (
            "waitress with --trusted-proxy, so it replaces the proxy's address, and ProxyHeaders ignores the "
            "proxy's headers; remove that option and add --no-clear-untrusted-proxy-headers"
        )
    if server == "waitress" and option("--no-clear-untrusted-proxy-headers") is None:
        return (
            "waitress without --no-clear-untrusted-proxy-headers, so it removes X-Forwarded-* and an HTTPS "
            "redirect never ends; add that option, or start it with gateway run"
        )
    replaces = (
        "so it replaces the proxy's address, and ProxyHeaders ignores the proxy's headers, including the request id"
    )
    believed = option("--forwarded-allow-ips") or deployment.environment.get("FORWARDED_ALLOW_IPS", "")
    # A client on a unix socket has no address, so uvicorn trusts it only with "*".
    if server == "uvicorn" and option("--no-proxy-headers") is None and ("*" in believed or not deployment.unix_socket):
        return Minor(
            f"uvicorn without --no-proxy-headers: it trusts {believed or '127.0.0.1'}, {replaces}; add that "
            "option, or start it with gateway run"
        )
    if server == "daphne" and option("--proxy-headers") is not None:
        return Minor(f"daphne with --proxy-headers, {replaces}; remove that option")
    return None


@RULES.rule(
    "D14",
    "Gunicorn and uWSGI run the hooks of this package if the application needs them.",
    "gunicorn settings, Server Hooks; uWSGI, --import; prometheus_client, Multiprocess Mode",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def hooks_are_in_use(deployment: ServedDeployment) -> str | None:
    uwsgi = deployment.server in ("uwsgi", "pyuwsgi")
    if deployment.hooks or not (uwsgi or deployment.server == "gunicorn"):
        return None
    starts_by_itself = deployment.kind == "gunicorn-asgi"
    shared = bool(deployment.environment.get("PROMETHEUS_MULTIPROC_DIR"))
    lost = [
        consequence
        for consequence, missing in (
            (
                "the ASGI application starts at its first request, so a failed start is noticed too late",
                deployment.has_lifespan and not starts_by_itself,
            ),
            (
                "Health does not get the signals that start draining",
                deployment.drains_by_signal and not starts_by_itself and not uwsgi,
            ),
            ("Metrics keeps the files of workers that have ended", deployment.counts and shared and not uwsgi),
        )
        if missing
    ]
    if not lost:
        return None
    remedy = (
        f"--import {_UWSGI_HOOKS}"
        if uwsgi
        else "--config python:gateway.servers.gunicorn_hooks, or import the hooks in gunicorn.conf.py"
    )
    return f"{deployment.kind or deployment.server} without the hooks: {'; '.join(lost)}; add {remedy}"


@RULES.rule(
    "D15",
    "The server can create the folder PROMETHEUS_MULTIPROC_DIR, or write to it.",
    "prometheus_client, Multiprocess Mode",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def metrics_have_their_folder(deployment: ServedDeployment) -> str | None:
    folder, wrong = deployment.environment.get("PROMETHEUS_MULTIPROC_DIR"), deployment.metrics_folder
    if not folder or not deployment.counts or not wrong:
        return None
    return f"PROMETHEUS_MULTIPROC_DIR={folder} {wrong}; create the folder for the user that runs the server"


@RULES.rule(
    "D16",
    "Gunicorn's asgi worker keeps idle connections for less than its graceful timeout, or runs the hooks.",
    "gunicorn settings, keepalive, graceful_timeout; gunicorn.workers.gasgi, ASGIWorker._shutdown",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def asgi_worker_stops_in_time(deployment: ServedDeployment) -> str | None:
    if deployment.kind != "gunicorn-asgi" or deployment.hooks:
        return None
    kept = deployment.seconds("keepalive", 2.0, "--keep-alive")
    limit = deployment.seconds("graceful_timeout", 30.0, "--graceful-timeout")
    if kept is None or limit is None or kept < limit:
        return None
    return (
        f"--keep-alive {kept:g} s and --graceful-timeout {limit:g} s: with an idle connection, stopping takes "
        f"{limit:g} s and the application's shutdown does not run; add --config "
        "python:gateway.servers.gunicorn_hooks, which closes idle connections, or set --graceful-timeout "
        f"above {kept:g}"
    )


@RULES.rule(
    "D17",
    "If the chain has `SecurityHeaders`, which removes the Server header, the server does not add its own afterwards.",
    "uvicorn settings, --no-server-header; waitress, ident; daphne, --server-name; hypercorn, include_server_header",
    "server",
    "deployment",
    severity="warning",
    seen="live",
)
def server_header_is_not_sent(deployment: ServedDeployment) -> str | None:
    known = _SERVER_HEADER.get(deployment.server)
    if known is None or not deployment.strips_server:
        return None
    value, options, remedy = known
    return f"{deployment.server} sends Server: {value}; {remedy}" if deployment.option(*options) is None else None
