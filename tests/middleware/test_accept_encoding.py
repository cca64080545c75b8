"""``Accept-Encoding`` is read as RFC 9110 section 12.5.3 says."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.middleware._accept_encoding import choose_coding, parse_accept_encoding

OFFERED = ("br", "zstd", "gzip")
CASES = [
    ("absent", None, None),
    ("empty", "", None),
    ("one", "gzip", "gzip"),
    ("no-substring", "gzipped, xbr", None),
    ("case", "GZip", "gzip"),
    ("alias", "x-gzip", "gzip"),
    ("server-preference-among-equals", "gzip, br, zstd", "br"),
    ("highest-quality", "br;q=0.2, gzip;q=0.9", "gzip"),
    ("refused", "gzip;q=0", None),
    ("refused-three-decimals", "gzip;q=0.000", None),
    ("star", "*", "br"),
    ("star-but-not-this", "*, br;q=0", "zstd"),
    ("star-refused", "gzip, *;q=0", "gzip"),
    ("identity-preferred", "identity, gzip;q=0.5", None),
    ("identity-equal", "identity;q=0.5, gzip;q=0.5", "gzip"),
    ("identity-refused", "identity;q=0, gzip;q=0.1", "gzip"),
    ("white-space", " gzip ; q=0.5 ,\tbr ;q=0.4", "gzip"),
    ("upper-case-q", "gzip;Q=0.5", "gzip"),
    ("bad-element-ignored", "gzip;q=2, br;q=0.1", "br"),
    ("bad-weight", "gzip;q=-1", None),
    ("four-decimals", "gzip;q=0.1234", None),
    ("unknown-parameter", "gzip;level=9", None),
    ("empty-elements", ",, gzip,,", "gzip"),
    ("first-of-two", "gzip;q=0, gzip", None),
]


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_coding_follows_the_clients_qualities(value: str | None, expected: str | None) -> None:
    assert choose_coding(value, OFFERED) == expected


@given(st.text(max_size=60))
@example("gzip;q=0." + "0" * 2000)
@example("," * 5000)
def test_any_value_is_read_and_never_chooses_what_was_refused(value: str) -> None:
    accepted = parse_accept_encoding(value)
    chosen = choose_coding(value, OFFERED)
    assert all(0 <= quality <= 1 for quality in accepted.values())
    assert chosen is None or accepted.get(chosen, accepted.get("*", 0)) > 0
