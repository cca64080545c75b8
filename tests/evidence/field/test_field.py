"""Each reproduction of the field report runs to its end, and the report says what it showed."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.evidence.field.__main__ import Verdict, page, reproduce
from tests.evidence.field.case import Case
from tests.evidence.field.cases import CASES
from tests.evidence.field.findings import explanation
from tests.evidence.field.preambles import ALONE
from tests.evidence.field.survey import Subject, Surveyed, subjects, survey

IDS = [f"{case.preamble.title}: {case.id}" for case in CASES]


@pytest.fixture(scope="module")
def reproductions() -> Iterator[dict[Case, Future[list[Verdict]]]]:
    """Every program with the first of its packages: a few at a time, for most of them wait more than they compute."""
    with ThreadPoolExecutor(4) as pool:
        yield {case: pool.submit(reproduce, case, case.breakers[0]) for case in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_reproduction_runs_to_its_end(case: Case, reproductions: dict[Case, Future[list[Verdict]]]) -> None:
    (verdict,) = reproductions[case].result()
    assert verdict.name == case.breakers[0]
    assert verdict.found or not verdict.broken


def test_a_case_has_its_own_name_and_says_who_breaks_it() -> None:
    assert [case.id for case in CASES if not case.breakers] == []
    assert [where for where, count in Counter(IDS).items() if count > 1] == []


def test_a_program_is_python() -> None:
    for case in CASES:
        compile(case.program, case.id, "exec")


def test_a_reproduction_that_breaks_off_is_no_result() -> None:
    with pytest.raises(RuntimeError, match="did not run to its end"):
        reproduce(replace(CASES[0], body="raise SystemExit(3)"))
    with pytest.raises(RuntimeError, match="did not run to its end"):
        reproduce(replace(CASES[0], body="print('nothing of the kind')"))


def test_the_lines_of_a_reproduction_are_its_verdicts() -> None:
    case = replace(CASES[0], body="print('noise'); print('flask: kept:'); print('uvicorn asgi: broken: 1: 2')")
    assert reproduce(case) == [Verdict("flask", False, ""), Verdict("uvicorn asgi", True, "1: 2")]


def test_a_package_that_is_not_installed_is_left_out() -> None:
    body = "def absent():\n    import no_such_package\n\nrun({'absent': absent, 'flask': lambda: 'x'})\n"
    assert reproduce(replace(CASES[-1], preamble=ALONE, body=body)) == [Verdict("flask", True, "x")]


def test_the_page_marks_what_was_not_reproduced() -> None:
    case = replace(CASES[0], breakers=("uvicorn", "granian"))
    text = page([(case, [Verdict("uvicorn", False, ""), Verdict("granian", True, "1")])], [], datetime.date(2026, 1, 2))
    assert "on 2026-01-02 with Python" in text
    assert "Not reproduced with uvicorn" in text
    assert re.search(r"\*\*granian [\d.]+\*\*: `` 1 ``", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uvicorn", "Litestar", "Werkzeug profiler"])  # whose findings hang on no race
def test_every_finding_of_the_survey_is_judged(name: str) -> None:
    (subject,) = [subject for subject in subjects() if subject.name == name]
    result = survey(subject)
    assert result.cases >= 20
    assert [what for what in result.found if explanation(name, what) is None] == []


def test_the_page_says_what_a_finding_means() -> None:
    surveyed = [(Subject("framework", "Flask", "Flask"), Surveyed(3, 2, {"P10": "a body"}))]
    text = page([], surveyed, datetime.date(2026, 1, 2))
    assert re.search(r"\| Flask \| [\d.]+ \| 2 of 3 \| P10: a body for HEAD: the server drops it", text)


def test_every_explanation_that_names_a_case_names_one_that_is_there() -> None:
    for name in {subject.name for subject in subjects()}:
        for what in ("E06", "E09", "H11", "P01", "P21", "P39", "V05", "V07", "V28", "differs", "not-closed", "raises"):
            for case in re.findall(r"case `([\w-]+)`", explanation(name, what) or ""):
                assert case in {case.id for case in CASES}
