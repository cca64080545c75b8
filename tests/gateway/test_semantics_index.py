"""No sentence of the contract's semantics without a test: the index is complete and true."""

from __future__ import annotations

import ast
import functools
import tomllib
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reference" / "contract.md"
INDEX: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "semantics.toml").read_text(encoding="utf-8"))[
    "part"
]
PARTS = [
    "Hooks",
    "Generator form",
    "Request",
    "Short-circuit at k",
    "Errors",
    "A refusal in a request body is remembered",
    "Completion",
    "Late starts",
    "Bodies",
    "WebSocket",
    "Concurrency",
    "Twice",
    "Drivers",
    "Plan",
    "Contract",
]
SENTENCES = [(part["name"], sentence) for part in INDEX for sentence in part["sentences"]]


@functools.cache
def functions(module: str) -> set[str]:
    """Name the test functions of a module."""
    tree = ast.parse((TESTS / f"{module}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda entry: f"{entry[0]}: {entry[1]['text']}"[:90])
def test_every_sentence_has_tests_that_exist(sentence: tuple[str, dict[str, Any]]) -> None:
    _, entry = sentence
    if "documented" in entry:
        assert "tests" not in entry, "what can be tested needs no other proof"
        assert entry["documented"] in PAGE.read_text(encoding="utf-8")
        return
    assert entry["tests"], "a sentence without a test"
    for module, names in entry["tests"].items():
        assert names
        assert set(names) <= functions(module), module


def test_every_part_is_there_and_no_sentence_twice() -> None:
    assert [part["name"] for part in INDEX] == PARTS
    texts = [entry["text"] for _, entry in SENTENCES]
    assert len(texts) == len(set(texts))
    assert sum("documented" in entry for _, entry in SENTENCES) <= 2
