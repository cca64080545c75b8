"""A conformance rule, and the tables that contain the rules.

A rule is data. It has an id that never changes its meaning, the sentence that must hold, and the section of the
specification. It also has the side that must keep it, and a pure check. The validator, the clients, the probes and the
page ``docs/conformance.md`` all read the same tables. Nothing else in this package defines correct behaviour.

The arguments of a check are the state of the request *before* the step, and the step itself. It returns a description
of the violation, or None. It never raises, for any input, and never changes its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.errors import ProtocolViolation, Side

__all__ = ["Check", "Minor", "Rule", "Seen", "Severity", "Table", "blame"]

#: ``"error"``: the specification says *must*; ``"warning"``: it says *should*, or common servers accept it.
Severity = Literal["error", "warning"]
#: Observer that can see a violation: a wrapper around the application, a client that also knows its own request, or
#: only a client of a running server.
Seen = Literal["wrapper", "client", "live"]
#: The arguments depend on the stage; see the state module of each interface.
Check = Callable[..., str | None]


class Minor(str):
    """A finding that is less severe than its rule: reported as a warning."""

    __slots__ = ()


class _Against(str):
    """A finding with the side at fault, for a rule that binds both sides."""

    __slots__ = ("side",)
    side: Side


class _MinorAgainst(_Against, Minor):
    """A finding with a side at fault that is less severe than its rule."""

    __slots__ = ()


def blame(side: Side, found: str) -> str:
    """Return ``found`` marked with the side at fault, for the few rules that bind both sides."""
    marked = _MinorAgainst(found) if isinstance(found, Minor) else _Against(found)
    marked.side = side
    return marked


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a specification.

    Attributes:
        id: ``"E12"``; stable over releases.
        sentence: The sentence that must hold.
        source: Specification and section.
        side: Side that has to keep it.
        severity: ``"error"`` if the specification has *must*, ``"warning"`` if it has *should*.
        seen: Observer that can see a violation.
        at: Stages at which the check runs, for example ``"send:http.response.start"`` or ``"environ"``.
        check: The check itself.
    """

    id: str
    sentence: str
    source: str
    side: Side
    severity: Severity
    seen: Seen
    at: tuple[str, ...]
    check: Check

    def violation(self, found: str, side: Side | None = None) -> ProtocolViolation:
        """Return the error with this rule's sentence, the finding and the side at fault."""
        side = side or self.side_of(found)
        must = self.sentence.rstrip(".")
        return ProtocolViolation(self.id, side, must, str(found), self.source, self.severity_of(found))

    def side_of(self, found: str) -> Side:
        """Return the side at fault, as far as one observer knows it."""
        return found.side if isinstance(found, _Against) else self.side

    def severity_of(self, found: str) -> Severity:
        """Return the severity of a finding."""
        return "warning" if isinstance(found, Minor) else self.severity


class Table:
    """The rules of one topic; a decorator adds them and puts the sentence right above the check."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.rules: list[Rule] = []

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def rule(
        self,
        id: str,
        sentence: str,
        source: str,
        side: Side,
        *at: str,
        severity: Severity = "error",
        seen: Seen = "wrapper",
    ) -> Callable[[Check], Check]:
        """Return a decorator that adds the decorated check as a rule."""

        def enter(check: Check) -> Check:
            self.rules.append(Rule(id, sentence, source, side, severity, seen, at, check))
            return check

        return enter
