"""A conformance rule, and the tables that rules stand in.

A rule is data: an id that never changes its meaning, the sentence that must hold, where the specification says so, who
has to keep it, and a pure check. The validator, the clients, the probes and the page ``docs/conformance.md`` all read
the same tables; nothing else in this package knows what is right.

A check is called with the state of the exchange *before* the step and with the step itself; it returns what it found
instead of what must hold, or None. It never raises, whatever it is given, and never changes what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.errors import ProtocolViolation, Side

__all__ = ["Check", "Minor", "Rule", "Seen", "Severity", "Table", "blame"]

Severity = Literal["error", "warning"]
#: Who can see a rule broken: a wrapper around the application, a client that also knows what it sent itself, or only a
#: client of a running server.
Seen = Literal["wrapper", "client", "live"]
#: The arguments depend on the stage; see the state module of each interface.
Check = Callable[..., str | None]


class Minor(str):
    """What a check found, where it is less than the rule's severity says: reported as a warning."""

    __slots__ = ()


class _Against(str):
    """What a check found, with the side at fault where a rule binds both."""

    __slots__ = ("side",)
    side: Side


class _MinorAgainst(_Against, Minor):
    """Both."""

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
        sentence: What must hold, as a sentence.
        source: Specification and section.
        side: Who has to keep it.
        severity: ``"error"`` where the specification says must, ``"warning"`` where it says should.
        seen: Who can see it broken.
        at: The stages at which the check runs; ``"send:http.response.start"``, ``"environ"``.
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

    def violation(self, found: str) -> ProtocolViolation:
        """Return the error that says what was found instead of what this rule demands."""
        side = found.side if isinstance(found, _Against) else self.side
        return ProtocolViolation(self.id, side, self.sentence.rstrip("."), str(found), self.source)

    def severity_of(self, found: str) -> Severity:
        """Return the severity of what a check found."""
        return "warning" if isinstance(found, Minor) else self.severity


class Table:
    """The rules of one topic, filled by a decorator that puts the sentence right above the check."""

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
        """Return a decorator that enters the decorated check as a rule."""

        def enter(check: Check) -> Check:
            self.rules.append(Rule(id, sentence, source, side, severity, seen, at, check))
            return check

        return enter
