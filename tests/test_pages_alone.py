"""Each page runs as it is shown: its visible blocks in one file, with only the packages that the page names.

A reader who comes to a page has `anytier` itself. A page names more by an extra, such as ``anytier[testing]``, or by a
line ``pip install anytier ...``. The environment of a page has links to those packages, and to all that they require,
in the environment of the suite: what pip would install, without a download for each page. The test of the quickstart
installs for real.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"^(% skip: next[^\n]*\n\n)?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"pip install ((?:\"anytier\[[\w,]+\]\"|anytier)[^`\n]*)")
EXTRA = re.compile(r"\banytier\[[\w,]+\]")
#: The programs of these pages run in `tests/evidence/field`: each is a file, with the packages that its issue names.
ISSUES = ROOT / "docs" / "explanation" / "field-report"
PAGES = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if page.parent != ISSUES and BLOCK.search(page.read_text(encoding="utf-8"))
]


def program(page: Path) -> str:
    """Return the visible blocks of a page as one file; a block is left out if it needs a project or a service."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return "\n\n".join(block for skipped, block in blocks if not skipped)


def packages(page: Path) -> frozenset[str]:
    """Return the requirements that a page names."""
    text = page.read_text(encoding="utf-8")
    words = [word.strip('"') for line in LINE.findall(text) for word in line.split() if not word.startswith("-")]
    return frozenset({"anytier", *words, *EXTRA.findall(text)})


def closure(needed: frozenset[str]) -> set[str]:
    """Return the names of all distributions that pip would install."""
    done: set[tuple[str, str]] = set()
    waiting = [Requirement(each) for each in needed]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) in done:
                continue
            done.add((requirement.name, extra))
            required = map(Requirement, distribution(requirement.name).requires or ())
            waiting += [each for each in required if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in done}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Return a function that links some packages, once for each set of them."""

    @cache
    def linked(needed: frozenset[str]) -> Path:
        folder = tmp_path_factory.mktemp("packages")
        (folder / "gateway").symlink_to(ROOT / "gateway")
        for name in closure(needed):
            for file in distribution(name).files or ():
                target = folder / file
                if ".." in file.parts or target.exists() or file.suffix in (".pth", ".pyc"):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(Path(str(file.locate())).resolve())
        return folder

    return linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_a_page_runs_alone(page: Path, folders: object, tmp_path: Path) -> None:
    assert callable(folders)
    (tmp_path / "page.py").write_text(program(page), encoding="utf-8")
    # Without `site`, the packages of the suite are not there.
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import page"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folders(packages(page)))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
