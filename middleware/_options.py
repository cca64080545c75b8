"""Check the types of a middleware's options against their annotations, when the middleware is made.

A type checker finds wrong types in Python code, but not in TOML. This check finds them before the first request. For
example, ``refuse = "false"`` would be true, and ``exempt="/livez"`` would be six paths of one letter.

Pure. It reads the text of an annotation, so it imports nothing for it: names, ``X | Y``, ``Sequence[X]``,
``tuple[X, ...]``, ``Mapping[K, V]``, ``Literal[...]``, ``Callable[...]``. A list is accepted for a tuple, because TOML
has only lists. An annotation of any other form accepts every value.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Protocol, cast, get_origin

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import Any

__all__ = ["check_options", "check_paths"]


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def check_options(middleware: _Dataclass) -> None:
    """Compare every option with its annotation.

    Raises:
        ConfigurationError: An option has another type than its annotation.
    """
    kind = type(middleware)
    for option in fields(middleware):
        value = getattr(middleware, option.name)
        if value is option.default:
            continue
        annotation = option.type if isinstance(option.type, str) else ""
        if not _is(value, _read(annotation), vars(sys.modules[kind.__module__])):
            if isinstance(value, str) and ("Sequence[str]" in annotation or "tuple[str" in annotation):
                raise ConfigurationError(
                    f"{kind.__name__}({option.name}=...) takes a tuple of strings, even for one, got {value!r}; "
                    f'write {option.name}=("{value}",)'
                )
            raise ConfigurationError(f"{kind.__name__}({option.name}=...) must be {annotation}, got {value!r}")


def check_paths(middleware: _Dataclass, option: str) -> None:
    """Check that the paths of an option have the form of a request's path.

    Raises:
        ConfigurationError: A path does not begin with "/", so it could never match a request.
    """
    for path in cast("Collection[str]", getattr(middleware, option)):
        if not path.startswith("/"):
            raise ConfigurationError(
                f"{type(middleware).__name__}({option}=...) takes paths that begin with '/', got {path!r}. "
                f"Write {'/' + path!r}."
            )


@lru_cache(maxsize=256)
def _read(annotation: str) -> ast.expr:
    return ast.parse(annotation or "object", mode="eval").body


def _is(value: object, annotation: ast.expr, names: Mapping[str, object]) -> bool:
    """Return whether a value has the type of an annotation."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is(value, left, names) or _is(value, right, names)
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id=name):
            return _is_named(value, name, names)
        case ast.Subscript(value=ast.Name(id=name), slice=inside):
            arguments = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            return _is_made_of(value, name, arguments, names)
        case _:
            return True


def _is_named(value: object, name: str, names: Mapping[str, object]) -> bool:
    match name:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "str":
            return isinstance(value, str)
        case _:
            meant = names.get(name)
            if isinstance(meant, type):
                return isinstance(value, meant)
            return callable(value) if get_origin(meant) is Callable else True


def _is_made_of(value: object, name: str, arguments: list[ast.expr], names: Mapping[str, object]) -> bool:
    match name:
        case "Sequence" | "tuple":
            if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
                return False
            elements = list(cast("Collection[object]", value))
            ends_open = len(arguments) == 1 or isinstance(arguments[-1], ast.Constant)
            if ends_open:
                return all(_is(element, arguments[0], names) for element in elements)
            return len(elements) == len(arguments) and all(map(_is, elements, arguments, [names] * len(elements)))
        case "Mapping":
            if not isinstance(value, Mapping):
                return False
            pairs = cast("Mapping[object, object]", value).items()
            return all(_is(key, arguments[0], names) and _is(held, arguments[1], names) for key, held in pairs)
        case "Literal":
            # Check the type only: the middleware checks the value itself and raises a better error.
            return any(isinstance(value, type(ast.literal_eval(word))) for word in arguments)
        case "Callable":
            return callable(value)
        case "type":
            return isinstance(value, type)
        case _:
            return True
