"""A rule about settings that must agree, and the table that holds the rules.

A rule has an id that never changes its meaning, the sentence that must hold, its source, the values of `Numbers` that
keep it, and a judge. A judge is a pure generator: it reads `Files`, yields findings, and never raises for facts that
are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gateway.hazards.facts import Fact, Files, Finding, Place

__all__ = ["Hazard", "HazardTable", "Judge", "finding"]

Judge = Callable[[Files], Iterator[Finding]]


@dataclass(frozen=True)
class Hazard:
    """One rule.

    Attributes:
        id: ``"R8"``; stable over releases.
        sentence: The sentence that must hold.
        source: Documentation or measurement behind it.
        computes: Names of the values of `Numbers` that keep the rule.
        judge: The check of files; None if files cannot show the rule.
        unseen: Why files cannot show the rule, or the part of it that they cannot show.
    """

    id: str
    sentence: str
    source: str
    computes: tuple[str, ...] = ()
    judge: Judge | None = None
    unseen: str = ""


class HazardTable:
    """Rules in their order; a decorator adds a judge with its rule."""

    def __init__(self) -> None:
        self.rules: list[Hazard] = []

    def __iter__(self) -> Iterator[Hazard]:
        return iter(self.rules)

    def rule(
        self, id: str, sentence: str, source: str, *, computes: tuple[str, ...] = (), unseen: str = ""
    ) -> Callable[[Judge], Judge]:
        """Return a decorator that adds a rule with its judge."""

        def enter(judge: Judge) -> Judge:
            self.rules.append(Hazard(id, sentence, source, computes, judge, unseen))
            return judge

        return enter

    def unseen(self, id: str, sentence: str, source: str, why: str, *, computes: tuple[str, ...] = ()) -> None:
        """Add a rule that files cannot show."""
        self.rules.append(Hazard(id, sentence, source, computes, None, why))

    def judge(self, files: Files) -> list[Finding]:
        """Return the findings of every rule, each once, in the order of the rules."""
        found: dict[Finding, None] = {}
        for rule in self.rules:
            for each in rule.judge(files) if rule.judge is not None else ():
                found[replace(each, rule=rule.id)] = None
        for id, each in [*files.faults, *(fault for front in files.fronts for fault in front.faults)]:
            found[replace(each, rule=id)] = None
        order = {rule.id: number for number, rule in enumerate(self.rules)}
        return sorted(found, key=lambda each: (order.get(each.rule, 0), each.places))


def finding(found: str, remedy: str, *places: Place | Fact[float] | Fact[str] | None) -> Finding:
    """Make a finding from facts and places; None is left out, and a place is named once."""
    named = [each.place if isinstance(each, Fact) else each for each in places if each is not None]
    return Finding(found, remedy, tuple(dict.fromkeys(named)))
