"""``Host`` is read as RFC 3986 and RFC 9112 write it, and nothing is repaired."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.middleware._host import Host, HostPattern, parse_host

CASES = [
    ("name", "example.com", Host("example.com")),
    ("case", "EXAMPLE.com", Host("example.com")),
    ("port", "example.com:8080", Host("example.com", 8080)),
    ("final-dot", "example.com.", Host("example.com")),
    ("final-dot-and-port", "example.com.:1", Host("example.com", 1)),
    ("empty-port", "example.com:", Host("example.com")),
    ("underscore", "my_service", Host("my_service")),
    ("ipv4", "127.0.0.1:80", Host("127.0.0.1", 80)),
    ("ipv6", "[::1]:80", Host("::1", 80)),
    ("ipv6-long", "[2001:DB8:0:0::1]", Host("2001:db8::1")),
    ("punycode", "xn--bcher-kva.example", Host("xn--bcher-kva.example")),
    ("empty", "", None),
    ("two-final-dots", "example.com..", None),
    ("empty-label", "a..b", None),
    ("leading-dot", ".example.com", None),
    ("port-0", "example.com:0", None),
    ("port-65536", "example.com:65536", None),
    ("port-99999", "example.com:99999", None),
    ("port-sign", "example.com:+80", None),
    ("port-other-script", "example.com:\u0668\u0660", None),
    ("two-ports", "example.com:80:80", None),
    ("userinfo", "user@example.com", None),
    ("path", "example.com/x", None),
    ("list", "a.example,b.example", None),
    ("space", "example .com", None),
    ("newline", "example.com\n", None),
    ("backslash", "example.com\\x", None),
    ("percent", "exa%6dple.com", None),
    ("not-ascii", "bücher.example", None),
    ("bare-ipv6", "::1", None),
    ("ipv6-zone", "[fe80::1%25eth0]", None),
    ("ipv6-no-close", "[::1", None),
    ("ipv6-bad", "[1:2]", None),
    ("label-too-long", "a" * 64 + ".example", None),
    ("name-too-long", ".".join(["a" * 60] * 5), None),
]


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_host_follows_the_grammar_or_is_none(value: str, expected: Host | None) -> None:
    assert parse_host(value) == expected


PATTERNS = [
    ("exact", "example.com", "example.com:81", True),
    ("exact-other", "example.com", "a.example.com", False),
    ("exact-suffix-only", "example.com", "badexample.com", False),
    ("below", "*.example.com", "a.b.example.com", True),
    ("below-not-itself", "*.example.com", "example.com", False),
    ("below-not-a-suffix", "*.example.com", "badexample.com", False),
    ("port", "example.com:443", "example.com:443", True),
    ("port-absent", "example.com:443", "example.com", False),
    ("all", "*", "anything.example", True),
    ("ipv6", "[::1]", "[0:0::1]:5", True),
]


@pytest.mark.parametrize(
    ("pattern", "host", "expected"), [case[1:] for case in PATTERNS], ids=[case[0] for case in PATTERNS]
)
def test_a_pattern_allows_whole_labels_only(pattern: str, host: str, expected: bool) -> None:
    parsed, found = HostPattern.parse(pattern), parse_host(host)
    assert parsed is not None
    assert found is not None
    assert parsed.matches(found) is expected


def test_an_invalid_pattern_gives_none() -> None:
    assert HostPattern.parse("*example.com") is None
    assert HostPattern.parse("a.*.com") is None


@given(st.text(max_size=40))
def test_any_value_is_read_and_what_is_read_is_stable(value: str) -> None:
    host = parse_host(value)
    assert host is None or parse_host(str(host)) == host


def judge(value: str) -> bool:
    """Tell by hand whether it is reg-name or IP-literal, perhaps with a port: RFC 3986 section 3.2.2, labels of DNS."""
    name, port = value, ""
    if value.startswith("["):
        name, bracket, rest = value.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return False
        port = rest[1:]
        try:
            ipaddress.IPv6Address(name[1:])
        except ValueError:
            return False
        if "%" in name:
            return False
    else:
        name, _, port = value.partition(":")
        labels = name.removesuffix(".").split(".")
        if len(name.removesuffix(".")) > 253 or not all(0 < len(label) <= 63 for label in labels):
            return False
        allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        if any(set(label) - allowed or label[0] == "-" or label[-1] == "-" for label in labels):
            return False
    return not port or (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535)


HOSTS = st.one_of(
    st.text(alphabet="aZ0.-_:[]%@/ \n\u0661\xe9", max_size=16),
    st.tuples(st.from_regex(r"[a-z-]{1,5}(\.[a-z]{1,5}){0,3}", fullmatch=True), st.integers(0, 70000)).map(
        lambda pair: f"{pair[0]}:{pair[1]}"
    ),
    st.tuples(st.ip_addresses(v=6), st.text(alphabet="0123456789:", max_size=6)).map(lambda p: f"[{p[0]}]{p[1]}"),
)


@given(HOSTS)
def test_nothing_outside_the_grammar_is_a_host_and_nothing_inside_is_refused(value: str) -> None:
    assert (parse_host(value) is not None) is judge(value)
