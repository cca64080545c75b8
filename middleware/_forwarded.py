"""Who the client is, behind proxies: ``Forwarded``, ``X-Forwarded-For`` and the hops that may be believed.

Pure. Each proxy appends the address that it saw, so the list is read from the right: every hop that is trusted is
passed over, and the first that is not is the client. What stands further left was written by the client itself.

Sources: RFC 7239 sections 4 (grammar), 5 (parameters), 6 (node identifiers); the ``X-Forwarded-For`` convention.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

__all__ = ["Hop", "Trust", "parse_address", "parse_forwarded", "split_list"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_PAIR = re.compile(rf"({_TOKEN})=({_TOKEN}|{_QUOTED})")
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}")
_UNIX = "unix:"
#: No address is longer, with brackets and a port; an obfuscated port may be, and is read anew each time.
_LONG = 64


def parse_address(value: str) -> tuple[str, int] | None:
    """Read a node as proxies write it: an IPv4 or IPv6 address, perhaps bracketed, perhaps with a port.

    Returns:
        ``(address, port)``, the address in its short form, an IPv4-mapped IPv6 address as the IPv4 address that it
        is, the port 0 where there is none; None for names, ``unknown``, obfuscated identifiers and anything else.

    >>> parse_address("[2001:db8::1]:4711"), parse_address("::ffff:10.0.0.1"), parse_address("unknown")
    (('2001:db8::1', 4711), ('10.0.0.1', 0), None)
    """
    return (_parse_address if len(value) <= _LONG else _parse_address.__wrapped__)(value)


@lru_cache(maxsize=1024)
def _parse_address(value: str) -> tuple[str, int] | None:
    value = value.strip(" \t")
    if _IPV4.fullmatch(value):  # most are, and this is the short form already
        return value, 0
    match = _NODE.fullmatch(value)
    digits = None
    if match is not None:
        value, digits = match[1] or match[2], match[3]
        if match[1] and ":" not in value:
            return None
    try:
        address = ipaddress.ip_address(value) if value.isascii() and "%" not in value else None
    except ValueError:
        return None
    if address is None:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    port = int(digits) if digits and digits.isdigit() else 0
    return (address.compressed, port) if port <= 65535 else None


@dataclass(frozen=True)
class Hop:
    """One element of ``Forwarded``: what one proxy said of the request that it received."""

    node: str = ""
    by: str = ""
    host: str = ""
    proto: str = ""


def split_list(value: str) -> list[str]:
    """Split a comma-separated field value; empty elements stay, as an index into the list must keep its meaning.

    >>> split_list("a, b,,c")
    ['a', 'b', '', 'c']
    """
    return [element.strip(" \t") for element in value.split(",")] if value else []


def parse_forwarded(value: str) -> list[Hop] | None:
    """Read a ``Forwarded`` field value, repeated lines joined with ",".

    Returns:
        A hop for each element, in order; None where any part is outside the grammar: a list that cannot be read
        whole cannot be counted from the right either.

    >>> parse_forwarded('for="[2001:db8::1]:4711";proto=https, FOR=10.0.0.1')
    [Hop(node='[2001:db8::1]:4711', by='', host='', proto='https'), Hop(node='10.0.0.1', by='', host='', proto='')]
    """
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    position, length = 0, len(value)
    while True:
        while position < length and value[position] in " \t":
            position += 1
        match = _PAIR.match(value, position)
        if match is not None:
            name = match[1].lower()
            if name in pairs:
                return None
            pairs[name] = re.sub(r"\\(.)", r"\1", match[2][1:-1]) if match[2][0] == '"' else match[2]
            position = match.end()
        while position < length and value[position] in " \t":
            position += 1
        if position < length and value[position] == ";":
            position += 1
            continue
        if position < length and value[position] != ",":
            return None
        if pairs:
            hops.append(
                Hop(pairs.get("for", ""), pairs.get("by", ""), pairs.get("host", ""), pairs.get("proto", "").lower())
            )
            pairs = {}
        if position >= length:
            return hops
        position += 1


def _within(networks: tuple[Network, ...], address: str) -> bool:
    parsed = parse_address(address)
    if parsed is None:
        return False
    ip = ipaddress.ip_address(parsed[0])
    return any(ip.version == network.version and ip in network for network in networks)


@dataclass(frozen=True)
class Trust:
    """Which peers and hops are believed.

    Attributes:
        networks: Addresses of proxies; IPv4-mapped IPv6 addresses count as the IPv4 addresses that they are.
        everyone: Believe any peer (``"*"``); says nothing about how many hops, which must be counted then.
        unix: Believe the peer of a unix socket, which has no address.
    """

    networks: tuple[Network, ...] = field(default=())
    everyone: bool = False
    unix: bool = False
    #: What was asked before: a proxy's address comes again with each request, and reading one costs more than all else.
    _known: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", lru_cache(maxsize=1024)(partial(_within, self.networks)))

    @classmethod
    def parse(cls, values: Sequence[str]) -> Trust:
        """Read CIDR networks, addresses, ``"*"`` and ``"unix:"``.

        Raises:
            ValueError: A value is none of these; also a network with host bits set, which is a typing error that
                would otherwise match something else than was meant.
        """
        networks = tuple(ipaddress.ip_network(value) for value in values if value not in ("*", _UNIX))
        return cls(networks, "*" in values, _UNIX in values)

    def holds(self, address: str | None) -> bool:
        """Tell whether a peer or hop is trusted; None or "" is the peer of a unix socket."""
        if not address:
            return self.unix
        return self.everyone or self.names(address)

    def names(self, address: str) -> bool:
        """Tell whether one of the networks holds the address."""
        return self._known(address) if len(address) <= _LONG else False

    def client_index(self, addresses: Sequence[str | None], hops: int | None = None) -> int | None:
        """Find the client in the list that the proxies wrote.

        Args:
            addresses: The list, left to right; None where an element is no address.
            hops: How many proxies stand before the application, its peer included; None to walk by networks.

        Returns:
            The index to believe; None where the list gives none: the peer is the client. By networks: the first
            from the right that is not trusted, the leftmost where all are. By count: the ``hops``-th from the
            right, the leftmost where the list is shorter than that, and nothing further left in either case.
        """
        if not addresses:
            return None
        if hops is not None:
            index = max(len(addresses) - hops, 0)
            return index if addresses[index] is not None else None
        for index in range(len(addresses) - 1, -1, -1):
            address = addresses[index]
            if address is None:
                return None
            if not self.names(address):
                return index
        return 0
