"""A sample of the mutation run of the specialised drivers; ``python -m tests.mutate`` runs all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutate import MODULES, ROOT, Mutant, mutants

SAMPLE = mutants()[5::80]


def test_each_hook_call_and_each_account_of_both_drivers_is_left_out_once() -> None:
    found = mutants()
    assert len({(mutant.module, mutant.place) for mutant in found}) == len(found)
    for module in ("gateway.drivers._asgi_full", "gateway.drivers._wsgi_full"):
        texts = [mutant.text for mutant in found if mutant.module == module]
        for call in (
            "returned = enter(request)",
            "returned = on_response(",
            "change = on_body(",
            "result = on_finish(",
        ):
            assert any(text.startswith(call) for text in texts), call
        assert any(text.startswith("outcome.bytes_sent = self._sent") for text in texts)


def test_each_target_of_a_statement_that_sets_several_is_left_out_by_itself() -> None:
    texts = [mutant.text for mutant in mutants(["gateway.drivers._course"])]
    statement = "self.entered = self.level = index + 1"
    assert [text for text in texts if text.endswith(statement)] == [
        f"self.entered of {statement}",
        f"self.level of {statement}",
    ]


def _status(mutant: Mutant) -> int:
    """Return the status of the suite on one mutant, in an interpreter that has loaded none of the drivers."""
    command = [sys.executable, "-m", "tests.mutate", "--one", mutant.module, mutant.place]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=600, check=False).returncode


@pytest.mark.slow
def test_a_mutant_that_leaves_nothing_out_survives() -> None:
    assert _status(Mutant(MODULES[0], 0, "nothing")) == 0


@pytest.mark.slow
@pytest.mark.parametrize("mutant", SAMPLE, ids=str)
def test_what_is_left_out_is_missed(mutant: Mutant) -> None:
    assert _status(mutant) == 1
