"""A sample of the mutation run of the drivers; ``python -m tests.evidence.mutate`` runs all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.evidence import mutate
from tests.evidence.mutate import EQUIVALENT, MODULES, ROOT, Mutant, main, mutants, stale

SAMPLE = [mutant for mutant in mutants() if mutant.known is None][5::80]


def test_each_hook_call_and_each_account_of_both_drivers_is_left_out_once() -> None:
    found = mutants()
    assert len({(mutant.module, mutant.place) for mutant in found}) == len(found)
    texts = [mutant.text for mutant in found if mutant.module == "gateway.drivers._order"]
    for call in ("returned = on_request(self)", "returned = call(self, response)", "returned = on_finish("):
        assert any(text.startswith(call) for text in texts), call
    for module in ("gateway.drivers.asgi", "gateway.drivers.wsgi"):
        texts = [mutant.text for mutant in found if mutant.module == module]
        assert any(text.startswith("self._sent += ") for text in texts), module


def test_each_target_of_a_statement_that_sets_several_is_left_out_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "module.py"
    source.write_text("a, self.b = c.d = 0\ne = self.f = 1\nself.g = 2\nh = 3\n")
    monkeypatch.setattr(mutate, "source_of", lambda module: source)
    assert [mutant.text for mutant in mutants(["gateway.drivers.asgi"])] == [
        "self.b of a, self.b = c.d = 0",
        "c.d of a, self.b = c.d = 0",
        "self.f of e = self.f = 1",
        "self.g = 2",
    ]


def test_what_is_known_to_be_equivalent_is_there_and_has_a_reason() -> None:
    assert stale() == []
    assert all(EQUIVALENT.values())


def test_an_equivalent_that_no_module_has_any_more_stops_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(EQUIVALENT, ("asgi", "self.gone = 1"), "it was there once")
    assert main([]) == 2
    assert "self.gone = 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lives", "status", "said"),
    [
        (lambda mutant: mutant.known is not None, 0, "0 survive, 1 are equivalent"),
        (lambda mutant: True, 1, "SURVIVES gateway.drivers.asgi:"),
        (lambda mutant: False, 1, "IS MISSED, and the table says it cannot be: gateway.drivers.asgi:"),
    ],
    ids=["known", "unknown", "missed"],
)
def test_a_run_fails_where_something_else_than_the_table_says_survives(
    lives: Any, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [mutant.text for mutant in mutants(["gateway.drivers.asgi"])]
    once = next(text for text in texts if texts.count(text) == 1)
    monkeypatch.setitem(EQUIVALENT, ("asgi", once), "nobody looks")
    monkeypatch.setattr(mutate, "survives", lambda mutant: mutant.line == 0 or lives(mutant))
    assert main(["--only", "asgi"]) == status
    assert said in capsys.readouterr().out


def _status(mutant: Mutant) -> int:
    """Return the status of the suite on one mutant, in an interpreter that has loaded none of the drivers."""
    command = [sys.executable, "-m", "tests.evidence.mutate", "--one", mutant.module, mutant.place]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=False).returncode


@pytest.mark.slow
def test_a_mutant_that_leaves_nothing_out_survives() -> None:
    assert _status(Mutant(MODULES[0], 0, "nothing")) == 0


@pytest.mark.slow
@pytest.mark.parametrize("mutant", SAMPLE, ids=str)
def test_what_is_left_out_is_missed(mutant: Mutant) -> None:
    assert _status(mutant) == 1
