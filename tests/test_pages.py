"""The form of the pages: what a reader sees at the width of a column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))

#: A program of the field report is shown as it is run; its page wraps long lines.
GENERATED = {"field-report.md"}
CODE = re.compile(r"^ *```[a-z]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_line_of_code_has_at_most_84_characters(page: Path) -> None:
    if page.name in GENERATED:
        return
    lines = [line for block in CODE.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    assert [line for line in lines if len(line) > 84] == [], "run ruff format; break other lines by hand"
