"""Read the configuration of uWSGI or NGINX Unit, and say what becomes of each option under another server.

uWSGI is in maintenance, and NGINX Unit is archived. Each option is *equal* (the same setting), *replaced* (another
layer does it), or has *no equivalent*, with the reason. An option that this table does not know is listed as unknown,
so that nothing disappears silently.

(Above 400 lines, if at all, because the tables of options are read together with their readers.)

Sources: uWSGI documentation, "uWSGI Options"; NGINX Unit documentation, "Configuration"; gunicorn settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from gateway.errors import ConfigurationError

__all__ = ["Moved", "Option", "moved"]


@dataclass(frozen=True)
class Option:
    """What becomes of one option.

    Attributes:
        name: The option as written, with its value.
        verdict: ``"equal"``, ``"replaced"``, ``"none"`` or ``"unknown"``.
        instead: The new setting, or the reason.
    """

    name: str
    verdict: str
    instead: str


@dataclass(frozen=True)
class Moved:
    """The old configuration, read.

    Attributes:
        numbers: Numbers for ``gateway generate``.
        command: The command of Gunicorn.
        options: Every option with its verdict.
    """

    numbers: Mapping[str, object]
    command: str
    options: tuple[Option, ...]

    def table(self) -> str:
        """Return the table for people."""
        width = max((len(option.name) for option in self.options), default=0)
        words = {"equal": "equal", "replaced": "replaced by", "none": "no equivalent", "unknown": "unknown"}
        return "\n".join(f"{o.name:{width}}  {words[o.verdict]:13}  {o.instead}" for o in self.options)


#: uWSGI's options: verdict, and the new setting; ``{}`` is the value.
_UWSGI: Final[Mapping[str, tuple[str, str]]] = {
    "module": ("equal", "{}"),
    "wsgi": ("equal", "{}"),
    "callable": ("equal", "part of MODULE:APP"),
    "wsgi-file": ("replaced", "MODULE:APP; put the folder of the file on --pythonpath"),
    "file": ("replaced", "MODULE:APP"),
    "mount": ("replaced", "gateway.Mount in the application"),
    "manage-script-name": ("replaced", "gateway.Mount in the application"),
    "processes": ("equal", "--workers {}"),
    "workers": ("equal", "--workers {}"),
    "threads": ("equal", "--threads {}"),
    "enable-threads": ("replaced", "always on"),
    "cheaper": ("none", "Gunicorn has a fixed number of workers: scale by more containers"),
    "cheaper-algo": ("none", "as cheaper"),
    "cheaper-initial": ("none", "as cheaper"),
    "cheaper-overload": ("none", "as cheaper"),
    "cheaper-step": ("none", "as cheaper"),
    "socket": ("replaced", "--bind {}, and proxy_pass instead of uwsgi_pass"),
    "uwsgi-socket": ("replaced", "--bind {}, and proxy_pass instead of uwsgi_pass"),
    "http": ("equal", "--bind {}"),
    "http-socket": ("equal", "--bind {}"),
    "https": ("replaced", "TLS ends in NGINX, Caddy or the load balancer"),
    "chmod-socket": ("replaced", "SocketMode= of the systemd socket unit, or --umask"),
    "chown-socket": ("replaced", "SocketUser= and SocketGroup= of the systemd socket unit"),
    "master": ("replaced", "always on"),
    "vacuum": ("replaced", "always on; systemd holds the socket"),
    "die-on-term": ("replaced", "SIGTERM drains by default"),
    "need-app": ("replaced", "Gunicorn ends if the application cannot be imported"),
    "single-interpreter": ("replaced", "always so"),
    "lazy-apps": ("replaced", "the default: the application is imported after the fork"),
    "lazy": ("replaced", "the default"),
    "strict": ("none", "Gunicorn ignores unknown settings; run gateway check"),
    "harakiri": ("equal", "--timeout {}; it does not end a request in a thread"),
    "harakiri-verbose": ("none", "the traceback of a worker that is killed is in the log"),
    "http-timeout": ("replaced", "proxy_read_timeout of NGINX"),
    "socket-timeout": ("replaced", "client_body_timeout of NGINX"),
    "http-keepalive": ("equal", "--keep-alive"),
    "so-keepalive": ("none", "the proxy's connections are on this machine"),
    "add-header": ("replaced", "a middleware, or add_header of NGINX"),
    "max-requests": ("equal", "--max-requests {}, with --max-requests-jitter"),
    "max-requests-delta": ("equal", "--max-requests-jitter {}"),
    "max-worker-lifetime": ("replaced", "--max-requests"),
    "min-worker-lifetime": ("none", "Gunicorn has no such setting"),
    "worker-reload-mercy": ("equal", "--graceful-timeout {}"),
    "reload-mercy": ("equal", "--graceful-timeout {}"),
    "mule-reload-mercy": ("none", "as mule"),
    "reload-on-rss": ("replaced", "MemoryMax= of systemd, or the memory limit of the container"),
    "evil-reload-on-rss": ("replaced", "MemoryMax= of systemd, or the memory limit of the container"),
    "limit-as": ("replaced", "MemoryMax= of systemd, or the memory limit of the container"),
    "listen": ("equal", "--backlog {}"),
    "buffer-size": ("equal", "--limit-request-line and --limit-request-field-size, 8190 at most"),
    "post-buffering": ("replaced", "proxy_request_buffering of NGINX, on by default"),
    "limit-post": ("replaced", "client_max_body_size {} of NGINX, and BodyLimit"),
    "ignore-sigpipe": ("none", "not needed"),
    "ignore-write-errors": ("none", "not needed"),
    "disable-write-exception": ("none", "not needed"),
    "thunder-lock": ("none", "not needed: the kernel wakes one worker"),
    "uid": ("replaced", "User={} of the systemd service"),
    "gid": ("replaced", "Group={} of the systemd service"),
    "chdir": ("equal", "--chdir {}; WorkingDirectory= of the unit"),
    "pythonpath": ("equal", "--pythonpath {}"),
    "python-path": ("equal", "--pythonpath {}"),
    "virtualenv": ("replaced", "the gunicorn command of that environment: {}/bin/gunicorn"),
    "venv": ("replaced", "the gunicorn command of that environment: {}/bin/gunicorn"),
    "home": ("replaced", "the gunicorn command of that environment: {}/bin/gunicorn"),
    "env": ("equal", "--env {}; Environment= of the unit"),
    "plugins": ("none", "Gunicorn needs no plugin for Python"),
    "plugin": ("none", "Gunicorn needs no plugin for Python"),
    "pidfile": ("equal", "--pid {}; systemd needs none"),
    "safe-pidfile": ("equal", "--pid {}; systemd needs none"),
    "daemonize": ("replaced", "systemd keeps the process; the log goes to the journal"),
    "logto": ("replaced", "--error-logfile {}, or the journal"),
    "logger": ("replaced", "Python's logging"),
    "log-format": ("replaced", "AccessLog of the chain"),
    "log-encoder": ("replaced", "AccessLog of the chain writes JSON"),
    "log-x-forwarded-for": ("replaced", "ProxyHeaders of the chain"),
    "log-master": ("replaced", "always so"),
    "log-maxsize": ("replaced", "the journal, or logrotate"),
    "log-4xx": ("replaced", "AccessLog of the chain"),
    "log-5xx": ("replaced", "AccessLog of the chain"),
    "disable-logging": ("replaced", "accesslog = None is the default"),
    "procname-prefix": ("equal", "--name {}"),
    "auto-procname": ("equal", "--name"),
    "static-map": ("replaced", "location of NGINX, or StaticFiles"),
    "check-static": ("replaced", "location of NGINX, or StaticFiles"),
    "static-expires": ("replaced", "expires of NGINX, or StaticFiles"),
    "offload-threads": ("replaced", "NGINX serves files"),
    "touch-reload": ("replaced", "systemctl reload"),
    "py-autoreload": ("equal", "--reload, in development only"),
    "stats": ("replaced", "Metrics of the chain"),
    "stats-http": ("replaced", "Metrics of the chain"),
    "memory-report": ("replaced", "Metrics of the chain"),
    "emperor": ("replaced", "one systemd unit for each application"),
    "vassal-sos": ("none", "as emperor"),
    "spooler": ("none", "a task queue: Celery, RQ, Dramatiq"),
    "mule": ("none", "a process of its own: a systemd unit, or a task queue"),
    "mules": ("none", "a process of its own: a systemd unit, or a task queue"),
    "cron": ("replaced", "a systemd timer, or a CronJob of Kubernetes"),
    "cron2": ("replaced", "a systemd timer, or a CronJob of Kubernetes"),
    "attach-daemon": ("replaced", "a systemd unit, or a container"),
    "cache2": ("none", "Redis, or a cache of the framework"),
    "gevent": ("equal", "--worker-class gevent --worker-connections {}"),
    "gevent-monkey-patch": ("replaced", "the gevent worker does it"),
    "async": ("replaced", "--worker-class gevent"),
    "ugreen": ("none", "the gevent worker"),
    "asyncio": ("replaced", "--worker-class asgi, with an ASGI application"),
    "http-websockets": ("replaced", "an ASGI application, or Gateway(websockets=True)"),
    "route": ("replaced", "NGINX, or a middleware"),
    "hook-master-start": ("replaced", "SIGTERM drains by default"),
    "py-call-osafterfork": ("replaced", "always so"),
    "no-orphans": ("replaced", "always so"),
    "reuse-port": ("equal", "--reuse-port"),
    "prometheus": ("replaced", "Metrics of the chain"),
}
_UNIT: Final[Mapping[str, tuple[str, str]]] = {
    "type": ("replaced", "Python of the environment that runs gunicorn"),
    "module": ("equal", "{}"),
    "callable": ("equal", "part of MODULE:APP"),
    "factory": ("equal", "MODULE:FACTORY()"),
    "protocol": ("equal", "--worker-class gthread for wsgi, asgi for asgi"),
    "path": ("equal", "--pythonpath {}"),
    "home": ("replaced", "the gunicorn command of that environment: {}/bin/gunicorn"),
    "processes": ("equal", "--workers {}"),
    "threads": ("equal", "--threads {}"),
    "thread_stack_size": ("none", "Gunicorn has no such setting"),
    "working_directory": ("equal", "--chdir {}; WorkingDirectory= of the unit"),
    "environment": ("equal", "Environment= of the unit"),
    "user": ("replaced", "User={} of the systemd service"),
    "group": ("replaced", "Group={} of the systemd service"),
    "limits.timeout": ("equal", "--timeout {}"),
    "limits.requests": ("equal", "--max-requests {}, with --max-requests-jitter"),
    "prefix": ("replaced", "gateway.Mount in the application"),
    "targets": ("replaced", "gateway.Mount in the application, or one unit for each target"),
    "isolation": ("replaced", "the sandbox settings of the systemd service"),
    "stdout": ("replaced", "the journal"),
    "stderr": ("replaced", "the journal"),
    "listeners": ("replaced", "listen of NGINX, and --bind"),
    "routes": ("replaced", "location of NGINX"),
    "upstreams": ("replaced", "upstream of NGINX"),
    "settings.http.max_body_size": ("replaced", "client_max_body_size {} of NGINX, and BodyLimit"),
    "settings.http.idle_timeout": ("replaced", "keepalive_timeout of NGINX"),
    "settings.http.header_read_timeout": ("replaced", "client_header_timeout of NGINX"),
    "settings.http.body_read_timeout": ("replaced", "client_body_timeout of NGINX"),
    "settings.http.send_timeout": ("replaced", "send_timeout of NGINX"),
    "settings.http.server_version": ("replaced", "server_tokens off of NGINX"),
    "access_log": ("replaced", "AccessLog of the chain"),
}


def moved(path: Path) -> Moved:
    """Read ``uwsgi.ini`` or ``unit.json``.

    Raises:
        ConfigurationError: The file cannot be read, or is neither.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    if path.suffix == ".json" or text.lstrip().startswith("{"):
        return _unit(text, path)
    if re.search(r"^\s*\[uwsgi\]", text, re.M):
        return _uwsgi(text)
    raise ConfigurationError(f"{path}: is neither uWSGI's ini file, which has [uwsgi], nor NGINX Unit's JSON")


