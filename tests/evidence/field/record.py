"""The results of the programs and of the survey when the report was written: a file, and the run that makes it.

The pages show the file, and the tests expect its results.
"""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.evidence.field.case import Case
from tests.evidence.field.cases import CASES
from tests.evidence.field.packages import PACKAGES
from tests.evidence.field.run import run_program
from tests.evidence.field.survey import Surveyed, subjects, survey

__all__ = ["FILE", "Record", "Row", "Shown", "examine", "load", "save", "take", "violations"]

FILE = Path(__file__).with_name("found.json")


@dataclass(frozen=True)
class Shown:
    """The result of a program for a package.

    Attributes:
        version: Version of the package.
        parser: Its parser with its version; "" for what reads no HTTP.
        line: Line that the program printed.
    """

    version: str
    parser: str
    line: str


@dataclass(frozen=True)
class Row:
    """Findings of the conformance suite for one subject."""

    kind: str
    name: str
    version: str
    result: Surveyed


@dataclass(frozen=True)
class Record:
    """Everything that the report needs.

    Attributes:
        date: Day of the last run, as YYYY-MM-DD.
        python: Version of Python.
        programs: By the case's id, by the package's name.
        survey: The rows of the conformance suite.
    """

    date: str
    python: str
    programs: dict[str, dict[str, Shown]] = field(default_factory=dict[str, dict[str, Shown]])
    survey: list[Row] = field(default_factory=list[Row])


def examine(
    cases: tuple[Case, ...], names: Callable[[Case], tuple[str, ...]] = lambda case: case.names
) -> Iterator[tuple[Case, str, Shown]]:
    """Run the programs of some cases, three at a time, because most of them wait more than they compute."""

    def one(job: tuple[Case, str]) -> Shown:
        case, name = job
        package = PACKAGES[name]
        return Shown(package.version, package.reader, run_program(case.write(name)))

    jobs = [(case, name) for case in cases for name in names(case)]
    with ThreadPoolExecutor(3) as pool:
        for (case, name), shown in zip(jobs, pool.map(one, jobs), strict=True):
            yield case, name, shown


def take() -> Record:
    """Run everything; print a line for each."""
    record = Record(datetime.datetime.now(datetime.UTC).date().isoformat(), platform.python_version())
    for case, name, shown in examine(CASES):
        record.programs.setdefault(case.id, {})[name] = shown
        print(_told(case, name, shown), flush=True)
    installed = [(subject, subject.version) for subject in subjects()]
    with ThreadPoolExecutor(3) as pool:
        results = pool.map(survey, [subject for subject, version in installed if version is not None])
        for subject, version in installed:
            if version is None:
                print(f"{subject.kind:12} {subject.name:32} not installed")
                continue
            result = next(results)
            print(f"{subject.kind:12} {subject.name:32} {result.passed} of {result.cases} {result.found}", flush=True)
            record.survey.append(Row(subject.kind, subject.name, version, result))
    return record


def _told(case: Case, name: str, shown: Shown) -> str:
    state = "kept" if case.kept(shown.line) else "broken"
    return f"{case.id:32} {PACKAGES[name].title:36} {shown.version:14} {state:7} {shown.line}"


def violations(record: Record) -> Iterator[tuple[Case, str, Shown]]:
    """Yield every program whose line does not keep the sentence."""
    for case in CASES:
        for name, shown in record.programs.get(case.id, {}).items():
            if not case.kept(shown.line):
                yield case, name, shown


def save(record: Record) -> None:
    """Write the file."""
    FILE.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load() -> Record:
    """Read the file."""
    told = json.loads(FILE.read_text(encoding="utf-8"))
    programs = {
        case: {name: Shown(**shown) for name, shown in shown_by.items()} for case, shown_by in told["programs"].items()
    }
    rows = [Row(**{**row, "result": Surveyed(**row["result"])}) for row in told["survey"]]
    return Record(told["date"], told["python"], programs, rows)
