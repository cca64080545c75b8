"""Run the checks of a stage, and raise or collect their findings by the mode.

Each validator has one `RuleEngine`. All threads and event loops that call the application share it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.errors import ConfigurationError, ProtocolViolation, Side
from gateway.rules.table import Rule, Table

__all__ = ["Findings", "Mode", "Observed", "RuleEngine", "Stages"]

Mode = Literal["raise", "collect"]
#: Limit of kept violations, so that a validator does not grow under a server that runs for months.
KEPT = 10_000
_LOG = logging.getLogger("gateway.rules")


class Observed(Protocol):
    """One request, as far as the engine knows it: the state that the checks of an interface read.

    Attributes:
        broken: The first violation of each rule in this request, by the rule's id.
    """

    broken: dict[str, ProtocolViolation]

    @property
    def around(self) -> Observed | None:
        """The same request at the validator around this one, if middleware is between two validators."""

    @property
    def inside(self) -> Observed | None:
        """The same request at the validator inside this one."""


class Stages:
    """The rules of one interface by stage."""

    def __init__(self, tables: Iterable[Table]) -> None:
        stages: dict[str, list[Rule]] = {}
        for table in tables:
            for rule in table:
                for stage in rule.at if rule.seen == "wrapper" else ():
                    stages.setdefault(stage, []).append(rule)
        self._stages: Mapping[str, tuple[Rule, ...]] = {stage: tuple(rules) for stage, rules in stages.items()}
        self._combined: dict[tuple[str, ...], tuple[Rule, ...]] = {}

    def rules(self, *stages: str) -> tuple[Rule, ...]:
        """Return the rules of several stages, each rule once."""
        found = self._combined.get(stages)
        if found is None:
            joined = {rule.id: rule for stage in stages for rule in self._stages.get(stage, ())}
            found = tuple(joined.values())
            if len(self._combined) < 1000:  # a limit, because message types come from the application
                self._combined[stages] = found
        return found


class RuleEngine:
    """The findings of a validator so far, and its mode for the next finding."""

    def __init__(
        self,
        mode: Mode,
        *,
        warnings_as_errors: bool = False,
        ignore: Mapping[str, str] | None = None,
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> None:
        if mode not in ("raise", "collect"):
            raise ConfigurationError(f"Validator(mode=...) must be 'raise' or 'collect', got {mode!r}")
        self.mode: Mode = mode
        self.warnings_as_errors = warnings_as_errors
        self.ignore: Mapping[str, str] = dict(ignore or {})
        self.on_violation = on_violation
        self.violations: list[ProtocolViolation] = []
        self.warnings: list[ProtocolViolation] = []
        self.ignored: list[ProtocolViolation] = []
        #: Number of findings that were not kept, because the list was full.
        self.dropped = 0
        self._ran: dict[int, tuple[Rule, ...]] = {}
        # The garbage collector may run in `report` and close a forgotten iterable, which reports its own finding.
        self._lock = threading.RLock()

    def report(self, rule: Rule, found: str, request: Observed | None = None) -> ProtocolViolation | None:
        """Keep a finding, and return it if the mode raises it.

        A request reports each rule once. The later findings only add to `ProtocolViolation.count`.
        """
        violation = rule.violation(found, _at_fault(rule, rule.side_of(found), request))
        ignored = rule.id in self.ignore
        warning = violation.severity == "warning"
        kept = self.ignored if ignored else self.warnings if warning else self.violations
        first = request.broken.setdefault(rule.id, violation) if request is not None else violation
        full = False
        with self._lock:
            if first is not violation:
                first.count += 1
            elif len(kept) < KEPT:
                kept.append(violation)
            else:
                self.dropped += 1
                full = self.dropped == 1
        if full:
            _LOG.warning("a Validator keeps %d findings; `dropped` counts the others, which it does not keep", KEPT)
        if ignored:
            return None
        if first is violation and self.on_violation is not None:
            self.on_violation(violation)
        return violation if self.mode == "raise" and (not warning or self.warnings_as_errors) else None

    def check(self, rules: tuple[Rule, ...], request: Observed, subject: object) -> Findings:
        """Run checks and report their findings."""
        self.ran(rules)
        found: list[str] = []
        first = None
        for rule in rules:
            what = rule.check(request, subject)
            if what is not None:
                found.append(rule.id)
                violation = self.report(rule, what, request)
                first = first or violation
        return Findings(tuple(found), first) if found else KEPT_ALL

    def ran(self, rules: tuple[Rule, ...]) -> None:
        """Record that rules were exercised."""
        if id(rules) not in self._ran and len(self._ran) < 1000:  # stages are few, and types of messages many
            self._ran[id(rules)] = rules

    @property
    def exercised(self) -> set[str]:
        """The ids of the rules whose checks have run."""
        return {rule.id for rules in list(self._ran.values()) for rule in rules}


def _at_fault(rule: Rule, side: Side, request: Observed | None) -> Side:
    """Return the side at fault: middleware between two validators, if only one of the validators sees the violation.

    To the application, middleware is the server; to the server, it is the application.
    """
    if request is None:
        return side
    other = request.around if side == "server" else request.inside if side == "application" else None
    return side if other is None or rule.id in other.broken else "middleware"


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of one step: the ids of the broken rules, and the first violation to raise."""

    ids: tuple[str, ...]
    violation: ProtocolViolation | None


#: Shared result of a step without findings, so that the common case allocates nothing.
KEPT_ALL = Findings((), None)
