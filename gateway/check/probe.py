"""Find the rules that a running server keeps: an application with rare behaviour, and a client that observes.

The application runs inside the server under a `Validator` that collects. The client speaks raw HTTP/1.1 and WebSocket
over a socket, one case of `gateway.check.cases` after the other. After each case it fetches the validator's findings.
``gateway check --server`` and ``battery(server=...)`` start the server.

One worker process has to serve the application: ``gateway.check.probe:asgi`` or ``gateway.check.probe:wsgi``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from gateway.check.applications import Broken, asgi, found, wsgi
from gateway.check.cases import cases_of
from gateway.check.cases.visit import Visit, echo_of
from gateway.check.wire import Address
from gateway.errors import ConfigurationError, ServerError
from gateway.rules.observer import ClientObserver

__all__ = ["Broken", "CaseFindings", "Examined", "asgi", "merged", "probe", "reported", "wsgi"]


@dataclass(frozen=True)
class CaseFindings:
    """The findings of one case.

    Attributes:
        id: Name of the case.
        broken: The rules that the server broke in it.
        output: The server's output since the case began.
    """

    id: str
    broken: tuple[Broken, ...]
    output: str = ""


@dataclass(frozen=True)
class Examined:
    """The result of a probe.

    Attributes:
        cases: The findings of each case.
        exercised: Ids of the rules that the probe has exercised.
        offered: The extensions that the server offers.
    """

    cases: tuple[CaseFindings, ...]
    exercised: frozenset[str]
    offered: frozenset[str]

    @property
    def broken(self) -> list[Broken]:
        """The violations of the server, sorted, one for each rule."""
        return merged(broken for case in self.cases for broken in case.broken)


def merged(broken: Iterable[Broken]) -> list[Broken]:
    """Return one finding for each rule, the most severe one."""
    return sorted({each.rule: each for each in sorted(broken, key=lambda b: (b.severity == "error", b.rule))}.values())


def reported(report: Mapping[str, object]) -> list[Broken]:
    """Return the findings in a report of the probe application."""
    return [Broken(*each) for each in cast("list[tuple[str, str, str]]", report.get("found", []))]


def probe(address: Address, interface: str, output: Callable[[], str] = str) -> Examined:
    """Test a server that serves the probe application.

    Args:
        address: Host and port, or the path of a unix socket.
        interface: Interface in which the server calls the application.
        output: Function that returns all that the server has written so far.

    Raises:
        ConfigurationError: The server does not serve the probe application.
        ServerError: The server stopped accepting connections.
    """
    observer = ClientObserver()
    visit = Visit(observer, address, interface)
    findings: list[CaseFindings] = []
    earlier: set[Broken] = set()
    exercised: set[str] = set()
    for case in cases_of(interface):
        before = len(output())
        try:
            case.run(visit)
            report = echo_of(visit.get("/report"))
        except OSError as error:
            said = output()[before:].strip()
            raise ServerError(
                f"the server at {address} stopped accepting connections in the case {case.id}: {error}"
                + (f"\n{said}" if said else "")
            ) from None
        if "found" not in report:
            raise ConfigurationError(
                f"the server at {address} does not serve the probe application; start it with "
                f"gateway.check.probe:{interface}"
            )
        now = [*found(observer), *reported(report)]
        exercised |= set(cast("list[str]", report["exercised"]))
        new = tuple(dict.fromkeys(each for each in now if each not in earlier))
        earlier |= set(new)
        findings.append(CaseFindings(case.id, new, output()[before:] if new else ""))
    offered: object = echo_of(visit.get("/extensions")).get("extensions", []) if interface != "wsgi" else []
    return Examined(tuple(findings), frozenset(observer.exercised | exercised), frozenset(cast("list[str]", offered)))
