"""Each violation of the field report is there today, and the pages agree with the record."""

from __future__ import annotations

import ast
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evidence.field.__main__ import main, unexpected
from tests.evidence.field.case import Case
from tests.evidence.field.cases import CASES
from tests.evidence.field.findings import explanation
from tests.evidence.field.issues import issue
from tests.evidence.field.packages import PACKAGES
from tests.evidence.field.page import pages
from tests.evidence.field.record import Record, Row, Shown, load, violations
from tests.evidence.field.run import run_program
from tests.evidence.field.survey import Surveyed, subjects, survey

BROKEN = [pytest.param(case, name, id=f"{case.id}: {name}") for case in CASES for name in case.breakers]
CASE = CASES[0]


def prints(line: str) -> Case:
    """Return a case whose programs print a line."""
    return replace(CASE, write=lambda _: f"print({line!r})")


@pytest.fixture(scope="module")
def lines() -> Callable[[Case, str], str]:
    """Every program of a violation: three at a time, because most of them wait more than they compute."""
    pool = ThreadPoolExecutor(3)
    jobs: dict[tuple[str, str], Future[str]] = {}

    def line(case: Case, name: str) -> str:
        if not jobs:
            for each in CASES:
                for breaker in each.breakers:
                    jobs[each.id, breaker] = pool.submit(run_program, each.write(breaker))
            pool.shutdown(wait=False)
        return jobs[case.id, name].result()

    return line


@pytest.mark.slow
@pytest.mark.parametrize(("case", "name"), BROKEN)
def test_a_violation_is_there_and_is_the_recorded_one(case: Case, name: str, lines: Callable[[Case, str], str]) -> None:
    line = lines(case, name)
    package = PACKAGES[name]
    assert not case.kept(line), f"{package.title} {package.version} keeps the sentence now: move it to `keepers`"
    assert line == load().programs[case.id][name].line, "another violation: run python -m tests.evidence.field"


def test_at_least_thirty_violations_are_of_classes_that_are_not_deprecated() -> None:
    assert len([name for case in CASES for name in case.breakers if not PACKAGES[name].instead]) >= 30


def test_a_case_has_its_own_name_and_no_package_twice() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
    assert [case.id for case in CASES if len(set(case.names)) < len(case.names) or not case.breakers] == []


def test_a_program_is_short_python_that_needs_nothing_of_this_project() -> None:
    for case in CASES:
        for name in case.names:
            program = case.write(name)
            imported = {
                module
                for node in ast.walk(ast.parse(program))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for module in (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                )
            }
            assert not any(module.split(".")[0] in ("gateway", "tests") for module in imported), case.id
            assert len(program.splitlines()) <= 50, case.id
            assert [line for line in program.splitlines() if len(line) > 96] == [], case.id


def test_the_record_has_every_program_and_agrees_with_the_cases() -> None:
    record = load()
    assert {case: set(shown) for case, shown in record.programs.items()} == {c.id: set(c.names) for c in CASES}
    told = [unexpected(case, name, record.programs[case.id][name]) for case in CASES for name in case.names]
    assert [message for message in told if message] == []
    assert [row.name for row in record.survey for what in row.result.found if not explanation(row.name, what)] == []


def test_an_issue_has_the_steps_the_results_the_sentence_and_the_versions() -> None:
    record = load()
    for case, name, shown in violations(record):
        text = issue(case, name, shown, record.python)
        assert text.index(case.write(name).strip()) < text.index("## Expected") < text.index("## Actual")
        assert case.quote in text
        assert case.link in text
        assert f"\n{shown.line}\n" in text
        assert shown.version in text
        assert len(text.splitlines()[0]) <= 160
        assert PACKAGES[name].distribution == "" or f"pip install {PACKAGES[name].distribution}==" in text


def test_a_violation_that_is_gone_and_one_that_is_new_are_told() -> None:
    shown = Shown("1", "", CASE.expected)
    assert "keeps the sentence now" in str(unexpected(CASE, CASE.breakers[0], shown))
    assert unexpected(CASE, CASE.keepers[0], shown) is None
    assert "breaks it, too: x" in str(unexpected(CASE, CASE.keepers[0], replace(shown, line="x")))


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "pass"])
def test_a_program_that_fails_or_prints_nothing_is_no_result(code: str) -> None:
    with pytest.raises(RuntimeError, match="did not run to its end"):
        run_program(code)


def test_a_program_gets_a_port_of_its_own_and_its_servers_end() -> None:
    program = (
        "import subprocess, sys\n"
        "if __name__ == '__main__':\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=sys.stderr)\n"
        "    print(child.pid, 8000 == int('80' + '00'))"
    )
    pid, same = run_program(program).split()
    assert same == "False"
    end = time.monotonic() + 5
    while time.monotonic() < end:  # a killed process needs a moment
        try:
            Path(f"/proc/{pid}/cwd").readlink()
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise AssertionError("the server of a program is still there")


def test_the_command_runs_the_programs_of_one_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state-is-copied-deeply"]) == 0
    assert "broken: TypeError(" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uvicorn", "Litestar", "Werkzeug profiler"])  # whose findings hang on no race
def test_every_finding_of_the_survey_is_judged(name: str) -> None:
    (subject,) = [subject for subject in subjects() if subject.name == name]
    result = survey(subject)
    assert result.cases >= 20
    assert [what for what in result.found if explanation(name, what) is None] == []


def test_the_page_says_what_a_finding_means() -> None:
    record = Record("2026-01-02", "3.11", {}, [Row("framework", "Flask", "3.1", Surveyed(3, 2, {"P10": "a body"}))])
    text = "\n".join(pages(record).values())
    assert re.search(r"\| Flask \| 3.1 \| 2 of 3 \| P10: a body for HEAD: the server drops it", text)
    assert "on 2026-01-02 with Python 3.11" in text


def test_every_explanation_that_names_a_case_names_one_that_is_there() -> None:
    for row in load().survey:
        for what in row.result.found:
            for case in re.findall(r"case `([\w-]+)`", explanation(row.name, what) or ""):
                assert case in {case.id for case in CASES}
