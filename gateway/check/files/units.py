"""Times, sizes and lists as configuration files write them."""

from __future__ import annotations

import re

__all__ = ["millis", "number", "octal", "quantity", "seconds", "size", "uncommented"]

_MINUTE, _HOUR = 60.0, 3600.0
_UNITS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hr", "hour", "hours"), _HOUR),
    "us": 1e-6,
    "ms": 1e-3,
    "d": 24 * _HOUR,
    "w": 168 * _HOUR,
}
_SIZES = {
    **dict.fromkeys(("", "b"), 1),
    **dict.fromkeys(("k", "kib", "ki"), 2**10),
    **dict.fromkeys(("m", "mib", "mi"), 2**20),
    **dict.fromkeys(("g", "gib", "gi"), 2**30),
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
}


def number(text: str) -> float | None:
    """Return a number, or None if the text is not one."""
    try:
        return float(text)
    except ValueError:
        return None


def seconds(text: str, unit: str = "s") -> float | None:
    """Return a time in seconds.

    >>> seconds("1m30s"), seconds("500ms"), seconds("5000", "ms"), seconds("1min 30s"), seconds("$x")
    (90.0, 0.5, 5.0, 90.0, None)
    """
    text = text.strip().lower()
    if text in ("infinity", "off", "never"):
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", "", text):
        return None
    total = 0.0
    for value, name in parts:
        factor = _UNITS.get(name or unit)
        if factor is None:
            return None
        total += float(value) * factor
    return total


def millis(text: str) -> float | None:
    """Return a time of HAProxy, which counts milliseconds without a unit, in seconds."""
    return seconds(text, "ms")


def size(text: str) -> float | None:
    """Return a size in bytes.

    >>> size("10m"), size("8k"), size("10MB"), size("1g")
    (10485760.0, 8192.0, 10000000.0, 1073741824.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    factor = _SIZES.get(match[2]) if match else None
    return None if match is None or factor is None else float(match[1]) * factor


def octal(text: str) -> float | None:
    """Return a mode or a umask, or None if the text is not one.

    >>> octal("0660"), octal("0o007"), octal("u=rw")
    (432.0, 7.0, None)
    """
    digits = text.strip().removeprefix("0o")
    return float(int(digits, 8)) if digits and set(digits) <= set("01234567") else None


def quantity(text: str) -> float | None:
    """Return a quantity of Kubernetes: 512Mi in bytes, 250m of a processor as 0.25.

    >>> quantity("512Mi"), quantity("250m"), quantity("1"), quantity("500M")
    (536870912.0, 0.25, 1.0, 500000000.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", text.strip())
    if match is None:
        return None
    factors = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
    factor = factors.get(match[2])
    return None if factor is None else float(match[1]) * factor


def uncommented(line: str) -> str:
    """Return a line without its comment, which begins with a # outside of quotes and not behind a backslash."""
    quote = ""
    for index, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "#" and line[index - 1 : index] != "\\":
            return line[:index]
    return line
