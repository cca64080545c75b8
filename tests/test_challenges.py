"""The page about challenges agrees with the table of rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.rules import RULES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "challenge-a-rule.md"
ROWS = [
    (rule, now)
    for ids, now in re.findall(r"^\| ([A-Z]\d\d\w?(?:, [A-Z]\d\d)*) \| .+? \| (.+?) \| .+? \|$", PAGE.read_text(), re.M)
    for rule in ids.split(", ")
]


@pytest.mark.parametrize(("rule", "now"), ROWS)
def test_a_challenged_rule_is_now_as_the_page_says(rule: str, now: str) -> None:
    if now == "removed":
        assert rule not in RULES
    elif word := re.match(r"(?:an? )?(error|warning)\b", now):
        assert RULES[rule].severity == word[1]
    else:
        assert rule in RULES


def test_the_table_is_found() -> None:
    assert len(ROWS) >= 15
