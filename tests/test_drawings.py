"""The drawings of the deployments are current, on their pages, and agree with the files that are generated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.middleware import presets
from tests.drawings import DRAWINGS, FOLDER, STYLE, draw

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs" / "how-to").glob("deploy-*.md"))
GOLDEN = ROOT / "tests" / "gateway" / "deploy" / "golden"


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_current(name: str) -> None:
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == draw(DRAWINGS[name]), "run python -m tests.drawings"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_of_a_deployment_has_its_drawing_before_its_files(page: Path) -> None:
    assert f":file: ../drawings/{page.stem}.svg" in page.read_text(encoding="utf-8").partition("\n## ")[0]


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_number_and_a_preset_of_a_drawing_are_those_of_the_files(name: str) -> None:
    boxes = [box for row in DRAWINGS[name].rows for box in row.boxes]
    for box in boxes:
        assert box.code == "" or hasattr(presets, box.code.partition("(")[0])
    folder = GOLDEN / name.removeprefix("deploy-")
    if folder.is_dir():
        files = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if path.is_file())
        numbers = {number for box in boxes for line in box.lines for number in re.findall(r"\d+", line)}
        assert {number for number in numbers if not re.search(rf"\b{number}s?\b", files)} == set()


def test_every_drawing_has_the_same_style_light_and_dark() -> None:
    assert "prefers-color-scheme:dark" in STYLE
    others = [path.name for path in sorted(FOLDER.glob("*.svg")) if f"<style>{STYLE}</style>" not in path.read_text()]
    assert others == []
