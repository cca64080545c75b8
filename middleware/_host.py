"""The grammar of ``Host``: a registered name or an address, optionally with a port.

Pure. A value outside the grammar gives None and is never repaired. If one party repairs a host and the next does not,
an attacker can poison caches and open redirects.

Sources: RFC 3986 section 3.2.2 (host), RFC 9110 section 7.2 (Host), RFC 9112 section 3.2 (missing, repeated, invalid).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from gateway._bounds import BOUNDS

__all__ = ["LONGEST_HOST", "Host", "HostPattern", "parse_host", "parse_port"]

_LONGEST_NAME = 253
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?")
_LITERAL = re.compile(r"\[([0-9a-f:.]+)\](?::([0-9]*))?")


@dataclass(frozen=True)
class Host:
    """A host as a request named it.

    Attributes:
        name: Lower-case name without a final dot; an IPv6 address in its short form, without brackets.
        port: The port, or None if the request gave none.
    """

    name: str
    port: int | None = None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


def parse_port(value: str) -> int | None:
    """Parse a port, 1 to 65535 in ASCII digits; return None for any other value."""
    if not (value.isascii() and value.isdigit() and len(value) <= 5):
        return None
    port = int(value)
    return port if 1 <= port <= 65535 else None


#: Length of the longest host in the grammar: a name, its final dot and a port.
LONGEST_HOST = BOUNDS["host"].characters


def parse_host(value: str) -> Host | None:
    """Parse the value of ``Host``; return None if it is outside the grammar.

    >>> parse_host("Example.COM.:8080")
    Host(name='example.com', port=8080)
    >>> parse_host("[2001:DB8:0::1]")
    Host(name='2001:db8::1', port=None)
    >>> parse_host("good.example@evil.example") is None
    True
    """
    return _parse_host(value) if len(value) <= LONGEST_HOST else None


@lru_cache(maxsize=512)
def _parse_host(value: str) -> Host | None:
    value = value.lower() if value.isascii() else ""  # "" does not match the grammar
    literal = _LITERAL.fullmatch(value)
    if literal is not None:
        try:
            name = ipaddress.IPv6Address(literal[1]).compressed
        except ValueError:
            return None
        digits = literal[2]
    else:
        name, colon, rest = value.partition(":")
        digits = rest if colon else None
        if len(name) > _LONGEST_NAME + 1 or _NAME.fullmatch(name) is None:
            return None
        name = name.removesuffix(".")
    if not digits:  # "host:" is in the grammar of RFC 3986 and means "without a port"
        return Host(name)
    port = parse_port(digits)
    return None if port is None else Host(name, port)


@dataclass(frozen=True)
class HostPattern:
    """An allowed host of an option: ``example.com``, ``*.example.com`` (below it only) or ``*``.

    A name may have a port. A pattern without a port allows every port.
    """

    name: str
    port: int | None = None
    below: bool = False

    @classmethod
    def parse(cls, value: str) -> HostPattern | None:
        """Parse a pattern; return None if it is not valid.

        >>> HostPattern.parse("*.example.com").matches(Host("a.example.com"))
        True
        >>> HostPattern.parse("*.example.com").matches(Host("example.com"))
        False
        """
        if value == "*":
            return cls("*")
        below = value.startswith("*.")
        host = parse_host(value[2:] if below else value)
        return None if host is None else cls(host.name, host.port, below)

    def matches(self, host: Host) -> bool:
        """Return whether this pattern allows the host."""
        if self.name == "*":
            return True
        if self.port is not None and self.port != host.port:
            return False
        return host.name.endswith("." + self.name) if self.below else host.name == self.name
