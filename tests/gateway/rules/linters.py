"""Every assertion of the WSGI linters of the field, read from their sources."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import Counter

LINTERS = ("wsgiref.validate", "webtest.lint", "werkzeug.middleware.lint")
#: Calls that check something, besides `assert` and `raise`.
_CHECKS = {"assert_", "warn", "check_string_type", "check_type"}
#: Where these are defined, they check nothing of their own.
_DEFINITIONS = {"assert_", "check_string_type", "check_type", "_assert_latin1_str", "to_string"}


def _text(node: ast.AST) -> str:
    """The first words that the assertion says, or its condition where it says nothing."""
    words = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    spoken = [word for word in words if " " in word.strip()]
    if spoken:
        return " ".join(spoken[0].split())[:44].strip()
    if isinstance(node, ast.Assert):
        return ast.unparse(node.test)[:44]
    return ast.unparse(node)[:44]


class _Assertions(ast.NodeVisitor):
    def __init__(self) -> None:
        self.scope: list[str] = []
        self.found: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._nest(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name not in _DEFINITIONS:
            self._nest(node)

    def _nest(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self.scope.append(node.name)
        self.generic_visit(node)
        self.scope.pop()

    def visit_Assert(self, node: ast.Assert) -> None:
        self._add(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _CHECKS or name == "_assert_latin1_str":
            self._add(node)
        else:
            self.generic_visit(node)

    def _add(self, node: ast.AST) -> None:
        self.found.append(f"{'.'.join(self.scope)}: {_text(node)}")


def assertions(linter: str) -> list[str]:
    """Every assertion of a linter: where it stands and what it says; repeated ones numbered."""
    visitor = _Assertions()
    visitor.visit(ast.parse(inspect.getsource(importlib.import_module(linter))))
    seen: Counter[str] = Counter()
    named = []
    for text in visitor.found:
        seen[text] += 1
        named.append(text if seen[text] == 1 else f"{text} #{seen[text]}")
    return named
