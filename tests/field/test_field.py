"""The reproductions of the field report run, and the report says what they show."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from gateway.rules import RULES
from tests.field.__main__ import PAGE, page, reproduce
from tests.field.cases import CASES, NOT_COUNTED, Case


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_reproduction_runs_to_its_end(case: Case) -> None:
    _, found = reproduce(case)
    assert found or case.server  # a probe that finds nothing has nothing to say


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_has_one_way_to_see_it_and_a_known_rule(case: Case) -> None:
    assert bool(case.server) != bool(case.snippet)
    assert not case.rule or case.rule in RULES
    assert case.rule or case.snippet


def test_a_reproduction_that_breaks_off_is_no_result() -> None:
    with pytest.raises(RuntimeError, match="did not run to its end"):
        reproduce(replace(CASES[-1], snippet="raise SystemExit(3)"))


@pytest.mark.parametrize(("word", "broken"), [("kept", False), ("broken", True)])
def test_the_last_line_of_a_reproduction_is_its_verdict(word: str, broken: bool) -> None:
    assert reproduce(replace(CASES[-1], snippet=f"print('noise'); print('{word}: 1')")) == (broken, "1")


def test_the_page_marks_what_was_not_reproduced() -> None:
    text = page([(CASES[0], False, "")], datetime.date(2026, 1, 2))
    assert "on 2026-01-02" in text
    assert "Not reproduced with granian" in text


def test_the_page_in_the_documentation_has_every_case() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [case.id for case in CASES if f": {case.id}\n" not in text or case.quote not in text] == []
    assert [sentence for sentence in NOT_COUNTED if sentence not in text] == []
