"""Options of a file: which strings are imported, by the annotation of the option."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from gateway._file_options import from_file
from gateway.errors import ConfigurationError

Check = Callable[[], object]
Answer = int | Check
NAME = "os:getcwd"


@dataclass(frozen=True)
class Case:
    annotation: object
    value: object
    expected: object


CASES = [
    # An annotation as it is written.
    Case("Callable[[Request], str | None]", NAME, os.getcwd),
    Case("Callable[..., bool] | None", NAME, os.getcwd),
    Case("Check", NAME, os.getcwd),
    Case("int | Check", NAME, os.getcwd),
    Case("Answer", NAME, os.getcwd),
    Case("type[Exception]", "builtins:OSError", OSError),
    Case("CollectorRegistry | None", NAME, os.getcwd),
    Case("'Check'", NAME, os.getcwd),
    Case('Literal["json"] | Check', "json", "json"),
    Case('Literal["json"] | Check', "jsn", "jsn"),
    Case('Literal["json"] | Check', NAME, os.getcwd),
    Case("Mapping[str, Check]", {"db": NAME}, {"db": os.getcwd}),
    Case("Mapping[type[Exception], Answer]", {"builtins:OSError": NAME}, {OSError: os.getcwd}),
    Case("Mapping[type[Exception], Answer]", {"builtins:OSError": 404}, {OSError: 404}),
    Case("Sequence[Check]", [NAME], [os.getcwd]),
    Case("tuple[Check, ...]", [NAME], [os.getcwd]),
    Case("str", NAME, NAME),
    Case("str | None", NAME, NAME),
    Case("str | Check", NAME, NAME),
    Case("Path", NAME, NAME),
    Case("Any", NAME, NAME),
    Case("object", NAME, NAME),
    Case("Sequence[str]", [NAME], [NAME]),
    Case("Mapping[str, str | Path]", {"/a": NAME}, {"/a": NAME}),
    Case("int", NAME, NAME),
    Case("typing.Callable", NAME, NAME),
    Case("Annotated[str, 1]", NAME, NAME),
    Case("", NAME, NAME),
    Case("Callable[[], str]", 5, 5),
    # An annotation that was evaluated.
    Case(Parameter.empty, NAME, NAME),
    Case(Callable[[], str], NAME, os.getcwd),
    Case(Callable, NAME, os.getcwd),
    Case(Optional[Check], NAME, os.getcwd),  # noqa: UP045
    Case(Union[int, Check], NAME, os.getcwd),  # noqa: UP007
    Case(Answer, NAME, os.getcwd),
    Case(type[Exception], "builtins:OSError", OSError),
    Case(Path | Check, NAME, NAME),
    Case(Literal["json"] | Check, "json", "json"),
    Case(Mapping[str, Check], {"db": NAME}, {"db": os.getcwd}),
    Case(Sequence[Check], [NAME], [os.getcwd]),
    Case(str, NAME, NAME),
    Case(Any, NAME, NAME),
    Case(OSError, NAME, os.getcwd),
    Case([], NAME, NAME),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.annotation} {case.value}".replace("/", "-"))
def test_a_string_is_imported_if_the_option_takes_no_strings(case: Case) -> None:
    assert from_file(case.value, case.annotation, globals()) == case.expected


def test_a_function_by_import_string_may_be_called() -> None:
    assert from_file("operator:itemgetter(1)", "Check", globals())("ab") == "b"  # type: ignore[operator]


def test_a_string_that_cannot_be_imported_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be an import string, 'module:name', found 'getcwd'"):
        from_file("getcwd", "Check", globals())
    with pytest.raises(ConfigurationError, match="os has no attribute 'gitcwd'"):
        from_file("os:gitcwd", "Check", globals())
