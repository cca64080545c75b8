"""``gateway check``: find the rules that an application or a server breaks.

Exit status 0: every rule is kept; 1: a rule is broken, or the application failed; 2: the check could not run.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import click
from click.core import ParameterSource

from gateway.check.cases.requests import REQUESTS, RequestCase
from gateway.check.deployed import metrics_folder, version, with_chain
from gateway.check.deployed import settings as settings_of
from gateway.check.drive import drive_asgi, drive_wsgi
from gateway.check.known import read_known
from gateway.check.report import FORMATS, Finding, Report, write
from gateway.check.servers import CheckedServer, check_command, check_server, check_url, is_command
from gateway.check.visitor import host_for, scheme_for, watched
from gateway.cli._check_files import check_files, files_of
from gateway.cli._command import ServerCommand
from gateway.cli._source import named_options, source
from gateway.cli.run import plan
from gateway.hazards.server import RULES as SERVER_RULES
from gateway.hazards.server import ServedDeployment, facts, hazards
from gateway.middleware._host import parse_host
from gateway.protocols import Application, detect
from gateway.rules import RULES, Validator
from gateway.servers import Bind, Launch, choose, families, get

__all__ = ["command"]

#: Methods that change nothing (RFC 9110 9.2.1).
_SAFE = ("GET", "HEAD", "OPTIONS")


def _paths(_: click.Context, __: click.Parameter, paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not path.startswith("/") or not path.isascii():
            raise click.BadParameter(
                f"{path!r} must start with '/' and be percent-encoded; write for example /caf%C3%A9?x=1"
            )
    return paths or ("/",)


def _host(_: click.Context, __: click.Parameter, host: str | None) -> str | None:
    if host is not None and parse_host(host) is None:
        raise click.BadParameter(f"{host!r} is not a host; write for example example.org or example.org:8443")
    return host


def _reports(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    found: list[tuple[str, Path]] = []
    for each in given:
        form, equals, file = each.partition("=")
        if form not in FORMATS or not equals or not file:
            raise click.BadParameter(
                f"{each!r} must be FORMAT=FILE with one of the formats {', '.join(FORMATS)}; "
                "write for example junit=conformance.xml"
            )
        found.append((form, Path(file)))
    return tuple(found)


def _signal(_: click.Context, __: click.Parameter, name: str) -> str:
    if name not in signal.Signals.__members__:
        raise click.BadParameter(f"unknown signal {name!r}; write for example SIGTERM, SIGINT or SIGQUIT")
    return name


@click.command("check", cls=ServerCommand, short_help="Check an application, or a server, against the specifications.")
@click.argument("targets", metavar="[MODULE[:ATTRIBUTE]] [FILE]...", nargs=-1)
@named_options
@click.option(
    "--paths", multiple=True, callback=_paths, help="Path to request; may be given several times.  [default: /]"
)
@click.option("--host", metavar="NAME", callback=_host, help="Host to request. [default: one that the chain allows]")
@click.option(
    "--interface", type=click.Choice(["wsgi", "asgi"]), help="Interface of the application, if it cannot be recognised."
)
@click.option(
    "--server",
    metavar="SERVER",
    help="Server to examine with a probe: a name, a command with {port} and {app}, or the URL of a server that runs "
    "gateway.check.probe:wsgi or :asgi. The report lists the rules that it breaks.",
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORMAT=FILE",
    callback=_reports,
    help="Also write the report in this format to a file; may be given several times.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="RULE=REASON",
    help="Rule not to report, with the reason; may be given several times.",
)
@click.option("--known", metavar="FILE", help="File of known violations; the check fails for new and for stale ones.")
@click.option(
    "--bodies",
    is_flag=True,
    help="Send the requests with a body, and those with unusual methods, too. They may change the application's data.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings too.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Number of worker processes of the deployment.")
@click.option("--bind", default="127.0.0.1:8000", help="Address of the deployment: HOST:PORT or unix:/PATH.")
@click.option(
    "--idle-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Idle timeout of the load balancer in front, in seconds.",
)
@click.option(
    "--gateway-run",
    is_flag=True,
    help="Check the command that `gateway run` builds, instead of the server's own command with only these arguments.",
)
@click.option(
    "--stop-signal",
    default="SIGTERM",
    show_default=True,
    callback=_signal,
    help="Signal that the process manager sends to stop the server.",
)
@click.option("--process-1", is_flag=True, help="The server runs as process 1 of a container, without an init process.")
def command(
    targets: tuple[str, ...],
    config: str | None,
    arguments: tuple[str, ...],
    paths: tuple[str, ...],
    host: str | None,
    interface: str | None,
    server: str | None,
    form: str,
    reports: tuple[tuple[str, Path], ...],
    ignore: tuple[str, ...],
    known: str | None,
    bodies: bool,
    strict: bool,
    app_dir: str | None,
    factory: bool,
    workers: int,
    bind: str,
    idle_timeout: float | None,
    stop_signal: str,
    gateway_run: bool,
    process_1: bool,
) -> None:
    """Check an application against the rules of WSGI, ASGI and HTTP, and its deployment for hazards.

    \b
    gateway check shop:app --paths / --paths /cart
    gateway check shop:app --server gunicorn-gthread --idle-timeout 60 -- --keep-alive 75
    gateway check shop:app --server waitress --gateway-run
    gateway check --server uvicorn --format sarif
    gateway check nginx.conf gunicorn.conf.py shop.service shop:app
    gateway check --server 'myserver --port {port} {app}' --interface asgi --known known.toml
    """
    files, target = files_of(targets)
    if files:
        given = [*_of_a_deployment(), *(["--server"] if server is not None else [])]
        if given:
            raise click.UsageError(f"files name their server and its deployment themselves: remove {', '.join(given)}")
        found_in_files = check_files(files, target, config, app_dir)
        report = Report(found_in_files.subject, [Finding(*row) for row in found_in_files.rows()])
        own = {"text": found_in_files.text, "json": found_in_files.json}
        click.echo(own[form]() if form in own else write(report, form))
        for kind, path in reports:
            _write_file(path, own[kind]() if kind in own else write(report, kind))
        click.get_current_context().exit(1 if found_in_files.findings or found_in_files.refused else 0)
    only_server = server is not None and target is None and config is None
    named = None if only_server else source(target, config, app_dir, factory=factory)
    if named is None and not only_server:
        raise click.UsageError(
            "no application or server given: name an application, MODULE:APP or --config FILE, or a server, "
            "--server NAME"
        )
    if server is None and (given := _of_a_deployment()):
        raise click.UsageError(
            f"{', '.join(given)}: these options describe the deployment of a server; name it with --server"
        )
    # The name of a family needs the application's interface to become one server.
    name = server if server is not None and not is_command(server) else None
    chosen = get(name) if name is not None and (named is None or name not in families()) else None
    deployment = ServedDeployment()
    findings: list[Finding] = []
    exercised: set[str] = set()
    checked = CheckedServer((), frozenset())
    if named is not None:
        before = threading.enumerate()
        # Standard output is only for the report, and an application may write its access log there.
        with redirect_stdout(sys.stderr):
            found, app = named.load()
            deployment = with_chain(facts(app, before), app)
            # The cast is safe, because detect() raises for objects that are not applications.
            cases = [case for case in REQUESTS if bodies or (case.body is None and case.method in _SAFE)]
            findings, exercised = _application(cast(Application, app), interface, paths, host, cases)
            launch = Launch(target=str(found), bind=Bind.parse(bind), workers=workers, arguments=arguments)
            spoken = detect(cast(Application, app), interface)
            if name is not None and chosen is None:
                chosen = choose(spoken, launch, name)
            if gateway_run and chosen is not None:
                _, launch = plan(found, app, spoken, launch, chosen.name)
                arguments = tuple(chosen.arguments(launch))
    elif gateway_run:
        raise click.UsageError("--gateway-run needs an application, MODULE:APP, because `gateway run` reads its chain")
    if server is not None and is_command(server):
        checked = _command(server, interface)
    elif chosen is not None:
        checked = check_server(chosen)
    if chosen is not None:
        settings = settings_of(chosen, arguments, app_dir)
        deployment = replace(
            deployment,
            server=chosen.family,
            kind=chosen.name,
            version=version(chosen),
            arguments=arguments,
            settings=settings,
            environment=dict(os.environ),
            metrics_folder=metrics_folder(),
            workers=workers,
            idle_timeout=idle_timeout,
            stop_signal=stop_signal,
            process_1=process_1,
            unix_socket=Bind.parse(bind).path is not None,
        )
    findings += checked.findings
    findings += [Finding.of(violation, error=error) for violation, error in hazards(deployment)]
    exercised |= checked.exercised | {rule.id for rule in SERVER_RULES if chosen is not None}
    accepted = read_known(known, dict(_reason(each) for each in ignore))
    broken = {finding.rule for finding in findings if finding.rule in accepted.reasons}
    findings = [finding for finding in findings if finding.rule not in accepted.reasons]
    findings += [_stale(message) for message in accepted.stale(broken, exercised)]
    report = Report(
        f"server {server}" if named is None else target or str(named),
        sorted(set(findings)),
        frozenset(exercised),
        checked.offered,
        checked.output,
        {rule: accepted.reasons[rule] for rule in sorted(broken)},
    )
    click.echo(write(report, form))
    for kind, path in reports:
        _write_file(path, write(report, kind))
    failed = any(strict or finding.severity == "error" for finding in findings)
    click.get_current_context().exit(1 if failed else 0)


def _write_file(path: Path, text: str) -> None:
    """Write a report; the folder must exist.

    Raises:
        click.UsageError: The file cannot be written.
    """
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(
            f"--report cannot write {path} ({error.strerror}); name a file in a folder that exists"
        ) from error


def _of_a_deployment() -> list[str]:
    """List the options and arguments of this call that describe a server's deployment, not an application."""
    context = click.get_current_context()
    options = {
        "--workers": "workers",
        "--bind": "bind",
        "--idle-timeout": "idle_timeout",
        "--stop-signal": "stop_signal",
        "--gateway-run": "gateway_run",
        "--process-1": "process_1",
    }
    given = [
        option for option, name in options.items() if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    return [*given, *context.params["arguments"]]


def _application(
    app: Application, interface: str | None, paths: Iterable[str], host: str | None, cases: Sequence[RequestCase]
) -> tuple[list[Finding], set[str]]:
    """Call an application under the validator; return its findings, and the rules that bind it and were exercised."""
    spoken = detect(app, interface)
    host, scheme = host or host_for(app), scheme_for(app)
    app, reached = watched(app, spoken)
    validator = Validator(app, spoken, "collect")
    driver: Callable[..., list[str]] = drive_wsgi if spoken == "wsgi" else drive_asgi
    raised = driver(validator, paths, cases, host=host, scheme=scheme)
    # Violations of the server are the driver's own, and the user did not ask for a check of the driver.
    found = [Finding.of(violation, error=True) for violation in validator.violations if violation.side != "server"]
    found += [Finding.of(violation, error=False) for violation in validator.warnings if violation.side != "server"]
    if reached is not None:
        missed = [path for path in paths if unquote(path.partition("?")[0]) not in reached]
        found += [_unreached(path, host, scheme) for path in missed]
    must = "An application sends a response to every request, for an error too"
    found += [Finding("raised", "error", "application", must, text, "gateway check") for text in raised]
    return found, {rule for rule in validator.exercised if RULES[rule].side != "server"}


def _unreached(path: str, host: str, scheme: str) -> Finding:
    return Finding(
        "unreached",
        "warning",
        "middleware",
        "A request of the check reaches the application; choose another one with --host or --paths",
        f"{scheme}://{host}{path}, and a middleware answered it",
        "gateway check",
    )


def _command(server: str, interface: str | None) -> CheckedServer:
    """Examine a server that is a command or a URL."""
    if "://" in server and " " not in server:
        return check_url(server)
    if interface not in ("wsgi", "asgi"):
        raise click.UsageError("--server with a command needs --interface wsgi or --interface asgi")
    return check_command(server, "wsgi" if interface == "wsgi" else "asgi")


def _reason(text: str) -> tuple[str, str]:
    rule, _, reason = text.partition("=")
    return rule.strip(), reason.strip()


def _stale(message: str) -> Finding:
    must = "Each known violation still occurs"
    return Finding("stale", "error", "server", must, message, "gateway check")
