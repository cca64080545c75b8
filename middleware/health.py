"""Health probes, and draining: take the instance out of rotation before it stops accepting requests.

``/livez`` only shows that the process responds, because an orchestrator kills a process that fails there. ``/readyz``
shows whether requests should come: every inner application has started, every check passes, and the process does not
drain. Under a WSGI server without hooks a probe starts the application, as a first request would. A file, SIGUSR1 or a
SIGTERM begins the draining; the SIGTERM is delayed by ``drain_seconds``. See ``_draining.py``.

Health does not send ``Connection: close`` while draining. It is a hop-by-hop header, so only the server may send it.

Sources: RFC 9110 sections 15.5.6 (405), 15.6.4 (503); Kubernetes "Liveness, Readiness and Startup Probes".
"""

from __future__ import annotations

import json
import signal
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from gateway._starting import LazyPart
from gateway.contract import BuildContext, Hooks, Middleware, Process, Steps, io
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.middleware._checks import Check, CheckResult, Checks
from gateway.middleware._draining import DRAINING, DrainFile
from gateway.middleware._options import check_options
from gateway.problems import problem

if TYPE_CHECKING:
    from gateway._starting import Startup
    from gateway.exchange import Request

__all__ = ["Check", "Health", "drain"]


def drain() -> None:
    """Start draining in this process, as the signals do. From now on the readiness probe gets 503."""
    DRAINING.begin()


def _no_checks() -> Mapping[str, Check]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Health(Middleware):
    """Respond to the probes of a load balancer or an orchestrator. List it before middleware that refuses or logs.

    A check is a function without arguments, plain or ``async``; it fails by raising or by returning False. Checks run
    concurrently, a plain check in a thread. On WSGI an ``async`` check runs on its own event loop, so it must not
    share connections with another loop.

    Args:
        live_path: Path below the mount point, or including it, like for all endpoints. Returns 200 as long as
            the process responds, during draining too; None removes the endpoint.
        ready_path: Returns 200 if the process is ready for requests, otherwise 503; None removes the endpoint.
        startup_path: Returns 200 after every inner application has started and every check of ``startup`` has
            passed; None removes the endpoint.
        checks: Checks for readiness, by name.
        startup: Checks that must pass once before the first readiness, and do not run again afterwards.
        timeout: Seconds for each check.
        cache: Seconds that results of the checks are cached; probes within this time do not start checks.
        detail: Send JSON with each check by name. Exceptions are logged, never shown.
        drain_file: While this file exists, the process drains. If the process cannot check the file, it keeps
            its last state, and the log gets one line with the reason.
        drain_signal: Start draining at SIGUSR1. Gunicorn's master also sends this signal to its workers, so
            that they reopen their logs.
        drain_seconds: At SIGTERM, drain for this time before the server's own handler gets the signal; with
            None, SIGTERM is not handled. The timeouts of the supervisor and the platform
            (``--graceful-timeout``, ``terminationGracePeriodSeconds``) must be longer.
    """

    before: ClassVar[tuple[str, ...]] = (
        "AccessLog: probes are not logged",
        "TrustedHost: probes use the server's address as host",
        "HttpsRedirect: probes are not redirected",
        "Cors: probes do not come from a browser",
        "RateLimit: probes are not limited",
        "Metrics: probes are not counted",
    )
    short_circuits: ClassVar[bool | None] = True

    live_path: str | None = "/livez"
    ready_path: str | None = "/readyz"
    startup_path: str | None = "/startupz"
    checks: Mapping[str, Check] = field(default_factory=_no_checks)
    startup: Mapping[str, Check] = field(default_factory=_no_checks)
    timeout: float = 1.0
    cache: float = 1.0
    detail: bool = False
    drain_file: str | None = None
    drain_signal: bool = False
    drain_seconds: float | None = None

    def __post_init__(self) -> None:
        check_options(self)
        paths = [path for path in (self.live_path, self.ready_path, self.startup_path) if path is not None]
        for path in paths:
            if not path.startswith("/"):
                raise ConfigurationError(f'Health: a path must start with "/", got {path!r}')
        if not paths or len(set(paths)) != len(paths):
            raise ConfigurationError(f"Health needs at least one path, and all its paths must differ, got {paths!r}")
        for option in ("checks", "startup"):
            for name, check in getattr(self, option).items():
                if not callable(check):
                    raise ConfigurationError(
                        f"Health({option}=...) must map names to functions, got {check!r} for {name!r}"
                    )
        if self.timeout <= 0:
            raise ConfigurationError(f"Health(timeout=...) must be above 0 seconds, got {self.timeout!r}")
        if self.cache < 0:
            raise ConfigurationError(f"Health(cache=...) must be at least 0 seconds, got {self.cache!r}")
        if self.drain_seconds is not None and self.drain_seconds <= 0:
            raise ConfigurationError(
                "Health(drain_seconds=...) must be above 0, or None so that SIGTERM is not handled, got "
                f"{self.drain_seconds!r}"
            )
        if self.drain_file is not None and (not self.drain_file or "\0" in self.drain_file):
            raise ConfigurationError(f"Health(drain_file=...) must be the path of a file, got {self.drain_file!r}")
        if self.drain_signal and not hasattr(signal, "SIGUSR1"):
            raise ConfigurationError("Health(drain_signal=True) needs SIGUSR1, which this system does not have")

    def build(self, context: BuildContext) -> Hooks:
        return _AnsweringProbes(self, context.startup)


