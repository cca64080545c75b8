"""The page of each middleware: there is one, its generated end is current, and it holds what a page must."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

from gateway.contract import Middleware
from tests.middleware.pages import FOLDER, MARK, OTHERS, classes, current, described

CLASSES = classes()


def test_every_middleware_has_a_page_and_every_page_a_middleware() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(CLASSES) | OTHERS
    assert len(CLASSES) == 16


@pytest.mark.parametrize("name", CLASSES)
def test_the_generated_end_of_a_page_is_current(name: str) -> None:
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert page == current(name, CLASSES[name]), "run python -m tests.middleware.pages"


@pytest.mark.parametrize("name", CLASSES)
def test_every_option_is_described(name: str) -> None:
    kind: type[Middleware] = CLASSES[name]
    assert list(described(kind)) == [field.name for field in fields(kind)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CLASSES)
def test_a_page_has_an_example_and_says_how_the_two_interfaces_differ(name: str) -> None:
    written = (FOLDER / f"{name}.md").read_text(encoding="utf-8").partition(MARK)[0]
    assert written.startswith(f"# {CLASSES[name].__name__}\n")
    assert "```python\n" in written
    assert f"{CLASSES[name].__name__}(" in written
    assert written.partition("\n## On WSGI and on ASGI\n\n")[2].strip()


def test_a_description_is_read_over_its_lines() -> None:
    class Kind:
        """What it is.

        Args:
            one: First
                and more.
            two: Second.

        Raises:
            ValueError: never.
        """

    assert described(Kind) == {"one": "First and more.", "two": "Second."}
    assert inspect.getdoc(Kind)
