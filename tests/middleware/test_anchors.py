"""Ours is right in every case of the comparison; the page says what is found now, of every peer that is here."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.evidence.anchors import report
from tests.evidence.anchors.model import Case, Peer, Probe, Side

EVERYTHING = report.load()
OURS = [(case, side) for case in report.CASES for side in case.sides]
#: Every peer that is installed at the version of the page: the test extra brings most of them.
THEIRS = [
    (case, peer)
    for case in report.CASES
    for peer in case.peers
    if peer.version is not None
    and EVERYTHING["cases"].get(case.id, {}).get("peers", {}).get(report.key(peer), {}).get("version") == peer.version
]


@pytest.mark.parametrize(("case", "side"), OURS, ids=[f"{case.part}-{case.id}-{side}" for case, side in OURS])
def test_ours_is_right_in_every_case_and_says_what_the_page_says(case: Case | Probe, side: Side) -> None:
    found = case.run(side)
    assert found.right, found.said
    assert EVERYTHING["cases"][case.id]["ours"][side] == found.said


@pytest.mark.parametrize(
    ("case", "peer"), THEIRS, ids=[f"{case.part}-{case.id}-{peer.distribution}-{peer.side}" for case, peer in THEIRS]
)
def test_a_peer_says_what_the_page_says(case: Case | Probe, peer: Peer) -> None:
    found = case.run(peer.side, peer)
    row = EVERYTHING["cases"][case.id]["peers"][report.key(peer)]
    assert (found.said, found.right) == (row["said"], row["right"])


def test_every_case_and_every_peer_has_its_row_and_no_other() -> None:
    cases = {case.id: {report.key(peer): (peer.configured, peer.named) for peer in case.peers} for case in report.CASES}
    rows = {
        id: {name: (peer["configured"], peer["named"]) for name, peer in found["peers"].items()}
        for id, found in EVERYTHING["cases"].items()
    }
    assert rows == cases, "run python -m tests.evidence.anchors"


def test_the_page_is_what_was_found() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    assert page == report.render(EVERYTHING), "run python -m tests.evidence.anchors --page"


def test_every_case_has_its_own_name_and_a_part_that_exists() -> None:
    assert [id for id, count in Counter(case.id for case in report.CASES).items() if count > 1] == []
    assert {case.part for case in report.CASES} == set(report.PARTS)
