"""The settings of a deployment that must agree: one set of numbers, the rules, and the values that follow.

`gateway generate` computes every file from `Numbers`. `gateway check FILE...` judges existing files by the same rules:
a reader of files makes `Files`, and `judge` returns what disagrees. The rules of a single server (D01 to D17) are in
`gateway.hazards.server`; `gateway check --server` applies them. Nothing here does IO.
"""

from __future__ import annotations

import re

from gateway.hazards import sizes, stopping, timeouts, trust
from gateway.hazards.facts import Files, Finding
from gateway.hazards.numbers import PLATFORMS, Numbers, Platform
from gateway.hazards.table import Hazard, HazardTable

__all__ = ["HAZARDS", "PLATFORMS", "Files", "Finding", "Hazard", "Numbers", "Platform", "judge"]


def _number(rule: Hazard) -> int:
    return int(re.sub(r"\D", "", rule.id))


HAZARDS = HazardTable()
HAZARDS.rules += sorted((rule for each in (timeouts, stopping, trust, sizes) for rule in each.RULES), key=_number)


def judge(files: Files) -> list[Finding]:
    """Return what the rules find in the facts of files, in the order of the rules."""
    return HAZARDS.judge(files)
