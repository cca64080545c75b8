"""Statuses: WSGI's line ``"404 Not Found"``, ASGI's ``404``, and the statuses whose responses have no content.

Sources: PEP 3333 "The start_response() Callable"; RFC 9110 sections 6.4.1 and 15; RFC 9112 section 4.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from gateway.errors import ApplicationError

__all__ = ["has_content", "parse_status_line", "reason_phrase", "status_code", "status_line", "status_lines"]

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
#: Applications repeat few lines. An application with a new phrase for each request must not fill the memory.
_TABLE_SIZE: Final = 1024
_EXAMPLE = "a string such as '200 OK'"

#: Status and reason phrase of the lines that were parsed. A driver looks here before it calls `parse_status_line`.
status_lines: Final[dict[str, tuple[int, str | None]]] = {line: (code, None) for code, line in _LINES.items()}


def parse_status_line(line: str) -> tuple[int, str | None]:
    """Return status and reason phrase of a line; the phrase may be missing (RFC 9112: it may be empty).

    Returns:
        The status, and the phrase or None if it is the registered phrase.

    Raises:
        ApplicationError: The line does not begin with a three-digit status of 100 or more.

    >>> parse_status_line("404 Not Found"), parse_status_line("404 Gone fishing"), parse_status_line("204")
    ((404, None), (404, 'Gone fishing'), (204, ''))
    """
    try:
        return status_lines[line]
    except (KeyError, TypeError):
        pass
    try:
        digits, _, reason = line.partition(" ")
        if len(digits) != 3 or not (digits.isascii() and digits.isdigit()) or digits < "100":
            raise ValueError(digits)
    except (AttributeError, TypeError, ValueError):  # not text, or not a status
        raise ApplicationError(
            f"start_response needs a status of three digits and a reason, {_EXAMPLE}, got {line!r}; "
            f"check the code that calls start_response (PEP 3333)"
        ) from None
    code = int(digits)
    parsed = code, None if reason == reason_phrase(code) else reason
    if len(status_lines) < _TABLE_SIZE:
        status_lines[line] = parsed
    return parsed


def status_code(line: str) -> int:
    """Return the code of a final status line.

    Raises:
        ApplicationError: It is not a status line, or has an interim status (1xx). An ASGI server sends interim
            responses before the response, from messages of their own.

    >>> status_code("404 Not Found"), status_code("204")
    (404, 204)
    """
    try:
        code = status_lines[line][0]
    except (KeyError, TypeError):
        code = parse_status_line(line)[0]
    if code < 200:
        raise ApplicationError(
            f"start_response needs a final status of 200 or above, {_EXAMPLE}, got {line!r}; check the code "
            "that calls start_response (PEP 3333)"
        )
    return code


def reason_phrase(code: int) -> str:
    """Return the registered reason phrase of a status, ``"Unknown"`` if it has none."""
    return _PHRASES.get(code, "Unknown")


def status_line(code: int, reason: str | None = None) -> str:
    """Return the status line of a code, with the given reason phrase or the registered phrase.

    >>> status_line(404), status_line(404, "Gone fishing"), status_line(299)
    ('404 Not Found', '404 Gone fishing', '299 Unknown')
    """
    if reason:
        return f"{code} {reason}"
    return _LINES.get(code) or f"{code} Unknown"


def has_content(code: int) -> bool:
    """Tell whether a response with this status may have content (RFC 9110 section 6.4.1).

    >>> has_content(200), has_content(103), has_content(204), has_content(205), has_content(304)
    (True, False, False, False, False)
    """
    return code >= 200 and code not in (204, 205, 304)
