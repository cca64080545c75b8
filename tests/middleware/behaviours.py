"""The index of behaviours: for each middleware every sentence that it must keep, and the test that shows it.

One TOML file a middleware stands in ``behaviours/``: ``[[behaviour]]`` with ``sentence`` and ``tests``, names of test
functions in the middleware's own test module, or ``module.py::name`` of one beside it. Each sentence is shown in both
drivers and through both adapters; where it is not, ``once`` says why.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("behaviours")


@dataclass(frozen=True)
class Behaviour:
    """One sentence, the tests that show it, and why it is not shown in every way that a chain can stand."""

    middleware: str
    sentence: str
    tests: tuple[str, ...]
    once: str | None = None


def load() -> list[Behaviour]:
    """Read the whole index."""
    found: list[Behaviour] = []
    for path in sorted(FOLDER.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["behaviour"]:
            found.append(Behaviour(path.stem, entry["sentence"], tuple(entry["tests"]), entry.get("once")))
    return found
