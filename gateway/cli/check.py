"""``gateway check``: find the rules that an application or a server breaks.

Exit status 0: every rule is kept; 1: a rule is broken, or the application failed; 2: the check could not run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import unquote
from xml.etree import ElementTree

import click
from click.core import ParameterSource

from gateway._version import __version__
from gateway.check.deployed import metrics_folder, version, with_chain
from gateway.check.deployed import settings as settings_of
from gateway.check.drive import drive_asgi, drive_wsgi
from gateway.check.probe import LIFESPAN, Broken, probe
from gateway.check.visitor import host_for, scheme_for, watched
from gateway.cli._check_files import check_files, files_of
from gateway.cli._command import ServerCommand, counted
from gateway.cli._source import named_options, source
from gateway.cli.run import plan
from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.hazards import HAZARDS
from gateway.hazards.server import RULES as SERVER_RULES
from gateway.hazards.server import Deployment, facts, hazards
from gateway.middleware._host import parse_host
from gateway.protocols import Application, detect
from gateway.rules import RULES, ClientObserver, Validator
from gateway.rules.table import blame
from gateway.servers import Bind, Launch, Running, Server, StartError, choose, families, get, start

__all__ = ["Finding", "command"]

#: Sentence and source of every rule that a report can name.
_RULES: dict[str, tuple[str, str]] = {
    **{rule.id: (rule.sentence, rule.source) for rule in (*RULES.values(), *SERVER_RULES)},
    **{rule.id: (rule.sentence, rule.source) for rule in HAZARDS},
}


@dataclass(frozen=True, order=True)
class Finding:
    """One line of the report.

    Attributes:
        rule: Id of the rule; ``"raised"`` if the application raised.
        severity: ``"error"`` or ``"warning"``.
        side: Side at fault.
        must: The sentence that must hold.
        found: Value or behaviour that the check found instead.
        source: Specification and section of the rule.
    """

    rule: str
    severity: str
    side: str
    must: str
    found: str
    source: str

    @classmethod
    def of(cls, violation: ProtocolViolation, *, error: bool) -> Finding:
        """Return the line of a violation."""
        severity = "error" if error else "warning"
        return cls(violation.rule, severity, violation.side, violation.must, violation.found, violation.source)


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
    "--server", metavar="NAME", help="Server to start with a probe; the report lists the rules that it breaks."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "junit", "sarif"]), default="text", show_default=True
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
    """
    files, target = files_of(targets)
    if files:
        given = [*_of_a_deployment(), *(["--server"] if server is not None else [])]
        if given:
            raise click.UsageError(f"files name their server and its deployment themselves: remove {', '.join(given)}")
        found_in_files = check_files(files, target, config, app_dir)
        click.echo(
            found_in_files.text()
            if form == "text"
            else found_in_files.json()
            if form == "json"
            else _FORMATS[form](found_in_files.subject, [Finding(*row) for row in found_in_files.rows()])
        )
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
    chosen = get(server) if server is not None and (named is None or server not in families()) else None
    deployment = Deployment()
    findings: list[Finding] = []
    if named is not None:
        before = threading.enumerate()
        # Standard output is only for the report, and an application may write its access log there.
        with redirect_stdout(sys.stderr):
            found, app = named.load()
            deployment = with_chain(facts(app, before), app)
            # The cast is safe, because detect() raises for objects that are not applications.
            findings += _application(cast(Application, app), interface, paths, host)
            launch = Launch(target=str(found), bind=Bind.parse(bind), workers=workers, arguments=arguments)
            spoken = detect(cast(Application, app), interface)
            if server is not None and chosen is None:
                chosen = choose(spoken, launch, server)
            if gateway_run and chosen is not None:
                _, launch = plan(found, app, spoken, launch, chosen.name)
                arguments = tuple(chosen.arguments(launch))
    elif gateway_run:
        raise click.UsageError("--gateway-run needs an application, MODULE:APP, because `gateway run` reads its chain")
    if chosen is not None:
        findings += _server(chosen)
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
    findings += [Finding.of(violation, error=error) for violation, error in hazards(deployment)]
    findings = sorted(set(findings))
    subject = f"server {server}" if named is None else target or str(named)
    click.echo(_FORMATS[form](subject, findings))
    failed = any(strict or finding.severity == "error" for finding in findings)
    click.get_current_context().exit(1 if failed else 0)


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


