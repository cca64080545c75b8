"""The soak sees what it is there for: one thing that each request leaves behind, and a wrong answer."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from tests.evidence.soak import __main__ as soak
from tests.evidence.soak import _process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

CLEAN: dict[str, Any] = {"errors": 0, "at_once": 1000, "mib": 0.9, "threads": 0, "tasks": 0, "objects": 5, "blocks": 60}


def test_what_is_kept_is_seen_among_objects_and_blocks() -> None:
    before = _process.level(0)
    kept = [[str(number) * 20] for number in range(2000)]
    growth = _process.level(0).growth(before)
    assert growth["objects"] >= 1900
    assert growth["blocks"] >= 1900
    assert len(kept) == 2000


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({}, "kept"),
        ({"errors": 1}, "passed its bound: errors"),
        ({"at_once": 999}, "only 999 ran at once"),
        ({"objects": 5000, "blocks": 10_000}, "passed its bound: objects, blocks"),
        ({"mib": 2.1}, "passed its bound: mib"),
    ],
)
def test_a_run_is_kept_within_its_bounds_only(row: dict[str, Any], verdict: str) -> None:
    assert soak.verdict("slow_clients", 1000, {**CLEAN, **row}) == verdict


@pytest.mark.parametrize("direction", list(soak.DIRECTIONS))
@pytest.mark.parametrize("run", ["volume", "many"])
def test_each_run_works_in_small(direction: str, run: str) -> None:
    module = importlib.import_module(soak.DIRECTIONS[direction])
    result = getattr(module, run)({"volume": 2**20, "many": 200}[run])
    assert result["errors"] == 0
    assert {"volume": "peak_growth_mib", "many": "objects"}[run] in result
