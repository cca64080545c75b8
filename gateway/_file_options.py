"""Options of a configuration file for which TOML has no value: functions, classes and objects.

The file gives their import string, ``key = "shop.limits:by_user"``. The annotation of an option decides. A string stays
a string if the option takes strings, or if it is one of the option's words (``format = "json"``). Otherwise the string
is imported. The same rule covers the entries of lists and tables, and the keys of tables
(``answers = {"shop:Missing" = 404}``).

This module parses annotations as source text, because names that only type checkers import cannot be evaluated.
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, cast, get_args, get_origin

from gateway._load import load
from gateway.errors import ConfigurationError

__all__ = ["from_file"]


@dataclass(frozen=True)
class _Takes:
    """Values that an option accepts.

    Attributes:
        text: Accept any string.
        words: Accept these strings.
        code: Accept functions, classes or objects, which a file names by import string.
        key: Values accepted as keys of a table.
        entry: Values accepted as entries of a table or of a list.
    """

    text: bool = False
    words: frozenset[str] = frozenset()
    code: bool = False
    key: _Takes | None = None
    entry: _Takes | None = None

    def __or__(self, other: _Takes) -> _Takes:
        return _Takes(
            self.text or other.text,
            self.words | other.words,
            self.code or other.code,
            self.key or other.key,
            self.entry or other.entry,
        )


_NOTHING: Final = _Takes()
_TEXT: Final = _Takes(text=True)
_CODE: Final = _Takes(code=True)
#: Types whose values TOML can write itself, or that accept any string.
_WRITTEN: Final[Mapping[object, _Takes]] = {
    **dict.fromkeys((int, float, bool, bytes, None, type(None)), _NOTHING),
    **dict.fromkeys((str, object, Any, Path, inspect.Parameter.empty), _TEXT),
}
_NAMES: Final[Mapping[str, object]] = {
    **{kind.__name__: kind for kind in (int, float, bool, bytes, str, object, Path)},
    "Any": Any,
    "Callable": Callable,
}


def from_file(value: object, annotation: object, names: Mapping[str, object]) -> object:
    """Import the objects that the strings of an option name.

    Args:
        value: Value from the file.
        annotation: Annotation of the option, a string or an object.
        names: Names of the module that defines the option, to resolve the annotation.

    Raises:
        ConfigurationError: The option does not accept strings, and the value is not a valid import string.
    """
    return _converted(value, _read(annotation, names))


def _converted(value: object, takes: _Takes) -> object:
    if isinstance(value, str):
        return _imported(value, takes)
    if isinstance(value, dict) and takes.key is not None and takes.entry is not None:
        pairs = cast("Mapping[str, object]", value).items()
        return {_imported(key, takes.key): _converted(held, takes.entry) for key, held in pairs}
    if isinstance(value, list) and takes.entry is not None:
        return [_converted(each, takes.entry) for each in cast("Sequence[object]", value)]
    return value  # pyright: ignore[reportUnknownVariableType]  # of a list or a table of anything


def _imported(value: str, takes: _Takes) -> object:
    if takes.text or value in takes.words or not takes.code:
        return value
    if ":" in value:
        return load(value)[1]
    if takes.words:  # the middleware names its words
        return value
    raise ConfigurationError(f"must be an import string, 'module:name', found {value!r}")


def _read(annotation: object, names: Mapping[str, object]) -> _Takes:
    match annotation:
        case str():
            return _read(ast.parse(annotation, mode="eval").body, names) if annotation else _TEXT
        case ast.Constant(value=inside):
            return _read(inside, names)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _read(left, names) | _read(right, names)
        case ast.Name(id=name):
            # A name that only type checkers import cannot be resolved, so it counts as a class.
            return _read_object(_NAMES.get(name) or names.get(name, type), names)
        case ast.Subscript(value=ast.Name(id=name), slice=inside):
            arguments = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            if name == "Literal":
                return _Takes(words=frozenset(str(ast.literal_eval(word)) for word in arguments))
            return _made_of(name, arguments, names)
        case ast.AST():
            return _TEXT
        case _:
            return _read_object(annotation, names)


def _read_object(annotation: object, names: Mapping[str, object]) -> _Takes:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        taken = _NOTHING
        for each in arguments:
            taken |= _read(each, names)
        return taken
    if origin is Literal:
        return _Takes(words=frozenset(map(str, arguments)))
    if origin is not None:
        return _made_of(getattr(origin, "__name__", ""), arguments, names)
    try:
        known = _WRITTEN.get(annotation)
    except TypeError:  # not hashable, so not a type
        return _TEXT
    if known is not None:
        return known
    return _CODE if annotation is Callable or isinstance(annotation, type) else _TEXT


def _made_of(name: str, arguments: Iterable[object], names: Mapping[str, object]) -> _Takes:
    inside = list(arguments)
    match name:
        case "Callable" | "type":
            return _CODE
        case "Mapping" | "dict" if len(inside) == 2:
            return _Takes(key=_read(inside[0], names), entry=_read(inside[1], names))
        case "Sequence" | "tuple" | "list" if inside:
            return _Takes(entry=_read(inside[0], names))
        case _:
            return _TEXT
