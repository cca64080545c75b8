"""A claim about other projects: a sentence of a specification, and a program for each package that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Case"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One sentence of a specification, and programs that show whether packages keep it.

    A program needs the package and nothing of this project. It prints one line.

    Attributes:
        id: Name of the case.
        section: Section of the report.
        rule: Id of this project's rule, or empty.
        claim: A sentence about the packages.
        source: Specification and section.
        link: Address of that section.
        quote: Its words; ``...`` where some are left out.
        breakers: The packages that break it, by the names of `tests.evidence.field.packages`.
        keepers: Others that are tried, so that the report says who keeps it.
        expected: The line that a program prints if the sentence is kept.
        also: Other lines that keep it.
        wanted: The expected result in words.
        write: Return the program for a package.
        options: Extra words of a package's command.
    """

    id: str
    section: str
    rule: str = ""
    claim: str
    source: str
    link: str
    quote: str
    breakers: tuple[str, ...]
    keepers: tuple[str, ...] = ()
    expected: str
    also: tuple[str, ...] = ()
    wanted: str
    write: Callable[[str], str]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def names(self) -> tuple[str, ...]:
        """Every package that is tried."""
        return self.breakers + self.keepers

    def kept(self, line: str) -> bool:
        """Tell whether the line that a program printed keeps the sentence."""
        return line in (self.expected, *self.also)
