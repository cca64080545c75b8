"""The conformance suite for your own application, middleware, adapter or server: `battery`.

    battery(app)                                    a framework's application
    battery(middleware=Compression, interface="asgi")
    battery(adapter=WsgiToAsgi, interface="wsgi")   it adapts WSGI applications
    battery(server="uvicorn")

Every case is a request, or a few, under a validator on each side. Some cases have a fault. A case fails by a violation,
by an exception that it does not expect, or by a leak. It also fails if a response differs from the direct response
although the subject must not change it. The rules are those of `gateway.rules`; the report names each broken rule.

Sources: ASGI 3.0, HTTP 2.5; PEP 3333; for a server RFC 9110 and RFC 9112.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from gateway.check.cases.requests import REQUESTS, RequestCase
from gateway.check.known import Known, read_known
from gateway.check.report import Finding
from gateway.check.servers import check_server
from gateway.errors import ConfigurationError, GatewayError, ProtocolViolation
from gateway.protocols import Application, ASGIApplication, Interface, Message, WSGIApplication, detect
from gateway.rules.table import blame
from gateway.rules.tables import RULES
from gateway.rules.validator import Validator
from gateway.servers import Server
from gateway.servers import get as get_server
from gateway.testing._concurrency import ClientLoop
from gateway.testing._probes import PROBES
from gateway.testing._response import Response
from gateway.testing._verbs import RequestOptions
from gateway.testing.clients import Client
from gateway.testing.faults import BytesPerSecond, Fault
from gateway.testing.leaks import ClosingWatch

__all__ = ["BatteryFailed", "BatteryReport", "CaseResult", "battery"]


@dataclass(frozen=True)
class CaseResult:
    """One case and its result.

    Attributes:
        id: Name of the case: ``post-bytewise /form``.
        violations: The rules that were broken in it.
        error: Any other failure, in a sentence, or None.
        warnings: Findings against a *should* of a specification; they fail no case.
        output: Output of the server during the case, if the subject is a server.
    """

    id: str
    violations: tuple[ProtocolViolation, ...] = ()
    error: str | None = None
    warnings: tuple[ProtocolViolation, ...] = ()
    output: str = ""

    @property
    def passed(self) -> bool:
        """Whether the case has neither violations nor an error."""
        return not self.violations and self.error is None

    def __str__(self) -> str:
        lines = [f"{'ok' if self.passed else 'FAILED'} {self.id}"]
        lines += dict.fromkeys(f"    {violation}" for violation in self.violations)  # once, however often
        lines += [f"    {self.error}"] if self.error is not None else []
        lines += [f"    | {line}" for line in self.output.splitlines()]
        return "\n".join(lines)


@dataclass(frozen=True)
class BatteryReport:
    """All cases of one run."""

    subject: str
    cases: list[CaseResult] = field(default_factory=list[CaseResult])

    @property
    def failed(self) -> list[CaseResult]:
        """The cases that failed."""
        return [case for case in self.cases if not case.passed]

    @property
    def violations(self) -> list[ProtocolViolation]:
        """Every violation of every case."""
        return [violation for case in self.cases for violation in case.violations]

    @property
    def rules(self) -> set[str]:
        """The ids of the rules that were broken."""
        return {violation.rule for violation in self.violations}

    @property
    def ok(self) -> bool:
        """Whether every case passed."""
        return not self.failed

    def __str__(self) -> str:
        head = f"{self.subject}: {len(self.cases) - len(self.failed)} of {len(self.cases)} cases passed"
        warnings = {one.rule: one for case in self.cases for one in reversed(case.warnings)}
        return "\n".join([head, *map(str, self.failed), *(f"warning {one}" for one in warnings.values())])


class BatteryFailed(GatewayError, AssertionError):  # an AssertionError, because it is a finding of a test
    """At least one case failed; ``report`` contains all cases."""

    def __init__(self, report: BatteryReport) -> None:
        super().__init__(str(report))
        self.report = report


def battery(
    app: Application | None = None,
    *,
    middleware: Callable[[Application], Application] | None = None,
    adapter: Callable[[Application], Application] | None = None,
    server: str | Server | None = None,
    interface: Interface | None = None,
    paths: Sequence[str] = ("/",),
    transparent: bool = False,
    lifespan: bool = True,
    ignore: Mapping[str, str] | None = None,
    known: str | Path | None = None,
    raises: bool = True,
) -> BatteryReport:
    """Run the conformance suite on an application, a middleware, an adapter or a server.

    Args:
        app: An application; every case runs on each of ``paths``.
        middleware: Function that takes an application of ``interface``, a probe, and returns one of the same interface.
        adapter: Function that takes an application of ``interface`` and returns one of the other interface. The adapter
            must change nothing.
        server: A name of `gateway.servers`, or a `Server`. The suite starts it with a probe.
        interface: Interface of ``app``, if it cannot be detected; for ``middleware`` and ``adapter`` the wrapped one.
        paths: Paths of the application to request.
        transparent: The middleware must not change requests or responses; the suite compares with direct responses.
        lifespan: Whether to run the lifespan of an ASGI application.
        ignore: Rules that fail no case, each with the reason: ``{"E09": "Django keeps the case of header names"}``.
        known: File of known violations (`gateway.check.known`). An entry whose rule is kept fails the case ``known``.
        raises: Raise `BatteryFailed` if a case failed; otherwise only report.

    Returns:
        The report.

    Raises:
        BatteryFailed: A case failed, and ``raises`` is true.
        ConfigurationError: Not exactly one of the four subjects was given, ``paths`` is a string, not a list, or a
            known or ignored rule is unknown or has no reason.
    """
    accepted = read_known(known, ignore)
    given = [name for name, value in _named(app, middleware, adapter, server) if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"battery() takes exactly one of app, middleware, adapter and server, got {' and '.join(given) or 'none'}"
        )
    if isinstance(paths, str):
        raise ConfigurationError(f"battery(paths=...) must be a list of paths, got {paths!r}; write [{paths!r}]")
    if app is not None:
        report = _application(app, interface, paths, lifespan)
    elif server is not None:
        report = _server(get_server(server) if isinstance(server, str) else server)
    else:
        build = cast("Callable[[Application], Application]", middleware or adapter)
        report = _between(build, interface or "asgi", adapter is not None, transparent or adapter is not None, lifespan)
    report = _accepting(report, accepted)
    if raises and not report.ok:
        raise BatteryFailed(report)
    return report


def _accepting(report: BatteryReport, known: Known) -> BatteryReport:
    """Return the report without the known violations, and with a failed case for each stale entry."""
    found: set[str] = set()
    cases: list[CaseResult] = []
    for case in report.cases:
        both = (*case.violations, *case.warnings)
        found |= {violation.rule for violation in both if violation.rule in known.reasons}
        kept, warnings = (
            tuple(one for one in violations if one.rule not in known.reasons)
            for violations in (case.violations, case.warnings)
        )
        cases.append(replace(case, violations=kept, warnings=warnings))
    cases += [CaseResult("known", error=message) for message in known.stale(found)]
    return replace(report, cases=cases)


def _named(*values: object) -> Iterator[tuple[str, object]]:
    return zip(("app", "middleware", "adapter", "server"), values, strict=True)


def _options(case: RequestCase) -> RequestOptions:
    """Return the options of the client for a case."""
    options: RequestOptions = {}
    if case.headers:
        options["headers"] = list(case.headers)
    if case.body is not None:
        options["content"] = case.body[0] if len(case.body) == 1 else list(case.body)
    if case.leaves is not None:
        options["fault"] = Fault(disconnect=case.leaves.when, at=case.leaves.at, how=case.leaves.how)
    elif case.sizes:
        options["fault"] = Fault(request_chunks=case.sizes)
    elif case.slowly:
        options["fault"] = Fault(reader=BytesPerSecond(10_000_000))
    return options


def _application(app: Application, interface: Interface | None, paths: Sequence[str], lifespan: bool) -> BatteryReport:
    spoken = detect(app, interface)
    report = BatteryReport(f"the {spoken} application {app!r}")
    cases = [case for case in REQUESTS if not case.probe_only and not (case.sizes and spoken == "wsgi")]
    with Client(app, interface=spoken, validate="collect", lifespan=lifespan, follow_redirects=False) as client:
        for path in paths:
            for case in cases:
                report.cases.append(_ask(client, case, path)[0])
            report.cases.append(_at_once(client, path))
        report.cases.append(_leaves_nothing(client))
    # The lifespan begins before the first request and ends after the last one.
    if lifespan and spoken == "asgi":
        report.cases.append(CaseResult("lifespan", tuple(_not_in(client.violations, report))))
    if spoken == "asgi":
        report.cases.append(_unknown_scope(cast(ASGIApplication, app)))
    return report


def _not_in(violations: Sequence[ProtocolViolation], report: BatteryReport) -> list[ProtocolViolation]:
    """Return the violations that no case of a report has."""
    known = {id(violation) for violation in report.violations}
    return [violation for violation in violations if id(violation) not in known]


def _between(
    build: Callable[[Application], Application], interface: Interface, adapts: bool, transparent: bool, lifespan: bool
) -> BatteryReport:
    if interface not in PROBES:
        raise ConfigurationError(f"interface must be one of {', '.join(PROBES)}, got {interface!r}")
    probe = cast(Application, PROBES[interface])
    watch = ClosingWatch(cast(WSGIApplication, probe)) if interface == "wsgi" else None
    # The inner validator sees the middleware or adapter as a server, the outer validator sees it as an application.
    inner = Validator(cast(Application, watch.app) if watch is not None else probe, interface, mode="collect")
    subject = build(cast(Application, inner))
    outside: Interface = interface if not adapts else "asgi" if interface == "wsgi" else "wsgi"
    report = BatteryReport(f"{'the adapter' if adapts else 'the middleware'} {_name(build)} around {interface}")
    with (
        Client(subject, interface=outside, validate="collect", lifespan=lifespan) as client,
        Client(probe, interface=interface, validate="off", lifespan=lifespan) as direct,
    ):
        for case in REQUESTS:
            before = len(inner.violations)
            result, response = _ask(client, case, "/echo")
            error = result.error
            if error is None and transparent and response is not None and not case.leaves:
                error = _differs(response, _ask(direct, case, "/echo")[1])
            if error is None and watch is not None and watch.open:
                error = "the application's iterable was not closed (PEP 3333, Specification Details)"
                watch.forget()
            report.cases.append(
                CaseResult(case.id, (*result.violations, *inner.violations[before:]), error, result.warnings)
            )
        report.cases.append(_at_once(client, "/echo"))
        report.cases.append(_leaves_nothing(client))
    return report


def _server(server: Server) -> BatteryReport:
    report = BatteryReport(f"the server {server.name}")
    for case in check_server(server).cases:
        errors, warnings = (
            tuple(_violation(finding) for finding in case.findings if finding.severity == severity)
            for severity in ("error", "warning")
        )
        output = next((finding.output for finding in case.findings), "")
        report.cases.append(CaseResult(case.id, errors, None, warnings, output))
    return report


def _violation(finding: Finding) -> ProtocolViolation:
    return RULES[finding.rule].violation(blame("server", finding.found))


def _differs(response: Response, wanted: Response | None) -> str | None:
    if wanted is None:
        return None
    seen, expected = (
        [(name.lower(), value) for name, value in one.headers.multi_items()] for one in (response, wanted)
    )
    for what, have, want in (
        ("status", response.status_code, wanted.status_code),
        ("headers", seen, expected),
        ("body", response.content, wanted.content),
    ):
        if have != want:
            return f"the {what} must be unchanged from the application, {_short(want)}; got {_short(have)}"
    return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]} ... {text[-80:]}"


def _ask(client: Client, case: RequestCase, path: str) -> tuple[CaseResult, Response | None]:
    """Send a case's request; return the result and the response."""
    before = len(client.violations)
    response: Response | None = None
    error: str | None = None
    try:
        response = client.request(case.method, case.target(path), **_options(case))
    except Exception as raised:
        if case.raising and not isinstance(raised, LookupError):
            error = f"an exception of the application must come out unchanged, got {raised!r}"
        elif not case.raising and not case.leaves:
            error = f"the request must get a response, and it raised {raised!r}"
    if case.raising and response is not None and response.status_code < 500 and response.complete:
        error = "if the application raises, the response must not look complete"
    if response is not None and response.close_called > 1:
        error = f"close() must be called once, and was called {response.close_called} times"
    warnings = tuple(response.warnings) if response is not None else ()
    return CaseResult(f"{case.id} {case.path or path}", tuple(client.violations[before:]), error, warnings), response