class _AnsweringProbes(Hooks, LazyPart):
    def __init__(self, options: Health, application: Startup) -> None:
        self._options = options
        self._application = application
        self._file = DrainFile(options.drain_file) if options.drain_file is not None else None
        self._paths = {
            path: kind
            for path, kind in (
                (options.live_path, "live"),
                (options.ready_path, "ready"),
                (options.startup_path, "startup"),
            )
            if path is not None
        }
        self._signals = options.drain_seconds is not None or options.drain_signal
        self._served = False
        # The start runs as a check, so it has a thread and a time limit, and only one start runs at a time.
        self._started = Checks({"application": application}, timeout=options.timeout, cache=options.cache)
        self._startup = Checks(options.startup, timeout=options.timeout, cache=options.cache, once=True)
        self._checks = Checks(options.checks, timeout=options.timeout, cache=options.cache)

    # signals

    def on_start(self, process: Process) -> None:
        if not self.install() and not DRAINING.covers(
            seconds=self._options.drain_seconds, usr1=self._options.drain_signal
        ):
            instead = self._options.drain_file
            warnings.warn(
                "Health: signals cannot start draining here, because the first request runs in a thread "
                f"({threading.current_thread().name}) that is not the main thread; "
                + (f"use the drain file {instead!r}, which works" if instead else "use Health(drain_file=...)")
                + "; under Gunicorn, --config python:gateway.servers.gunicorn_hooks works too",
                RuntimeWarning,
                stacklevel=2,
            )

    def on_stop(self, process: Process) -> None:
        DRAINING.uninstall(self)

    def start(self) -> None:
        """Install the signal handlers if this thread may; called by a server's hook."""
        self.install()

    def install(self) -> bool:
        """Install the signal handlers of the options; return False if this thread must not."""
        if not self._signals:
            return True
        options = self._options
        return DRAINING.install(self, seconds=options.drain_seconds, usr1=options.drain_signal)

    # probes

    def on_request(self, request: Request) -> Steps[Response | None] | None:
        path = request.local_path
        kind = self._paths.get(path)
        if kind is None and request.root_path:  # the path of a probe may include the mount point
            kind = self._paths.get(request.path)
        if self._signals and (kind is not None or not self._served):
            self._served = True
            self.install()  # again, because a server may set its handlers or start its loop after on_start
        return None if kind is None else self._probe(request, kind)

    def _probe(self, request: Request, kind: str) -> Steps[Response | None]:
        if request.method not in ("GET", "HEAD"):
            return problem(
                request, 405, "Health endpoints support GET and HEAD only.", headers=[("Allow", "GET, HEAD")]
            )
        if kind == "live":
            return self._answer(True, "ok", {})
        if not self._application.settled:
            found = self._started.fresh()
            if found is None:
                found = yield from io(self._started.run, self._started.run_async)
            if not self._application.settled:
                state = found["application"].state
                return self._answer(False, "starting" if state == "timeout" else "failed", found)
        found = self._startup.fresh()
        if found is None:
            found = yield from io(self._startup.run, self._startup.run_async)
        if kind == "startup" or not _passed(found):
            return self._answer(_passed(found), "ok" if _passed(found) else "starting", found)
        if self._drains():  # before the checks, because a draining process need not run them
            return self._answer(False, "draining", {})
        found = self._checks.fresh()
        if found is None:
            found = yield from io(self._checks.run, self._checks.run_async)
        if self._drains():  # again, because draining may have begun while the checks ran
            return self._answer(False, "draining", {})
        return self._answer(_passed(found), "ok" if _passed(found) else "failing", found)

    def _drains(self) -> bool:
        return bool(DRAINING) or (self._file is not None and self._file.exists())

    def _answer(self, passed: bool, state: str, found: Mapping[str, CheckResult]) -> Response:
        fields = [("Cache-Control", "no-store")]
        if not self._options.detail:
            fields.append(("Content-Type", "text/plain; charset=utf-8"))
            return Response(200 if passed else 503, fields, f"{state}\n")
        checks = {name: {"status": each.state, "seconds": each.seconds} for name, each in found.items()}
        fields.append(("Content-Type", "application/json"))
        return Response(200 if passed else 503, fields, json.dumps({"status": state, "checks": checks}))


def _passed(found: Mapping[str, CheckResult]) -> bool:
    return all(each.passed for each in found.values())
