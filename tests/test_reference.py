"""The reference has what is public: each name of the packages that users import from, each option of an adapter."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import a2wsgi
import asgiref.wsgi
import pytest

import gateway.adapters
import gateway.middleware

DOCS = Path(__file__).resolve().parent.parent / "docs"
PACKAGES = ("gateway", "gateway.adapters", "gateway.middleware", "gateway.testing")


def names() -> list[str]:
    return sorted({name for package in PACKAGES for name in importlib.import_module(package).__all__})


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith("__")])
def test_a_public_name_is_in_the_reference(name: str) -> None:
    pages = [*(DOCS / "reference").glob("*.md"), *(DOCS / "middleware").glob("*.md")]
    named = re.compile(rf"`[^`\n]*\b{name}\b|^# {name}$|^(from|class|def) .*\b{name}\b", re.MULTILINE)
    assert any(named.search(page.read_text("utf-8")) for page in pages)


@pytest.mark.parametrize("name", gateway.adapters.__all__)
def test_the_options_of_an_adapter_are_in_the_reference(name: str) -> None:
    adapter: Any = getattr(gateway.adapters, name)
    page = (DOCS / "reference" / "adapters.md").read_text("utf-8")
    section = page.partition(f"## `{name}(app, ...)`")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", section, re.M)
    options = [each for each in inspect.signature(adapter).parameters.values() if each.name != "app"]
    assert told == [(each.name, _spelled(each.default)) for each in options]


@pytest.mark.parametrize(
    "adapter", [a2wsgi.WSGIMiddleware, a2wsgi.ASGIMiddleware, asgiref.wsgi.WsgiToAsgi], ids=lambda value: value.__name__
)
def test_whoever_moves_finds_each_option_of_the_other_adapter(adapter: Any) -> None:
    page = (DOCS / "how-to" / "migrate-adapters.md").read_text("utf-8")
    _, *options = inspect.signature(adapter).parameters
    assert [option for option in options if f"{adapter.__name__}(app, {option}=" not in page] == []


def defaults() -> list[tuple[str, str, str]]:
    page = (DOCS / "reference" / "defaults.md").read_text("utf-8")
    return re.findall(r"^\| `(\w+)\((\w+)=\)` \| `?([^|`]+?)`? \|", page, re.M)


@pytest.mark.parametrize(("name", "option", "told"), defaults())
def test_a_default_limit_is_the_default(name: str, option: str, told: str) -> None:
    kind: Any = getattr(gateway, name, None) or getattr(gateway.middleware, name)
    default = inspect.signature(kind).parameters[option].default
    if name == "Gateway" and option == "threads":  # the adapter has the number
        default = inspect.signature(gateway.adapters.WsgiToAsgi).parameters["threads"].default
    assert told == ("required" if default is inspect.Parameter.empty else repr(default))


def test_the_page_of_the_limits_has_rows() -> None:
    assert len(defaults()) > 15


def _spelled(default: object) -> str:
    if isinstance(default, str):
        return f'"{default}"'
    return f"{default:_}" if type(default) is int and default >= 10_000 else repr(default)
