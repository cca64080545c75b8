"""How a text that a client wrote is written into a line of a log.

Pure. A control character could begin a line of its own or steer a terminal, and a quote could end a quoted value.
"""

from __future__ import annotations

import re

__all__ = ["printable"]

_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\]')


def printable(text: str) -> str:
    r"""Return a text of printable ASCII without quotes and backslashes; each other byte is written as ``\\xNN``.

    >>> printable('a\n"b"')
    'a\\x0a\\x22b\\x22'
    """
    return _UNSAFE.sub(lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "replace")), text)
