"""The ``Range`` header: select the bytes of a representation that a request wants.

Pure. One range gives 206. Several ranges give the whole representation, which a server may always send. A value outside
the grammar is ignored, and a range that begins after the end gives 416.

Sources: RFC 9110 sections 14.1.2 (byte ranges), 14.2 (Range), 15.5.17 (416).
"""

from __future__ import annotations

import re
from typing import Literal

from gateway._bounds import BOUNDS

__all__ = ["content_range", "select_range"]

_LONGEST = BOUNDS["range"].characters
_MOST_DIGITS = 19
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")


def select_range(value: str | None, length: int) -> tuple[int, int] | Literal["unsatisfiable"] | None:
    """Choose the bytes to serve.

    Args:
        value: The value of ``Range``, or None.
        length: Size of the representation in bytes.

    Returns:
        ``(start, stop)``, half-open; "unsatisfiable" for 416; None to serve the whole representation.

    >>> select_range("bytes=0-0", 10), select_range("bytes=-3", 10), select_range("bytes=10-", 10)
    ((0, 1), (7, 10), 'unsatisfiable')
    """
    if value is None or len(value) > _LONGEST:
        return None
    unit, separator, ranges = value.strip(" \t").partition("=")
    if not separator or unit.lower() != "bytes":
        return None
    specs = [spec.strip(" \t") for spec in ranges.split(",")]
    specs = [spec for spec in specs if spec]
    parsed = [_parse(spec) for spec in specs]
    if not parsed or any(spec is None for spec in parsed) or len(parsed) > 1:
        return None
    first, last = parsed[0] or (None, None)
    if first is None:
        suffix = last or 0
        return (max(length - suffix, 0), length) if suffix and length else "unsatisfiable"
    if first >= length:
        return "unsatisfiable"
    return first, length if last is None else min(last + 1, length)


def content_range(selected: tuple[int, int] | Literal["unsatisfiable"], length: int) -> str:
    """Return the value of ``Content-Range`` for a 206 or a 416.

    >>> content_range((0, 1), 10), content_range("unsatisfiable", 10)
    ('bytes 0-0/10', 'bytes */10')
    """
    if selected == "unsatisfiable":
        return f"bytes */{length}"
    return f"bytes {selected[0]}-{selected[1] - 1}/{length}"


def _parse(spec: str) -> tuple[int | None, int | None] | None:
    """Parse ``first-last``, ``first-`` or ``-suffix``; return None if it is outside the grammar."""
    match = _SPEC.fullmatch(spec)
    if match is None or len(spec) > 2 * _MOST_DIGITS or not (match[1] or match[2]):
        return None
    first = int(match[1]) if match[1] else None
    last = int(match[2]) if match[2] else None
    if first is not None and last is not None and last < first:
        return None
    return first, last
