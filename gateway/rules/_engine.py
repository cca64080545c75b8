"""Run the checks of a stage, and raise or collect their findings by the mode.

Each validator has one `RuleEngine`. All threads and event loops that call the application share it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.rules.table import Rule, Table

__all__ = ["Findings", "Mode", "RuleEngine", "Stages"]

Mode = Literal["raise", "collect"]
#: Limit of kept violations, so that a validator does not grow under a server that runs for months.
KEPT = 10_000


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
        on_violation: Callable[[ProtocolViolation], None] | None = None,
    ) -> None:
        if mode not in ("raise", "collect"):
            raise ConfigurationError(f"Validator(mode=...) must be 'raise' or 'collect', got {mode!r}")
        self.mode: Mode = mode
        self.warnings_as_errors = warnings_as_errors
        self.on_violation = on_violation
        self.violations: list[ProtocolViolation] = []
        self.warnings: list[ProtocolViolation] = []
        self._lock = threading.Lock()

    def report(self, rule: Rule, found: str) -> ProtocolViolation | None:
        """Keep a finding, and return it if the mode raises it."""
        violation = rule.violation(found)
        warning = rule.severity_of(found) == "warning"
        with self._lock:
            kept = self.warnings if warning else self.violations
            if len(kept) < KEPT:
                kept.append(violation)
        if self.on_violation is not None:
            self.on_violation(violation)
        return violation if self.mode == "raise" and (not warning or self.warnings_as_errors) else None

    def check(self, rules: tuple[Rule, ...], state: object, subject: object) -> Findings:
        """Run checks and report their findings."""
        found: list[str] = []
        first = None
        for rule in rules:
            what = rule.check(state, subject)
            if what is not None:
                found.append(rule.id)
                violation = self.report(rule, what)
                first = first or violation
        return Findings(tuple(found), first) if found else KEPT_ALL


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of one step: the ids of the broken rules, and the first violation to raise."""

    ids: tuple[str, ...]
    violation: ProtocolViolation | None


#: Shared result of a step without findings, so that the common case allocates nothing.
KEPT_ALL = Findings((), None)
