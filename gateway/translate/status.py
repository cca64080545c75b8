"""Status lines: WSGI's ``"404 Not Found"`` and ASGI's ``404``.

Sources: PEP 3333 "The start_response() Callable"; RFC 9110 section 15; RFC 9112 section 4.
"""

from __future__ import annotations

from http import HTTPStatus

from gateway.errors import ApplicationError

__all__ = ["has_body", "status_code", "status_line"]

_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_CODES = {line: code for code, line in _LINES.items() if code >= 200}
_TABLE_SIZE = 1024


def status_code(line: str) -> int:
    """Return the code of a status line; the reason phrase may be missing (RFC 9112: it may be empty).

    Raises:
        ApplicationError: The line does not begin with a final status, three digits from 200 on. An interim status
            (1xx) cannot start a response: a server sends it before the response.

    >>> status_code("404 Not Found"), status_code("204")
    (404, 204)
    """
    try:
        return _CODES[line]
    except (KeyError, TypeError):
        pass
    try:
        digits = line.partition(" ")[0]
    except (AttributeError, TypeError):  # not text at all
        digits = ""
    if len(digits) != 3 or not (digits.isascii() and digits.isdigit()) or digits < "200":
        raise ApplicationError(
            f"start_response needs a final status, a string like '200 OK' from 200 on, got {line!r}; "
            f"check the code that calls start_response (PEP 3333)"
        )
    code = int(digits)
    if len(_CODES) < _TABLE_SIZE:
        _CODES[line] = code
    return code


def status_line(code: int) -> str:
    """Return the status line of a code, with the registered reason phrase where there is one.

    >>> status_line(404), status_line(299)
    ('404 Not Found', '299 Unknown')
    """
    return _LINES.get(code) or f"{code} Unknown"


def has_body(code: int) -> bool:
    """Tell whether a final response of this status may have content (RFC 9110 section 6.4.1)."""
    return code >= 200 and code not in (204, 205, 304)
