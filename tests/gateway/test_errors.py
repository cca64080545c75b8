"""What the errors promise: an extra that a message names brings the package that is missing."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Extras for whoever works on this project.
OURS = {"test", "applications", "bench", "servers-native", "anchors", "docs", "lint"}


def named() -> list[tuple[str, ast.Call]]:
    """Every place where the error is raised."""
    files = [file for folder in ("gateway", "adapters", "middleware") for file in sorted((ROOT / folder).rglob("*.py"))]
    return [
        (f"{file.parent.name}/{file.name}", node.exc)
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and getattr(node.exc.func, "id", "") == "MissingExtraError"
    ]


@pytest.mark.parametrize(("place", "call"), named(), ids=lambda value: value if isinstance(value, str) else "")
def test_an_extra_that_a_message_names_brings_the_package(place: str, call: ast.Call) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extra = call.args[1]
    assert isinstance(extra, ast.Constant)
    assert extra.value not in OURS
    brought = {re.split(r"[\[>=;]", requirement)[0].replace("-", "_") for requirement in extras[extra.value]}
    package = next(keyword.value for keyword in call.keywords if keyword.arg == "package")
    if isinstance(package, ast.Constant):
        assert str(package.value).replace("-", "_") in brought
