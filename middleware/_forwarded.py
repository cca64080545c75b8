"""Find the client behind proxies: ``Forwarded``, ``X-Forwarded-For`` and the trusted hops.

Pure. Each proxy appends the address that it saw, so this module reads the list from the right. It skips every trusted
hop, and the first untrusted hop is the client. The client itself may have written everything to the left of that.

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
#: Longer values bypass the cache. An address with brackets and a port is not longer; an obfuscated port may be.
_LONG = 64
_LONGEST_NODE, MOST_HOPS = BOUNDS["x-forwarded"].characters, BOUNDS["x-forwarded"].elements or 0
_LONGEST_FORWARDED, _MOST_FORWARDED = BOUNDS["forwarded"].characters, BOUNDS["forwarded"].elements or 0


def parse_address(value: str) -> tuple[str, int] | None:
    """Parse a node as proxies write it: an IPv4 or IPv6 address, optionally with brackets and a port.

    Returns:
        ``(address, port)``. The address has its short form, and an IPv4-mapped IPv6 address becomes an IPv4 address.
        The port is 0 if the node has none. None for names, ``unknown``, obfuscated identifiers and anything else, and
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
    if _IPV4.fullmatch(value):  # the usual case, and the short form already
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
    """Parse the address of a connection's peer, as a server gives it, into the form for comparisons.

    Returns:
        The address. An IPv4-mapped IPv6 address, which a dual-stack socket gives, becomes its IPv4 address. The zone
        of a link-local address ("fe80::1%eth0") is left out. None if the value is not an address.

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
    """Parse a network or an address into the form that `parse_peer` returns.

    Raises:
        ValueError: The value is not a network, has host bits set, or names a zone, which a header cannot carry.
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
    """One element of ``Forwarded``: a proxy's description of the request that it received."""

    node: str = ""
    by: str = ""
    host: str = ""
    proto: str = ""


def last_elements(value: str) -> list[str]:
    """Split a comma-separated value from its end, up to the bound. Clients can only write at its beginning.

    Keeps empty elements, because an index into the list must keep its meaning.

    >>> last_elements("a, b,,c")
    ['a', 'b', '', 'c']
    """
    elements = value.rsplit(",", MOST_HOPS)
    if len(elements) > MOST_HOPS:
        del elements[0]  # the unsplit rest of the value
    return [element.strip(" \t") for element in elements] if value else []


def parse_forwarded(value: str) -> list[Hop] | None:
    """Parse the value of ``Forwarded``, repeated lines joined with ",".

    Returns:
        A hop for each element, in order. None if any part is outside the grammar or the list is above its bound.
        If a part cannot be parsed, counting from the right is not reliable either.

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
    """The peers and hops to trust.

    Attributes:
        networks: Networks of proxies. IPv4-mapped IPv6 addresses count as IPv4 addresses, here and in peers.
        everyone: Trust any peer (``"*"``). Hops are not trusted by this, so they must be counted.
        unix: Trust the peer of a unix socket, which has no address.
    """

    networks: tuple[Network, ...] = field(default=())
    everyone: bool = False
    unix: bool = False
    #: A cache of `_within`. A proxy's address returns with each request, and parsing it is the most expensive step.
    _known: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", lru_cache(maxsize=1024)(partial(_within, self.networks)))

    @classmethod
    def parse(cls, values: Sequence[str]) -> Trust:
        """Parse CIDR networks, addresses, ``"*"`` and ``"unix:"``.

        Raises:
            ValueError: A value is not one of these, or a network has host bits set. That is a typing error, and it
                would match other addresses than the user meant.
        """
        networks = tuple(_parse_network(value) for value in values if value not in ("*", _UNIX))
        return cls(networks, "*" in values, _UNIX in values)

    def holds(self, address: str | None) -> bool:
        """Return whether a peer or hop is trusted; None or "" means the peer of a unix socket."""
        if not address:
            return self.unix
        return self.everyone or self.names(address)

    def names(self, address: str) -> bool:
        """Return whether one of the networks contains the address."""
        return self._known(address) if len(address) <= _LONG else False

    def client_index(self, addresses: Sequence[str | None], hops: int | None = None) -> int | None:
        """Find the client in the list that the proxies wrote.

        Args:
            addresses: The list, left to right; None for an element that is not an address.
            hops: Number of proxies in front of the application, the peer included; None to walk by networks.

        Returns:
            The index of the client; None if the list does not name it, so that the peer counts as the client.
            By networks: the first untrusted element from the right, or the leftmost if all are trusted.
            By count: the ``hops``-th element from the right, or the leftmost if the list is shorter.
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
