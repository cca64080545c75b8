"""``Accept-Encoding`` is read as RFC 9110 section 12.5.3 says."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.middleware._codings import choose_coding, parse_accept_encoding

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
def test_no_accept_encoding_value_chooses_a_refused_coding(value: str) -> None:
    accepted = parse_accept_encoding(value)
    chosen = choose_coding(value, OFFERED)
    assert all(0 <= quality <= 1 for quality in accepted.values())
    assert chosen is None or accepted.get(chosen, accepted.get("*", 0)) > 0


TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def judge(element: str) -> tuple[str, float] | None:
    """Read one element by hand, without a regular expression: token [ ; q=qvalue ], RFC 9110 section 12.4.2."""
    coding, semicolon, weight = element.strip(" \t").partition(";")
    coding = coding.rstrip(" \t")
    if not coding or any(character not in TCHAR for character in coding):
        return None
    if not semicolon:
        return coding.lower(), 1.0
    name, equals, quality = weight.strip(" \t").partition("=")
    if name not in ("q", "Q") or not equals:
        return None
    whole, _, decimals = quality.partition(".")
    if whole not in ("0", "1") or len(decimals) > 3 or any(digit not in "0123456789" for digit in decimals):
        return None
    if whole == "1" and decimals.strip("0"):
        return None
    return coding.lower(), float(f"{whole}.{decimals or 0}")


@given(st.lists(st.text(alphabet="gzipbrq;=01.5* \t\u0661\x00Q-", max_size=12), max_size=4).map(",".join))
@example("gzip;q=1.")
@example("gzip;q=\u0661")
@example("gzip\n")
def test_only_what_the_grammar_allows_is_accepted(value: str) -> None:
    expected: dict[str, float] = {}
    for element in value.split(","):
        judged = judge(element)
        if judged is not None:
            expected.setdefault({"x-gzip": "gzip", "x-compress": "compress"}.get(judged[0], judged[0]), judged[1])
    assert parse_accept_encoding(value) == expected
