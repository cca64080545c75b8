"""Every public name has a docstring and an entry in the API reference, and so has every public method."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: The modules that users import from, and those whose names appear in their signatures.
MODULES = (
    "gateway",
    "gateway.adapters",
    "gateway.application",
    "gateway.chain",
    "gateway.compat",
    "gateway.compat.a2wsgi",
    "gateway.compat.asgiref",
    "gateway.compat.starlette",
    "gateway.compat.uvicorn",
    "gateway.config",
    "gateway.contract",
    "gateway.django",
    "gateway.errors",
    "gateway.exchange",
    "gateway.headers",
    "gateway.middleware",
    "gateway.mount",
    "gateway.plugins",
    "gateway.problems",
    "gateway.protocols",
    "gateway.rules",
    "gateway.servers",
    "gateway.testing",
    "gateway.testing.served",
    "gateway.testing.strategies",
)
DIRECTIVE = re.compile(r"^\.\. auto\w+:: (gateway[\w.]*)\.(\w+)$", re.MULTILINE)


def public() -> list[tuple[str, str]]:
    """List each public module with each of its names."""
    return [
        (module, name)
        for module in MODULES
        for name in importlib.import_module(module).__all__
        if not name.startswith("__")
    ]


def has_comment(module: str, name: str) -> bool:
    """Return whether the definition of a constant or an alias follows a comment that begins with ``#:``."""
    imported = importlib.import_module(module)
    lines = Path(str(imported.__file__)).read_text(encoding="utf-8").splitlines()
    for node in ast.walk(ast.parse("\n".join(lines))):
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        if isinstance(target, ast.Name) and target.id == name:
            above = lines[: node.lineno - 1]
            while above and above[-1].startswith("#") and not above[-1].startswith("#:"):
                above.pop()
            return bool(above) and above[-1].startswith("#:")
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return not str(node.module).startswith("gateway") or has_comment(str(node.module), name)
    return False


@pytest.mark.parametrize(("module", "name"), public())
def test_a_public_name_has_a_docstring(module: str, name: str) -> None:
    value: Any = getattr(importlib.import_module(module), name)
    if not inspect.isclass(value):
        assert inspect.getdoc(value) if isinstance(value, FunctionType) else has_comment(module, name)
        return
    assert value.__doc__
    members = {
        member: getattr(value, member)
        for member, found in vars(value).items()
        if not member.startswith("_") and isinstance(found, FunctionType | property | classmethod | staticmethod)
    }
    assert [member for member, found in members.items() if not inspect.getdoc(found)] == []


def test_every_public_name_is_in_the_reference() -> None:
    entries = [
        entry
        for page in sorted((ROOT / "docs" / "api").glob("*.md"))
        for entry in DIRECTIVE.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(entries) == len(set(entries))
    described = [getattr(importlib.import_module(module), name) for module, name in entries]
    missing = [
        f"{module}.{name}"
        for module, name in public()
        if not any(getattr(importlib.import_module(module), name) is value for value in described)
    ]
    assert missing == []
