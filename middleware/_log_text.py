"""Escape text from a client for a log line.

Pure. A control character could begin a new line or control a terminal, and a quote could end a quoted value.
"""

from __future__ import annotations

import re

__all__ = ["printable"]

_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\]')


def printable(text: str) -> str:
    r"""Return a text of printable ASCII without quotes and backslashes; write each other byte as ``\\xNN``.

    >>> printable('a\n"b"')
    'a\\x0a\\x22b\\x22'
    """
    return _UNSAFE.sub(lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "replace")), text)
