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

from gateway._bounds import BOUNDS

__all__ = ["MOST_HOPS", "Hop", "Trust", "last_elements", "parse_address", "parse_forwarded", "parse_peer"]

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
_LONGEST_NODE, MOST_HOPS = BOUNDS["x-forwarded"].characters, BOUNDS["x-forwarded"].elements or 0
_LONGEST_FORWARDED, _MOST_FORWARDED = BOUNDS["forwarded"].characters, BOUNDS["forwarded"].elements or 0


def parse_address(value: str) -> tuple[str, int] | None:
    """Read a node as proxies write it: an IPv4 or IPv6 address, perhaps bracketed, perhaps with a port.

    Returns:
        ``(address, port)``, the address in its short form, an IPv4-mapped IPv6 address as the IPv4 address that it
        is, the port 0 where there is none; None for names, ``unknown``, obfuscated identifiers and anything else, and
        for a value above its bound.

    >>> parse_address("[2001:db8::1]:4711"), parse_address("::ffff:10.0.0.1"), parse_address("unknown")
    (('2001:db8::1', 4711), ('10.0.0.1', 0), None)
    """
    if len(value) <= _LONG:
        return _parse_address(value)
    return _parse_address.__wrapped__(value) if len(value) <= _LONGEST_NODE else None


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
    address = _unmapped(address)
    port = int(digits) if digits and digits.isdigit() else 0
    return (address.compressed, port) if port <= 65535 else None


def parse_peer(value: str) -> Address | None:
    """Read the address of a connection's peer as a server gives it, in the one form that addresses are compared in.

    Returns:
        The address. An IPv4-mapped IPv6 address, which a dual-stack socket gives, is its IPv4 address. The zone of a
        link-local address ("fe80::1%eth0") is left out. None if the value is not an address.

    >>> str(parse_peer("::ffff:10.0.0.7")), str(parse_peer("fe80::1%eth0")), parse_peer("localhost")
    ('10.0.0.7', 'fe80::1', None)
    """
    try:
        return _unmapped(ipaddress.ip_address(value.partition("%")[0]))
    except ValueError:
        return None


def _unmapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def _parse_network(value: str) -> Network:
    """Read a network or an address in the form that `parse_peer` compares with.

    Raises:
        ValueError: The value is not a network, it has host bits set, or it names a zone, which no header can carry.
    """
    address, zone, rest = value.partition("%")
    if zone:
        plain = address + "".join(rest.partition("/")[1:])
        raise ValueError(f"a network must not have a zone, got {value!r}; write {plain!r}")
    network = ipaddress.ip_network(value)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        last_32_bits = int(network.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((last_32_bits, network.prefixlen - _MAPPED.prefixlen))
    return network


@dataclass(frozen=True)
class Hop:
    """One element of ``Forwarded``: what one proxy said of the request that it received."""

    node: str = ""
    by: str = ""
    host: str = ""
    proto: str = ""


def last_elements(value: str) -> list[str]:
    """Split a comma-separated value, from its end and no further than the bound: clients write at its beginning.

    Empty elements stay, because an index into the list must keep its meaning.

    >>> last_elements("a, b,,c")
    ['a', 'b', '', 'c']
    """
    elements = value.rsplit(",", MOST_HOPS)
    if len(elements) > MOST_HOPS:
        del elements[0]  # what is left of the value
    return [element.strip(" \t") for element in elements] if value else []


def parse_forwarded(value: str) -> list[Hop] | None:
    """Read a ``Forwarded`` field value, repeated lines joined with ",".

    Returns:
        A hop for each element, in order; None if any part is outside the grammar or the list is above its bound: a
        list that cannot be read whole cannot be counted from the right either.

    >>> parse_forwarded('for="[2001:db8::1]:4711";proto=https, FOR=10.0.0.1')
    [Hop(node='[2001:db8::1]:4711', by='', host='', proto='https'), Hop(node='10.0.0.1', by='', host='', proto='')]
    """
    if len(value) > _LONGEST_FORWARDED:
        return None
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
            return hops if len(hops) <= _MOST_FORWARDED else None
        position += 1


def _within(networks: tuple[Network, ...], address: str) -> bool:
    peer = parse_peer(address)
    return peer is not None and any(peer.version == network.version and peer in network for network in networks)


@dataclass(frozen=True)
class Trust:
    """Which peers and hops are believed.

    Attributes:
        networks: Networks of proxies. IPv4-mapped IPv6 addresses count as IPv4 addresses, here and in peers.
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
            ValueError: A value is not one of these. A network with host bits set is refused too: it is a typing error
                that would match other addresses than the user meant.
        """
        networks = tuple(_parse_network(value) for value in values if value not in ("*", _UNIX))
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
