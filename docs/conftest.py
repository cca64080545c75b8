"""Every Python block of the documentation runs, in one namespace for each page."""

from __future__ import annotations

from sybil import Sybil
from sybil.parsers.myst import (
    DocTestDirectiveParser,
    PythonCodeBlockParser,
    SkipParser,
)

pytest_plugins = ["gateway.testing.pytest_plugin"]

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), DocTestDirectiveParser(), SkipParser()],
    pattern="*.md",
    excludes=["_build/*"],
).pytest()
