"""A claim about the field: what is broken, the sentence that says so, and the program that shows it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Case", "Preamble"]


@dataclass(frozen=True)
class Preamble:
    """What several programs begin with; the report has it once.

    Attributes:
        title: Heading of its section in the report.
        text: A sentence or two.
        code: The program's first part. It ends with a function that the second part calls.
    """

    title: str
    text: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """One claim.

    A program needs nothing of this project. It takes the names of the packages to look at, all without any, and prints
    a line for each: ``NAME: broken: FOUND`` or ``NAME: kept: FOUND``. The first word of a name is the distribution's.

    Attributes:
        id: Name of the case.
        rule: Id of this project's rule, or empty where none is about it.
        claim: What the packages do, a sentence.
        source: Specification and section.
        quote: Its words; ``...`` where some are left out.
        breakers: The names that broke it when the claim was written.
        preamble: The first part of the program.
        body: The second part.
    """

    id: str
    rule: str
    claim: str
    source: str
    quote: str
    breakers: tuple[str, ...]
    preamble: Preamble
    body: str

    @property
    def program(self) -> str:
        """The whole program."""
        return f"{self.preamble.code}\n{self.body}"
