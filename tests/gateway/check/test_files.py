"""Files of a deployment: right ones in several styles are silent, and each planted fault is found with both places."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from pathlib import Path

import pytest

from gateway.check.files.read import read_files, texts_of
from gateway.errors import ConfigurationError
from gateway.hazards import HAZARDS, judge
from gateway.hazards.facts import Finding
from tests.gateway.check.faults import FAULTS, Fault

SETS = Path(__file__).parent / "sets"
NAMES = sorted(path.name for path in SETS.iterdir())


def texts(name: str) -> dict[str, str]:
    folder = SETS / name
    return {str(Path(path).relative_to(folder)): text for path, text in texts_of([folder]).items()}


def findings(files: dict[str, str]) -> list[Finding]:
    return judge(read_files(files))


@pytest.mark.parametrize("name", NAMES)
def test_right_files_are_silent(name: str) -> None:
    assert findings(texts(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_facts_of_right_files_are_seen(name: str) -> None:
    read = read_files(texts(name))
    assert read.servers
    assert read.fronts or name in ("heroku", "paas")
    assert read.stops or name == "nodes"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.rule}-{fault.set}-{fault.new[:30]!r}")
def test_a_planted_fault_is_found_with_both_places(fault: Fault) -> None:
    files = texts(fault.set)
    old = files[fault.file]
    assert fault.old in old
    files[fault.file] = old.replace(fault.old, fault.new, 1)
    found = [each for each in findings(files) if each.rule == fault.rule]
    assert found, findings(files)
    assert all(len(each.places) >= 2 for each in found), found
    assert all(each.remedy and each.found for each in found)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.rule}-{fault.set}-{fault.new[:30]!r}")
def test_a_planted_fault_breaks_no_other_part_of_the_deployment(fault: Fault) -> None:
    files = texts(fault.set)
    files[fault.file] = files[fault.file].replace(fault.old, fault.new, 1)
    others = Counter(each.rule for each in findings(files) if each.rule != fault.rule)
    assert len(others) <= 4, others


def test_every_rule_that_files_can_show_has_a_planted_fault() -> None:
    judged = {rule.id for rule in HAZARDS if rule.judge is not None}
    assert judged - {fault.rule for fault in FAULTS} == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_line_is_an_error_of_the_configuration_or_a_finding_and_nothing_else(name: str) -> None:
    files = texts(name)
    for path, text in files.items():
        lines = text.splitlines(keepends=True)
        for number, line in enumerate(lines[::3]):  # every third one, to be quick
            at = number * 3
            for broken in (line.partition("=")[0] + "\n", line.replace("=", "= x"), re.sub(r"\d+", "x", line)):
                with contextlib.suppress(ConfigurationError):
                    findings({**files, path: "".join([*lines[:at], broken, *lines[at + 1 :]])})
