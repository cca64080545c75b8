"""No sentence without a test: ``@shows`` names sentences of ``sentences.toml`` only, and each of them is shown."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway import middleware

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reference" / "contract.md"
LIST = tomllib.loads((TESTS / "sentences.toml").read_text(encoding="utf-8"))
ENTRIES = [(name, entry) for table in LIST.values() for name, entries in table.items() for entry in entries]
SENTENCES = [(name, entry) for name, entry in ENTRIES if isinstance(entry, str)]
DOCUMENTED = [entry for _, entry in ENTRIES if not isinstance(entry, str)]
PARTS = (
    "Hooks, Generator form, Request, Short-circuit at k, Errors, A refusal in a request body is remembered, Completion,"
    " Late starts, Bodies, WebSocket, Concurrency, Twice, Drivers, Plan, Contract"
)
#: Modules of the package that are no middleware of their own, and what is specified like a middleware beside them.
OTHERS = {"presets"}
ELSEWHERE = {"mount"}
#: The parameter by which a test stands in both drivers and both adapters; that of a mount does so with its own parts.
EVERY_WAY = "stack"
EVERY_WAY_OF = {"mount": "server"}


class Shown(NamedTuple):
    """A test that shows a sentence, its parameters, and why it does not stand in both drivers and adapters."""

    test: str
    parameters: set[str]
    once: str | None


@functools.cache
def read() -> tuple[dict[str, list[Shown]], list[str]]:
    """Read the tests of each sentence from their source, and the files with a decorator that stands on no test."""
    found, misplaced = defaultdict(list), []
    for path in TESTS.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        written = len(re.findall(r"^\s*@shows\(", source, re.MULTILINE))
        if not written:
            continue
        collected = path.name.startswith("test_") and TESTS / "evidence" not in path.parents
        for node in ast.parse(source).body if collected else ():
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "shows":
                    (sentence,) = map(ast.literal_eval, call.args)
                    once = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}.get("once")
                    parameters = {argument.arg for argument in node.args.args}
                    found[sentence].append(Shown(f"{path.relative_to(TESTS)}::{node.name}", parameters, once))
                    written -= 1
        if written:
            misplaced.append(str(path))
    return found, misplaced


@pytest.mark.parametrize(("name", "sentence"), SENTENCES, ids=lambda text: text[:80])
def test_every_sentence_has_a_test_in_every_mode_or_a_reason(name: str, sentence: str) -> None:
    tests = read()[0].get(sentence, [])
    assert tests, "a sentence without a test"
    assert len({each.test for each in tests}) == len(tests), "twice on one test"
    reasons = [each.once for each in tests if each.once is not None]
    if name in LIST["contract"]:
        assert not reasons, "once is for a middleware"
        return
    every_way = any(EVERY_WAY_OF.get(name, EVERY_WAY) in each.parameters for each in tests)
    assert all(reasons)
    assert len(reasons) == (not every_way), "in both drivers and adapters, or once and why"


def test_every_decorator_stands_on_a_test_and_names_a_sentence_of_the_list() -> None:
    found, misplaced = read()
    assert misplaced == []
    listed = {sentence for _, sentence in SENTENCES}
    assert {sentence: tests for sentence, tests in found.items() if sentence not in listed} == {}


def test_what_is_documented_stands_on_the_page() -> None:
    assert len(DOCUMENTED) <= 2
    page = PAGE.read_text(encoding="utf-8")
    assert [entry for entry in DOCUMENTED if entry["documented"] not in page] == []


def test_every_middleware_and_every_part_is_there_and_no_sentence_twice() -> None:
    modules = {path.stem for path in Path(str(middleware.__file__)).parent.glob("[a-z]*.py")} - OTHERS
    assert set(LIST["middleware"]) == modules | ELSEWHERE
    assert ", ".join(LIST["contract"]) == PARTS
    texts = Counter(entry if isinstance(entry, str) else entry["sentence"] for _, entry in ENTRIES)
    assert max(texts.values()) == 1
