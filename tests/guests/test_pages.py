"""A page whose blocks do not run by themselves has a test module here that serves them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.guests.pages import HOW_TO, files

HERE = Path(__file__).parent
MARK = "% tests/guests writes these blocks into files and serves them.\n"


def test_each_page_that_names_these_tests_has_one() -> None:
    named = {page.stem for page in HOW_TO.glob("*.md") if MARK in page.read_text(encoding="utf-8")}
    tested = {
        found for module in HERE.glob("test_*.py") for found in re.findall(r'^PAGE = "(.+)"', module.read_text(), re.M)
    }
    assert named <= tested
    assert len(named) >= 3


def test_each_block_that_is_skipped_is_a_file() -> None:
    for page in HOW_TO.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        if MARK in text:
            skipped = re.findall(r"^% skip: next\n\n```python\n# ([\w/]+\.py)$", text, re.M)
            assert len(skipped) == text.count("% skip: next")
            assert set(skipped) <= files(page.stem).keys()
