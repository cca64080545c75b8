"""Each middleware is right in every case of the comparison with others, and its row of the page is true."""

from __future__ import annotations

import pytest

from tests.evidence.anchors import report
from tests.evidence.anchors.model import Case, Probe, Side

EVERYTHING = report.load()
OURS = [(case, side) for case in report.CASES for side in case.sides]


@pytest.mark.parametrize(("case", "side"), OURS, ids=[f"{case.part}-{case.id}-{side}" for case, side in OURS])
def test_ours_is_right_in_every_case_and_says_what_the_page_says(case: Case | Probe, side: Side) -> None:
    found = case.run(side)
    assert found.right, found.said
    assert EVERYTHING["cases"][case.id]["ours"][side] == found.said
