"""No sentence without a test: the index of behaviours is complete and true."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gateway import middleware
from tests.middleware.behaviours import FOLDER, Behaviour, load

HERE = Path(__file__).parent
#: Modules of the package that are no middleware of their own.
OTHERS = {"presets"}


def test_functions(module: str) -> set[str]:
    """Name the test functions of a middleware's test module."""
    tree = ast.parse((HERE / f"test_{module}.py").read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


test_functions.__test__ = False  # type: ignore[attr-defined]  # a helper, not a test


@pytest.mark.parametrize(
    "behaviour", load(), ids=lambda behaviour: f"{behaviour.middleware}: {behaviour.sentence}"[:90]
)
def test_every_sentence_names_tests_that_exist(behaviour: Behaviour) -> None:
    assert behaviour.tests, "a sentence without a test"
    assert set(behaviour.tests) <= test_functions(behaviour.middleware)


def test_every_middleware_has_its_index() -> None:
    modules = {path.stem for path in Path(str(middleware.__file__)).parent.glob("[a-z]*.py")} - OTHERS
    assert {path.stem for path in FOLDER.glob("*.toml")} == modules