def _uwsgi(text: str) -> Moved:
    values: dict[str, list[str]] = {}
    options: list[Option] = []
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        if section != "uwsgi":
            continue
        name, _, value = (part.strip() for part in line.partition("="))
        name = name.replace("_", "-")
        if name.startswith(("if-", "end", "for", "set-ph", "set-placeholder", "ini", "include")):
            options.append(Option(line, "unknown", "a directive of the file itself: write its result"))
            continue
        values.setdefault(name, []).append(value)
        options.append(_judged(_UWSGI, name, value, f"{name} = {value}" if value else name))
    first = {name: given[0] for name, given in values.items()}
    numbers: dict[str, object] = {}
    module = first.get("module") or first.get("wsgi") or ""
    target = module if ":" in module else f"{module}:{first.get('callable', 'application')}" if module else ""
    if target:
        numbers["application"] = target
    _count(numbers, "workers", first.get("processes") or first.get("workers"))
    _count(numbers, "threads", first.get("threads"))
    _count(numbers, "max_bytes", first.get("limit-post"))
    if first.get("harakiri", "").isdecimal():
        numbers["longest_request"] = max(1, (int(first["harakiri"]) - 10) // 2)
    for name, option in (("user", "uid"), ("folder", "chdir")):
        if re.fullmatch(r"[A-Za-z0-9._/-]+", first.get(option, "")):
            numbers[name] = first[option]
    bind = first.get("http-socket") or first.get("http") or first.get("socket") or first.get("uwsgi-socket") or ""
    worker = ["--worker-class", "gevent"] if "gevent" in first else []
    worker += _recycled(first.get("max-requests", ""), first.get("max-requests-delta", ""))
    if first.get("listen", "").isdecimal():
        worker += ["--backlog", first["listen"]]
    return Moved(numbers, _command(numbers, bind, first.get("harakiri"), worker), tuple(options))


def _recycled(most: str, jitter: str) -> list[str]:
    """Return the options that replace workers, never all at once (R31)."""
    if not most.isdecimal():
        return []
    spread = jitter if jitter.isdecimal() else str(max(1, int(most) // 10))
    return ["--max-requests", most, "--max-requests-jitter", spread]


def _judged(table: Mapping[str, tuple[str, str]], name: str, value: str, written: str) -> Option:
    verdict, instead = table.get(name, ("unknown", "this table does not know it: look it up"))
    return Option(written, verdict, instead.replace("{}", value))


def _count(numbers: dict[str, object], name: str, text: str | None) -> None:
    if text is not None and text.isdecimal() and int(text) > 0:
        numbers[name] = int(text)


def _command(numbers: Mapping[str, object], bind: str, timeout: str | None, worker: list[str]) -> str:
    words = ["gunicorn", *worker]
    if bind:
        words += [
            "--bind",
            f"unix:{bind}" if bind.startswith("/") else f"0.0.0.0{bind}" if bind.startswith(":") else bind,
        ]
    for name in ("workers", "threads"):
        if name in numbers and not (name == "threads" and "--worker-class" in worker):
            words += [f"--{name}", str(numbers[name])]
    if timeout is not None and timeout.isdecimal():
        words += ["--timeout", timeout]
    return " ".join([*words, str(numbers.get("application", "MODULE:APP"))])


def _unit(text: str, path: Path) -> Moved:
    try:
        whole: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path}:{error.lineno}: is not JSON: {error.msg}") from error
    config = cast("Mapping[str, object]", whole) if isinstance(whole, dict) else dict[str, object]()
    applications = config.get("applications")
    if not isinstance(applications, dict) or not applications:
        raise ConfigurationError(
            f"{path}: has no applications: give the configuration of NGINX Unit, as its API shows it"
        )
    found = cast("Mapping[str, Mapping[str, object]]", applications)
    python = {name: app for name, app in found.items() if str(app.get("type", "")).startswith("python")}
    if not python:
        raise ConfigurationError(f"{path}: has no application of the type python")
    name, app = next(iter(python.items()))
    options = [_judged(_UNIT, key, value, f"{key}: {value}") for key, value in _flat(app)]
    options += [_judged(_UNIT, key, "", key) for key in config if key not in ("applications", "settings")]
    settings = config.get("settings")
    if isinstance(settings, dict):
        flat = _flat(cast("Mapping[str, object]", settings), "settings.")
        options += [_judged(_UNIT, key, value, f"{key}: {value}") for key, value in flat]
    options += [
        Option(f"application {other}", "unknown", "run the command for each application")
        for other in found
        if other != name
    ]
    numbers: dict[str, object] = {}
    if isinstance(app.get("module"), str):
        numbers["application"] = f"{app['module']}:{app.get('callable', 'application')}"
    processes = app.get("processes")
    if isinstance(processes, dict):
        processes = cast("Mapping[str, object]", processes).get("max")
    _count(numbers, "workers", str(processes) if processes is not None else None)
    _count(numbers, "threads", str(app["threads"]) if "threads" in app else None)
    asgi = app.get("protocol") == "asgi"
    numbers["interface"] = "asgi" if asgi else "wsgi"
    limits = app.get("limits")
    timeout = cast("Mapping[str, object]", limits).get("timeout") if isinstance(limits, dict) else None
    listeners = config.get("listeners")
    bind = next(iter(cast("Mapping[str, object]", listeners)), "") if isinstance(listeners, dict) else ""
    requests = cast("Mapping[str, object]", limits).get("requests", "") if isinstance(limits, dict) else ""
    # The asgi worker loses requests when it is replaced.
    worker = ["--worker-class", "asgi"] if asgi else _recycled(str(requests), "")
    return Moved(
        numbers,
        _command(numbers, bind.replace("*:", "0.0.0.0:"), str(timeout) if timeout is not None else None, worker),
        tuple(options),
    )


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        shown = str(value)
        if isinstance(value, dict) and (prefix or key in ("limits",)):
            yield from _flat(cast("Mapping[str, object]", value), f"{prefix}{key}.")
        elif isinstance(value, dict | list) and key not in ("processes", "path"):
            yield f"{prefix}{key}", ""
        elif isinstance(value, dict):
            yield f"{prefix}{key}", str(cast("Mapping[str, object]", value).get("max", ""))
        else:
            yield f"{prefix}{key}", shown
