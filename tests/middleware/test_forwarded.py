"""``Forwarded`` and ``X-Forwarded-For`` are read from the right, and whole or not at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.middleware._forwarded import Hop, Trust, last_elements, parse_address, parse_forwarded

ADDRESSES = [
    ("ipv4", "192.0.2.1", ("192.0.2.1", 0)),
    ("ipv4-port", "192.0.2.1:5555", ("192.0.2.1", 5555)),
    ("ipv6", "2001:DB8::1", ("2001:db8::1", 0)),
    ("ipv6-brackets", "[2001:db8::1]", ("2001:db8::1", 0)),
    ("ipv6-port", "[2001:db8::1]:4711", ("2001:db8::1", 4711)),
    ("mapped", "::ffff:10.0.0.1", ("10.0.0.1", 0)),
    ("mapped-brackets", "[::ffff:10.0.0.1]:9", ("10.0.0.1", 9)),
    ("obfuscated-port", "192.0.2.1:_gazonk", ("192.0.2.1", 0)),
    ("white-space", " 192.0.2.1\t", ("192.0.2.1", 0)),
    ("unknown", "unknown", None),
    ("obfuscated", "_hidden", None),
    ("markup", "<script>", None),
    ("empty", "", None),
    ("port-too-large", "192.0.2.1:65536", None),
    ("leading-zeros", "192.0.02.1", None),
    ("ipv4-in-brackets", "[192.0.2.1]", None),
    ("zone", "fe80::1%eth0", None),
    ("digits-of-another-script", "192.0.2.\u0661", None),
    ("two", "192.0.2.1 192.0.2.2", None),
]
ELEMENTS = [
    ("one", "for=192.0.2.60;proto=http;by=203.0.113.43", [Hop("192.0.2.60", "203.0.113.43", "", "http")]),
    ("names-without-case", 'FOR="_gazonk";Proto=HTTPS', [Hop("_gazonk", proto="https")]),
    ("quoted-separators", 'for="a,b;c", for=d', [Hop("a,b;c"), Hop("d")]),
    ("escaped", r'for="a\"b"', [Hop('a"b')]),
    ("white-space", 'for=a ; proto=http ,\tfor="b"', [Hop("a", proto="http"), Hop("b")]),
    ("extension", "for=a;secret=x", [Hop("a")]),
    ("empty-elements", ",for=a,,", [Hop("a")]),
    ("trailing-semicolon", "for=a;", [Hop("a")]),
    ("empty", "", []),
    ("repeated-parameter", "for=a;for=b", None),
    ("no-value", "for=", None),
    ("no-equals", "for", None),
    ("space-around-equals", "for = a", None),
    ("open-quote", 'for="a', None),
    ("bare-address-with-port", "for=[::1]:80", None),
    ("control-character", "for=a\x00", None),
]
PROXIES = ("10.0.0.0/8", "2001:db8::/32")
WALKS = [
    ("one-hop", ["203.0.113.9"], None, 0),
    ("forged-leftmost", ["6.6.6.6", "203.0.113.9"], None, 1),
    ("through-trusted", ["6.6.6.6", "203.0.113.9", "10.0.0.2"], None, 1),
    ("mapped-hop", ["203.0.113.9", "::ffff:10.0.0.2"], None, 0),
    ("all-trusted", ["10.0.0.9", "10.0.0.2"], None, 0),
    ("no-address-in-the-way", ["203.0.113.9", None, "10.0.0.2"], None, None),
    ("empty", [], None, None),
    ("count-1", ["6.6.6.6", "203.0.113.9"], 1, 1),
    ("count-2", ["6.6.6.6", "203.0.113.9", "35.0.0.1"], 2, 1),
    ("count-longer-than-the-list", ["203.0.113.9"], 3, 0),
    ("count-lands-on-no-address", ["203.0.113.9", None], 1, None),
]


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in ADDRESSES], ids=[case[0] for case in ADDRESSES])
def test_an_invalid_node_gives_none(value: str, expected: tuple[str, int] | None) -> None:
    assert parse_address(value) == expected


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in ELEMENTS], ids=[case[0] for case in ELEMENTS])
def test_forwarded_is_read_whole_or_not_at_all(value: str, expected: list[Hop] | None) -> None:
    assert parse_forwarded(value) == expected


@pytest.mark.parametrize(
    ("addresses", "hops", "expected"), [case[1:] for case in WALKS], ids=[case[0] for case in WALKS]
)
def test_the_client_is_the_first_from_the_right_that_is_not_a_proxy(
    addresses: list[str | None], hops: int | None, expected: int | None
) -> None:
    assert Trust.parse(PROXIES).client_index(addresses, hops) == expected


def test_a_mapped_peer_equals_its_ipv4_address() -> None:
    assert Trust.parse(["10.0.0.0/8"]).holds("::ffff:10.1.2.3")
    assert not Trust.parse(["10.0.0.0/8"]).holds("::ffff:11.1.2.3")


def test_the_peer_of_a_unix_socket_is_trusted_only_by_name() -> None:
    assert Trust.parse(["unix:"]).holds(None)
    assert not Trust.parse(["*"]).holds(None)
    assert not Trust.parse(["unix:"]).holds("10.0.0.1")


#: One address, and networks that hold it, in each form that an operator or a server writes them.
SPELLINGS = ["10.0.0.7", "::ffff:10.0.0.7", "::FFFF:10.0.0.7", "::ffff:a00:7", "0:0:0:0:0:ffff:10.0.0.7"]
NETWORKS = [*SPELLINGS, "10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "0.0.0.0/0"]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("peer", SPELLINGS)
def test_an_ipv4_address_is_trusted_in_every_spelling(network: str, peer: str) -> None:
    assert Trust.parse([network]).holds(peer)


@pytest.mark.parametrize("network", ["::ffff:10.0.0.8", "::ffff:11.0.0.0/104", "::/0", "::10.0.0.7", "fc00::/7"])
@pytest.mark.parametrize("peer", SPELLINGS)
def test_no_other_network_holds_an_ipv4_address(network: str, peer: str) -> None:
    assert not Trust.parse([network]).holds(peer)


def test_a_link_local_peer_is_trusted_with_any_zone() -> None:
    assert Trust.parse(["fe80::/10"]).holds("fe80::1%eth0")
    with pytest.raises(ValueError, match="'fe80::/64'"):
        Trust.parse(["fe80::%eth0/64"])


@pytest.mark.parametrize("value", ["10.0.0.1/8", "::ffff:10.0.0.1/104", "10.0.0", "proxy.example", "", "10.0.0.0/33"])
def test_a_network_that_cannot_match_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        Trust.parse([value])


@given(st.text(max_size=60))
def test_any_value_is_read_without_an_error(value: str) -> None:
    parse_address(value)
    parse_forwarded(value)
    addresses = [(parse_address(element) or (None,))[0] for element in last_elements(value)]
    index = Trust.parse(PROXIES).client_index(addresses)
    assert index is None or addresses[index] is not None


@given(
    st.lists(st.ip_addresses().map(str), max_size=5), st.ip_addresses(v=4).filter(lambda a: not a.is_private).map(str)
)
def test_headers_of_a_client_are_never_trusted(forged: list[str], real: str) -> None:
    trust = Trust.parse(["10.0.0.0/8"])
    addresses = [*forged, real, "10.0.0.1"]
    index = trust.client_index(addresses)
    assert index is not None
    assert addresses[index] == real


#: RFC 7239 section 4 written out, with the empty elements that RFC 9110 section 5.6.1 lets a recipient accept, and with
#: white space around ";", which its grammar does not have and some proxies write; it can be read in one way only.
TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
PAIR = rf"{TOKEN}=(?:{TOKEN}|{QUOTED})"
ELEMENT = rf"[ \t]*(?:{PAIR})?(?:[ \t]*;[ \t]*(?:{PAIR})?)*[ \t]*"
ORACLE = re.compile(rf"{ELEMENT}(?:,{ELEMENT})*")


@given(
    st.one_of(
        st.text(alphabet='for=by;, \t"\\[]:1_\x00\n\xe9\u20ac', max_size=24),
        st.lists(st.sampled_from(["for", "=", "by", ";", ",", " ", '"', "\\", "a", '"a,b"', "[::1]"]), max_size=12).map(
            "".join
        ),
    )
)
def test_nothing_outside_the_grammar_is_read(value: str) -> None:
    hops = parse_forwarded(value)
    if hops is not None:
        assert ORACLE.fullmatch(value), value
    elif ORACLE.fullmatch(value):
        # Within the grammar only a parameter given twice in one element is refused (section 4).
        bare = re.sub(QUOTED, "q", value).lower()
        names = [re.findall(rf"({TOKEN})=", element) for element in bare.split(",")]
        assert any(len(set(each)) < len(each) for each in names), value
