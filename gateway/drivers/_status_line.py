"""Status lines, parsed once: applications repeat few."""

from __future__ import annotations

from typing import Final

__all__ = ["lines", "parse"]

#: What was parsed, by line; a driver looks here first.
lines: Final[dict[str, tuple[int, str]]] = {}
MOST: Final = 256


def parse(line: str) -> tuple[int, str]:
    """Return status and reason phrase of a line, and remember them."""
    code, _, reason = line.partition(" ")
    parsed = int(code), reason
    if len(lines) < MOST:
        lines[line] = parsed
    return parsed
