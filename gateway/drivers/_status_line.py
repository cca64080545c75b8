"""Status lines, parsed once: applications repeat few."""

from __future__ import annotations

from typing import Final, cast

from gateway.errors import ApplicationError
from gateway.exchange import reason_phrase

__all__ = ["lines", "parse"]

#: What was parsed, by line; a driver looks here first.
lines: Final[dict[str, tuple[int, str | None]]] = {}
MOST: Final = 256


def parse(line: str) -> tuple[int, str | None]:
    """Return status and reason phrase of a line, ``None`` for the registry's, and remember them.

    Raises:
        ApplicationError: It is no status line.
    """
    code, _, reason = line.partition(" ") if isinstance(cast("object", line), str) else ("", "", "")
    if not (len(code) == 3 and code.isascii() and code.isdigit()):
        raise ApplicationError(
            f"a status must be a str of three digits and a reason, '200 OK' for example, got {line!r} (PEP 3333)"
        )
    status = int(code)
    parsed = status, None if reason == reason_phrase(status) else reason
    if len(lines) < MOST:
        lines[line] = parsed
    return parsed
