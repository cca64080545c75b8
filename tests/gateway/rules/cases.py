"""A case of a rule, and what every case must show: broken, it is caught with that id; kept, nothing is said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.hazards.server import RULES as SERVER_RULES
from gateway.rules import RULES


@dataclass(frozen=True)
class Case:
    """A rule broken and the nearest traffic that keeps it; each a callable that takes the mode and gives a result."""

    rule: str
    bad: Callable[[str], Any]
    good: Callable[[str], Any]
    note: str = ""
    #: Where a rule binds both sides, whose fault the case is.
    side: str = ""
    #: What is found is less than the rule's severity.
    minor: bool = False

    @property
    def id(self) -> str:
        return f"{self.rule}-{self.note}" if self.note else self.rule


def shows(case: Case) -> None:
    """Assert what every case must show."""
    rule = {**RULES, **{rule.id: rule for rule in SERVER_RULES}}[case.rule]
    broken = case.bad("collect")
    mine = [violation for violation in broken.found if violation.rule == case.rule]
    assert mine, f"{case.id} is not caught; found {broken.found}"
    assert mine[0].side == (case.side or rule.side)
    warning = rule.severity == "warning" or case.minor
    kept = broken.validator.warnings if warning else broken.validator.violations
    assert mine[0] in kept
    kept_case = case.good("collect")
    assert kept_case.found == [], f"{case.id} is conformant, and flagged"
