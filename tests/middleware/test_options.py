"""Options are of the types that they say, keyword-only and frozen; a wrong one is an error when built."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware._options import check_options
from tests.middleware.test_order_rules import MADE

Key = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Everything:
    """An option of each kind of annotation."""

    flag: bool = False
    number: int = 1
    maybe: int | None = None
    seconds: float = 1.0
    name: str = "x"
    names: Sequence[str] = ()
    fixed: tuple[str, ...] = ()
    pair: tuple[str, str] | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    table: Mapping[str, int] = field(default_factory=dict)
    nested: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    word: Literal["a", "b"] | Callable[[str], str] = "a"
    status: Literal[301, 308] = 301
    key: Key = str
    where: str | Path = "."
    kinds: Mapping[type[Exception], int] = field(default_factory=dict)
    unread: list[int] = field(default_factory=list)
    dotted: threading.Lock | None = None

    def __post_init__(self) -> None:
        check_options(self)  # type: ignore[arg-type]  # mypy does not see that it is a dataclass while it is one


GOOD: list[tuple[str, object]] = [
    ("flag", True),
    ("number", 5),
    ("maybe", 5),
    ("maybe", None),
    ("seconds", 2),
    ("seconds", 0.5),
    ("names", ["a", "b"]),
    ("names", {"a"}),
    ("fixed", ["a"]),
    ("pair", ("a", "b")),
    ("pair", ["a", "b"]),
    ("pairs", [["a", "b"], ("c", "d")]),
    ("table", {"a": 1}),
    ("nested", {"a": {"b": None, "c": "d"}}),
    ("word", "b"),
    ("word", str.lower),
    ("status", 308),
    ("key", str.upper),
    ("where", Path()),
    ("kinds", {ValueError: 400}),
    ("unread", "anything"),
    ("dotted", "anything"),
]
BAD: list[tuple[str, object]] = [
    ("flag", "false"),
    ("flag", 1),
    ("flag", None),
    ("number", "5"),
    ("number", 5.0),
    ("number", True),
    ("number", None),
    ("maybe", "5"),
    ("seconds", "1"),
    ("seconds", True),
    ("name", None),
    ("name", b"x"),
    ("names", "abc"),
    ("names", b"abc"),
    ("names", {"a": 1}),
    ("names", [1]),
    ("names", 5),
    ("fixed", "abc"),
    ("pair", ("a",)),
    ("pair", ("a", "b", "c")),
    ("pair", ("a", 1)),
    ("pairs", [("a",)]),
    ("pairs", ["ab"]),
    ("table", [("a", 1)]),
    ("table", {"a": "1"}),
    ("table", {1: 1}),
    ("nested", {"a": "b"}),
    ("word", 5),
    ("status", "308"),
    ("key", "x"),
    ("where", 5),
    ("kinds", {"ValueError": 400}),
]


@pytest.mark.parametrize(("option", "value"), GOOD)
def test_values_of_the_annotated_type_are_accepted(option: str, value: object) -> None:
    assert getattr(Everything(**{option: value}), option) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(("option", "value"), BAD)
def test_a_value_of_the_wrong_type_is_refused_with_the_right_type(option: str, value: object) -> None:
    must = r"must be |takes a tuple of strings, even for one, got "
    with pytest.raises(ConfigurationError, match=rf"Everything\({option}=\.\.\.\) ({must})") as caught:
        Everything(**{option: value})  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


def test_one_string_for_a_sequence_is_refused_and_the_error_shows_the_tuple() -> None:
    with pytest.raises(ConfigurationError, match=r"got '/livez'; write exempt=\(\"/livez\",\)"):
        replace(MADE["TrustedHost"](), exempt="/livez")  # type: ignore[call-arg]


OPTIONS = [(name, option.name) for name, make in MADE.items() for option in fields(make())]  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[".".join(each) for each in OPTIONS])
def test_every_option_checks_its_type(name: str, option: str) -> None:
    """Each of these fits no option of ours, and none may wait for the first request to say so."""
    for value in (object(), [object()], {"": object()}):
        with pytest.raises(ConfigurationError):
            replace(MADE[name](), **{option: value})  # type: ignore[type-var]


@pytest.mark.parametrize("name", MADE)
def test_a_middleware_is_frozen_keyword_only_and_comparable(name: str) -> None:
    one = MADE[name]()
    assert one == MADE[name]()
    assert repr(one).startswith(f"{name}(")
    assert all(option.kw_only for option in fields(one))  # type: ignore[arg-type]
    for option in fields(one):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(one, option.name, None)
