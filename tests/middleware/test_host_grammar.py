"""``Host`` is read as RFC 3986 and RFC 9112 write it, and nothing is repaired."""

from __future__ import annotations

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
def test_a_host_is_within_the_grammar_or_none(value: str, expected: Host | None) -> None:
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


def test_what_is_no_pattern_is_none() -> None:
    assert HostPattern.parse("*example.com") is None
    assert HostPattern.parse("a.*.com") is None


@given(st.text(max_size=40))
def test_any_value_is_read_and_what_is_read_is_stable(value: str) -> None:
    host = parse_host(value)
    assert host is None or parse_host(str(host)) == host