def _at_once(client: Client, path: str, count: int = 8) -> CaseResult:
    """Send the same request from several threads, because one instance has to serve all of them."""
    before = len(client.violations)
    seen: list[object] = []

    def ask() -> None:
        try:
            response = client.get(path)
            seen.append((response.status_code, len(response.headers)))
        except Exception as error:
            seen.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    error = None if len(set(map(str, seen))) == 1 else f"{count} requests at once got different responses: {seen!r}"
    return CaseResult(f"at-once {path}", tuple(client.violations[before:]), error)


def _leaves_nothing(client: Client) -> CaseResult:
    leaks = client.leaks()
    return CaseResult("leaves-nothing-behind", (), str(leaks) if leaks else None)


def _unknown_scope(app: ASGIApplication) -> CaseResult:
    async def call() -> bool:
        async def receive() -> Message:
            return {"type": "gateway.testing.unknown"}

        async def send(message: Message) -> None:
            return None

        try:
            await app({"type": "gateway.testing", "asgi": {"version": "3.0"}}, receive, send)
        except Exception:
            return True
        return False

    loop = ClientLoop("asyncio")
    try:
        raised = loop.run(call)
    finally:
        loop.stop()
    rule = RULES["C08"]
    told = () if raised else (rule.violation("an application that returned"),)
    if rule.severity == "warning":
        return CaseResult("unknown-scope-type", warnings=told)
    return CaseResult("unknown-scope-type", told)


def _name(build: object) -> str:
    return getattr(build, "__qualname__", None) or repr(build)
