"""The form of the pages of evidence: three numbers first, bars beside counts, and raw data that a reader opens."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["bar", "chart", "fold", "numbers"]

_CELLS = 10


def numbers(*told: tuple[int | str, str]) -> str:
    """Return a table of numbers, or of numbers with their units, each above its meaning."""
    heads = " | ".join(f"{value:,}" if isinstance(value, int) else value for value, _ in told)
    texts = " | ".join(text for _, text in told)
    return f"| {heads} |\n|{'---|' * len(told)}\n| {texts} |\n"


def bar(part: int, whole: int) -> str:
    """Return a bar of ten cells: the share of a whole. Only a share of nothing is empty, and only all is full."""
    full = round(_CELLS * part / whole) if whole else 0
    full = min(max(full, part > 0), _CELLS - (part < whole))
    return "█" * full + "░" * (_CELLS - full)


def chart(what: str, counts: Mapping[str, int]) -> str:
    """Return a table of counts with bars, the largest first; the largest has a full bar."""
    most = max(counts.values(), default=0)
    rows = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return f"| | {what} | |\n|---|---|---|\n" + "".join(f"| {n} | {c} | {bar(c, most)} |\n" for n, c in rows)


def fold(title: str, text: str) -> str:
    """Return a part of a page that is closed at first."""
    return f"<details>\n<summary>{title}</summary>\n\n{text.strip()}\n\n</details>\n"
