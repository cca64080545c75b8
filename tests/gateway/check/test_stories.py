"""A new framework and a new server become correct step by step, and each step needs only the messages of the last one.

``docs/how-to/from-red-to-green.md`` tells the same stories; its tables are the messages of the programs in ``stories``.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from gateway.check.servers import check_command
from gateway.testing import battery

STORIES = Path(__file__).parent / "stories"
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "from-red-to-green.md"


def told(name: str) -> dict[str, str]:
    """Return the table of the page for a program: each rule and the value or behaviour that was found."""
    _, _, section = PAGE.read_text("utf-8").partition(f"\n### `{name}.py`")
    rows = re.findall(r"^\| (\w+) \| (.+?) \| .+ \|$", section.partition("\n#")[0], re.MULTILINE)
    return {rule: found.strip("`") for rule, found in rows if rule != "rule"}


def lines(name: str) -> int:
    return sum(bool(line.strip()) for line in (STORIES / f"{name}.py").read_text("utf-8").splitlines())


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_new_framework_is_told_each_fault(step: int) -> None:
    name = f"framework_{step}"
    assert lines(name) <= 50
    app = importlib.import_module(f"tests.gateway.check.stories.{name}").app
    report = battery(app, paths=["/hello"], raises=False)
    found = {one.rule: one for case in report.cases for one in (*case.violations, *case.warnings)}
    first = {one.rule: one for case in reversed(report.cases) for one in (*case.violations, *case.warnings)}
    assert {rule: one.found for rule, one in first.items()} == told(name)
    assert report.ok is (step >= 3)
    assert all(f"[{rule}]" in str(report) for rule in found)
    assert bool(found) is (step < 4)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_new_server_is_told_each_fault(step: int) -> None:
    name = f"server_{step}"
    assert lines(name) <= 110
    checked = check_command(f"{sys.executable} {STORIES / name}.py {{port}} {{app}}", "asgi")
    assert {finding.rule: finding.found for finding in checked.findings} == told(name)
    assert bool(checked.findings) is (step < 3)
    assert {"C09", "E05", "E13", "E25", "H13", "H19", "L06", "L13", "N01", "N02", "P66"} <= checked.exercised
