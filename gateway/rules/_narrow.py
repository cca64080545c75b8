"""Type checks for values of unknown types.

Messages, scopes and environs can contain any object. These functions report its kind in types that a type checker
follows. They never raise, and never consume an iterator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

from gateway.protocols import Environ

__all__ = [
    "exactly",
    "is_buffer",
    "is_collection",
    "is_environ",
    "is_iterable",
    "is_list",
    "is_mapping",
    "is_pair",
    "is_sequence",
    "is_tuple",
    "number",
    "size",
    "strings",
    "type_name",
]


#: Most digits that the length of a body can have: an exbibyte has 19. Python refuses to parse thousands of digits.
_MOST_DIGITS = 19


def number(text: bytes | str) -> int | None:
    """Parse a length. Returns None if it is not decimal or has more than 19 digits."""
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= _MOST_DIGITS else None


def strings(environ: Environ) -> Iterator[tuple[str, object]]:
    """Iterate over the items whose key is a str; a server may have given others."""
    return ((key, value) for key, value in environ.items() if type(key) is str)


def type_name(value: object) -> str:
    """Return the name of a value's type."""
    return type(value).__name__


def exactly(value: object, cls: type) -> bool:
    """Tell whether a value has exactly this type, not a subclass."""
    return type(value) is cls


def size(value: object) -> int:
    """Return the number of bytes of a bytes-like value; 0 for anything else."""
    if isinstance(value, memoryview):
        return value.nbytes
    return len(value) if isinstance(value, (bytes, bytearray)) else 0


def is_buffer(value: object) -> bool:
    """Tell whether a value is bytes, or a bytes-like type that servers accept."""
    return isinstance(value, (bytes, bytearray, memoryview))


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Tell whether a value is a dict, with any keys."""
    return isinstance(value, dict)


def is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    """Tell whether a value is a list or a tuple, with any items."""
    return isinstance(value, (list, tuple))


def is_list(value: object) -> TypeGuard[list[object]]:
    """Tell whether a value is a list, with any items."""
    return isinstance(value, list)


def is_tuple(value: object) -> TypeGuard[tuple[object, ...]]:
    """Tell whether a value is a tuple, with any items."""
    return isinstance(value, tuple)


def is_environ(value: object) -> TypeGuard[Environ]:
    """Tell whether a value can be used as an environ."""
    return isinstance(value, dict)


def is_pair(value: object) -> TypeGuard[Sequence[object]]:
    """Tell whether a value is a two-item list or tuple."""
    return is_sequence(value) and len(value) == 2


def is_iterable(value: object) -> TypeGuard[Iterable[object]]:
    """Tell whether a value can be iterated."""
    return isinstance(value, Iterable)


def is_collection(value: object) -> TypeGuard[Iterable[object]]:
    """Tell whether a value can be iterated several times, so that a check does not consume it."""
    if isinstance(value, (str, bytes, bytearray, dict)) or not is_iterable(value):
        return False
    try:
        return iter(value) is not value
    except Exception:  # any object can be in a message
        return False
