"""Every Python block of the documentation runs, in one namespace for each page."""

from __future__ import annotations

from typing import Any

from sybil import Sybil
from sybil.parsers.myst import (
    DocTestDirectiveParser,
    PythonCodeBlockParser,
    SkipParser,
)

pytest_plugins = ["gateway.testing.pytest_plugin"]


def setup(names: dict[str, Any]) -> None:
    """Give the blocks of a page the name of a module: frameworks look for it."""
    names["__name__"] = "page"


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), DocTestDirectiveParser(), SkipParser()],
    pattern="*.md",
    setup=setup,
    # Programs of the field report end their interpreter: tests/evidence/field has
    # another for each.
    excludes=["_build/*", "explanation/field-report/*"],
).pytest()
