"""A sample of the mutation run of the specialised drivers; ``python -m tests.mutate`` runs all."""

from __future__ import annotations

import pytest

from tests.mutate import MODULES, Mutant, mutants, survives

SAMPLE = mutants()[5::17]


def test_each_hook_call_and_each_account_of_both_drivers_is_left_out_once() -> None:
    found = mutants()
    assert len({(mutant.module, mutant.line) for mutant in found}) == len(found)
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


@pytest.mark.slow
def test_a_mutant_that_leaves_nothing_out_survives() -> None:
    assert survives(Mutant(MODULES[0], 0, "nothing"))


@pytest.mark.slow
@pytest.mark.parametrize("mutant", SAMPLE, ids=str)
def test_what_is_left_out_is_missed(mutant: Mutant) -> None:
    assert not survives(mutant)