def _application(app: Application, interface: str | None, paths: Iterable[str], host: str | None) -> list[Finding]:
    """Call an application under the validator, and return its findings."""
    spoken = detect(app, interface)
    host, scheme = host or host_for(app), scheme_for(app)
    app, reached = watched(app, spoken)
    requests = [(method, path) for path in paths for method in ("GET", "HEAD")]
    validator = Validator(app, spoken, "collect")
    driver: Callable[..., list[str]] = drive_wsgi if spoken == "wsgi" else drive_asgi
    raised = driver(validator, requests, host=host, scheme=scheme)
    # Violations of the server are the driver's own, and the user did not ask for a check of the driver.
    found = [Finding.of(violation, error=True) for violation in validator.violations if violation.side != "server"]
    found += [Finding.of(violation, error=False) for violation in validator.warnings if violation.side != "server"]
    if reached is not None:
        missed = [path for path in paths if unquote(path.partition("?")[0]) not in reached]
        found += [_unreached(path, host, scheme) for path in missed]
    must = "An application sends a response to every request, for an error too"
    return found + [Finding("raised", "error", "application", must, text, "gateway check") for text in raised]


def _unreached(path: str, host: str, scheme: str) -> Finding:
    return Finding(
        "unreached",
        "warning",
        "middleware",
        "A request of the check reaches the application; choose another one with --host or --paths",
        f"{scheme}://{host}{path}, and a middleware answered it",
        "gateway check",
    )


def _server(server: Server) -> list[Finding]:
    """Start a server with the probe application, and return the rules that the server breaks."""
    if server.interface not in ("wsgi", "asgi"):
        raise ConfigurationError(
            f"the probe is a WSGI and ASGI application, and {server.name} calls {server.interface}"
        )
    with _probed(server) as running:
        broken = probe(_address(running.bind), server.interface)
    if server.interface == "asgi":
        observer = ClientObserver()
        observer.lifespan_unsupported(serves=_serves_without_lifespan(server))
        broken += [Broken(violation.rule, violation.found, "error") for violation in observer.violations]
    # A rule may bind both sides; a finding of a probe is the server's.
    return [Finding.of(RULES[b.rule].violation(blame("server", b.found)), error=b.severity == "error") for b in broken]


def _serves_without_lifespan(server: Server) -> bool:
    try:
        with _probed(server, {LIFESPAN: "raise"}):
            return True
    except StartError:
        return False


def _probed(server: Server, environment: dict[str, str] | None = None) -> Running:
    target = f"gateway.check.probe:{server.interface}"
    launch = Launch(target=target, bind=Bind(port=0), workers=1, environment=environment or {})
    return start(server, launch)


def _address(bind: Bind) -> tuple[str, int] | str:
    return bind.path if bind.path is not None else (bind.host, bind.port)


def _text(subject: str, findings: list[Finding]) -> str:
    lines = [f"{f.severity:7} {f.rule:4} {f.side}: {f.must}; found {f.found} ({f.source})" for f in findings]
    errors = sum(finding.severity == "error" for finding in findings)
    return "\n".join([*lines, f"{subject}: {counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"])


def _json(subject: str, findings: list[Finding]) -> str:
    return json.dumps({"subject": subject, "findings": [vars(finding) for finding in findings]}, indent=2)


def _junit(subject: str, findings: list[Finding]) -> str:
    """Write a test case for each rule, so that a report shows the checked rules as well as the broken ones."""
    broken: dict[str, list[Finding]] = {}
    for finding in findings:
        broken.setdefault(finding.rule, []).append(finding)
    names = [*_RULES, *(rule for rule in broken if rule not in _RULES)]
    failures = sum(any(f.severity == "error" for f in found) for found in broken.values())
    suite = ElementTree.Element(
        "testsuite", name=f"gateway check {subject}", tests=str(len(names)), failures=str(failures)
    )
    for name in names:
        case = ElementTree.SubElement(suite, "testcase", classname="gateway.rules", name=name)
        for finding in broken.get(name, []):
            tag = "failure" if finding.severity == "error" else "system-out"
            element = ElementTree.SubElement(case, tag)
            element.text = f"{finding.side}: {finding.must}; found {finding.found} ({finding.source})"
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _sarif(subject: str, findings: list[Finding]) -> str:
    rules = [
        {"id": id, "shortDescription": {"text": sentence}, "help": {"text": source}}
        for id, (sentence, source) in _RULES.items()
    ]
    results = [
        {
            "ruleId": finding.rule,
            "level": finding.severity,
            "message": {"text": f"{finding.side}: {finding.must}; found {finding.found} ({finding.source})"},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": subject}]}],
        }
        for finding in findings
    ]
    driver = {"name": "gateway check", "version": __version__, "rules": rules}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        },
        indent=2,
    )


_FORMATS: dict[str, Callable[[str, list[Finding]], str]] = {
    "text": _text,
    "json": _json,
    "junit": _junit,
    "sarif": _sarif,
}
