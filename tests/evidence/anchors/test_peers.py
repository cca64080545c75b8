"""Each installed peer behaves as the page of the comparison says."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.evidence.anchors import report
from tests.evidence.anchors.model import Case, Peer, Probe

EVERYTHING = report.load()
#: Every peer that is installed at the version of the page: the test extra brings most of them.
THEIRS = [
    (case, peer)
    for case in report.CASES
    for peer in case.peers
    if peer.version is not None
    and EVERYTHING["cases"].get(case.id, {}).get("peers", {}).get(report.key(peer), {}).get("version") == peer.version
]


@pytest.mark.parametrize(
    ("case", "peer"), THEIRS, ids=[f"{case.part}-{case.id}-{peer.distribution}-{peer.side}" for case, peer in THEIRS]
)
def test_a_peer_says_what_the_page_says(case: Case | Probe, peer: Peer) -> None:
    found = case.run(peer.side, peer)
    row = EVERYTHING["cases"][case.id]["peers"][report.key(peer)]
    assert (found.said, found.right) == (row["said"], row["right"])


def test_every_case_has_its_own_name_and_a_part_that_exists() -> None:
    assert [id for id, count in Counter(case.id for case in report.CASES).items() if count > 1] == []
    assert {case.part for case in report.CASES} == set(report.PARTS)
