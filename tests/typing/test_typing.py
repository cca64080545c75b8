"""What users write must check under mypy and pyright strict, and what is wrong must be found by both.

Files in ``ok`` check without a finding. In ``bad`` each line that ends with ``# error`` has one, and no other line.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shows import shows

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Django comes without types; that is a finding about Django.
MYPY = [sys.executable, "-m", "mypy", "--strict", "--disable-error-code=import-untyped", "--no-error-summary"]
PYRIGHT = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]  # strict by the project's own configuration

FINDING = re.compile(r"^\s*(?P<file>[^\s:][^:]*\.py):(?P<line>\d+):(?:\d+:?)?(?: -)? error\b", re.MULTILINE)


def findings(command: list[str], folder: Path) -> tuple[set[tuple[str, int]], str]:
    """Return where the checker found an error, and what it said."""
    files = sorted(str(file.relative_to(ROOT)) for file in folder.glob("*.py"))
    assert files
    run = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    said = run.stdout + run.stderr
    assert run.returncode in (0, 1), said
    found = {(Path(match["file"]).name, int(match["line"])) for match in FINDING.finditer(said)}
    assert bool(found) == (run.returncode == 1), said
    return found, said


def marked(folder: Path) -> set[tuple[str, int]]:
    return {
        (file.name, number)
        for file in folder.glob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line.endswith("# error")
    }


@shows("These types check in mypy and pyright strict without an ignore")
@pytest.mark.slow
@pytest.mark.parametrize("command", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_what_users_write_checks_without_an_ignore(command: list[str]) -> None:
    found, said = findings(command, HERE / "ok")
    assert not found, said
    assert not any("type: ignore" in file.read_text() for file in (HERE / "ok").glob("*.py"))


@shows("These types check in mypy and pyright strict without an ignore")
@pytest.mark.slow
@pytest.mark.parametrize("command", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_what_is_wrong_is_found_where_it_stands(command: list[str]) -> None:
    found, said = findings(command, HERE / "bad")
    assert marked(HERE / "bad")
    assert found == marked(HERE / "bad"), said
