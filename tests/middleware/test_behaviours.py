"""No sentence without a test: the index of behaviours is complete and true."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from gateway import middleware
from tests.middleware.behaviours import FOLDER, Behaviour, load

HERE = Path(__file__).parent
#: Modules of the package that are no middleware of their own.
OTHERS = {"presets"}
#: What is specified like a middleware and lives elsewhere: its tests, from here.
ELSEWHERE = {"mount": "../gateway/test_mount.py"}
#: The parameter by which a test stands in both drivers and both adapters; that of a mount does so with its own parts.
EVERY_WAY = {"stack"}
EVERY_WAY_OF = {"mount": {"server"}}


@functools.cache
def parameters(path: Path) -> dict[str, set[str]]:
    """Name the test functions of a module, with their parameters."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: {argument.arg for argument in node.args.args}
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def shown_by(behaviour: Behaviour) -> dict[str, set[str]]:
    """Find the tests of a sentence, with their parameters; one that does not exist is a KeyError."""
    own = ELSEWHERE.get(behaviour.middleware, f"test_{behaviour.middleware}.py")
    found = {}
    for test in behaviour.tests:
        module, _, name = test.rpartition("::")
        found[test] = parameters(HERE / (module or own))[name]
    return found


@pytest.mark.parametrize(
    "behaviour", load(), ids=lambda behaviour: f"{behaviour.middleware}: {behaviour.sentence}"[:90]
)
def test_every_behaviour_has_a_test_in_every_mode_or_a_reason(behaviour: Behaviour) -> None:
    shown = shown_by(behaviour)
    assert shown, "a sentence without a test"
    ways = EVERY_WAY_OF.get(behaviour.middleware, EVERY_WAY)
    every_way = any(parameters & ways for parameters in shown.values())
    assert every_way != bool(behaviour.once), "in both drivers and adapters, or once and why"


def test_every_middleware_has_its_index() -> None:
    modules = {path.stem for path in Path(str(middleware.__file__)).parent.glob("[a-z]*.py")} - OTHERS
    assert {path.stem for path in FOLDER.glob("*.toml")} == modules | set(ELSEWHERE)
