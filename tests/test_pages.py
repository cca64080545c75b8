"""The form of the pages: what a reader sees at the width of a column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: The two commands of a checkout are one line each, so that each can be copied at once.
COMMANDS = "python3 -m venv .venv && "
#: A program of the field report is shown as it is run; its page wraps long lines.
GENERATED = {"field-report.md", "field-report"}
CODE = re.compile(r"^ *```[^`\n]+\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_line_of_code_has_at_most_84_characters(page: Path) -> None:
    if page.name in GENERATED or page.parent.name in GENERATED:
        return
    lines = [line for block in CODE.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    assert [line for line in lines if len(line) > 84 and not line.startswith(COMMANDS)] == [], (
        "run ruff format; break other lines by hand"
    )
