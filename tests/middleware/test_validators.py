"""Conditional requests are decided as RFC 9110 section 13.2.2 prescribes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.middleware._validators import (
    ETag,
    Preconditions,
    evaluate,
    format_http_date,
    if_range_holds,
    parse_etag,
    parse_etags,
    parse_http_date,
)

WHEN = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
STRONG, WEAK = ETag("v1"), ETag("v1", weak=True)

TAGS = [
    ("one", '"a"', [ETag("a")]),
    ("weak", 'W/"a"', [ETag("a", weak=True)]),
    ("empty-opaque", '""', [ETag("")]),
    ("comma-inside", '"a,b","c"', [ETag("a,b"), ETag("c")]),
    ("empty-elements", ', "a" ,, "b",', [ETag("a"), ETag("b")]),
    ("star", " * ", "*"),
    ("no-quotes", "a", None),
    ("lower-case-w", 'w/"a"', None),
    ("space-inside", '"a b"', None),
    ("open-quote", '"a', None),
    ("nothing-between", '"a" "b"', None),
    ("empty", "", None),
    ("newline", '"a"\n', None),
]
DATES = [
    ("imf-fixdate", DATE, WHEN),
    ("rfc850", "Sunday, 06-Nov-94 08:49:37 GMT", WHEN),
    ("asctime", "Sun Nov  6 08:49:37 1994", WHEN),
    ("leap-second", "Sat, 31 Dec 2016 23:59:60 GMT", 1483228799),
    ("no-such-day", "Sun, 31 Feb 1994 08:49:37 GMT", None),
    ("other-zone", "Sun, 06 Nov 1994 08:49:37 +0100", None),
    ("number", "784111777", None),
    ("digits-of-another-script", "Sun, 06 Nov 199\u0664 08:49:37 GMT", None),
    ("empty", "", None),
]
DECISIONS = [
    ("none", Preconditions(), "GET", 200),
    ("match", Preconditions(if_match='"v1"'), "PUT", 200),
    ("match-weak-is-no-match", Preconditions(if_match='W/"v1"'), "PUT", 412),
    ("match-star", Preconditions(if_match="*"), "PUT", 200),
    ("match-other", Preconditions(if_match='"v0"'), "GET", 412),
    ("match-before-unmodified-since", Preconditions(if_match='"v1"', if_unmodified_since=EARLIER), "PUT", 200),
    ("unmodified", Preconditions(if_unmodified_since=DATE), "PUT", 200),
    ("modified", Preconditions(if_unmodified_since=EARLIER), "PUT", 412),
    ("unmodified-bad-date", Preconditions(if_unmodified_since="yesterday"), "PUT", 200),
    ("none-match", Preconditions(if_none_match='"v1"'), "GET", 304),
    ("none-match-head", Preconditions(if_none_match='"v1"'), "HEAD", 304),
    ("none-match-weakly", Preconditions(if_none_match='W/"v1"'), "GET", 304),
    ("none-match-list", Preconditions(if_none_match='"v0", "v1"'), "GET", 304),
    ("none-match-star", Preconditions(if_none_match="*"), "GET", 304),
    ("none-match-put", Preconditions(if_none_match="*"), "PUT", 412),
    ("none-match-other", Preconditions(if_none_match='"v0"'), "GET", 200),
    ("none-match-bad", Preconditions(if_none_match="v1"), "GET", 200),
    ("none-match-over-date", Preconditions(if_none_match='"v0"', if_modified_since=DATE), "GET", 200),
    ("not-modified-since", Preconditions(if_modified_since=DATE), "GET", 304),
    ("modified-since", Preconditions(if_modified_since=EARLIER), "GET", 200),
    ("modified-since-put", Preconditions(if_modified_since=DATE), "PUT", 200),
    ("modified-since-bad-date", Preconditions(if_modified_since="now"), "GET", 200),
]


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in TAGS], ids=[case[0] for case in TAGS])
def test_lists_of_entity_tags_follow_the_grammar(value: str, expected: object) -> None:
    assert parse_etags(value) == expected


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in DATES], ids=[case[0] for case in DATES])
def test_the_three_date_forms_are_read_and_nothing_else(value: str, expected: int | None) -> None:
    assert parse_http_date(value) == expected


def test_a_two_digit_year_far_in_the_future_is_in_the_past() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now) == WHEN
    assert (parse_http_date("Wednesday, 01-Jan-76 00:00:00 GMT", now) or 0) > now.timestamp()


@pytest.mark.parametrize(
    ("conditions", "method", "expected"), [case[1:] for case in DECISIONS], ids=[case[0] for case in DECISIONS]
)
def test_preconditions_are_decided_in_the_prescribed_order(
    conditions: Preconditions, method: str, expected: int
) -> None:
    assert evaluate(conditions, method=method, etag=STRONG, last_modified=WHEN) == expected


def test_a_star_matches_any_representation() -> None:
    assert evaluate(Preconditions(if_match="*"), method="PUT", etag=None, last_modified=None, exists=False) == 412
    assert evaluate(Preconditions(if_none_match="*"), method="PUT", etag=None, last_modified=None, exists=False) == 200


def test_without_validators_only_if_match_fails() -> None:
    every = Preconditions(if_none_match='"v1"', if_modified_since=DATE)
    assert evaluate(every, method="GET", etag=None, last_modified=None) == 200
    assert evaluate(Preconditions(if_match='"v1"'), method="GET", etag=None, last_modified=None) == 412


IF_RANGE = [
    ("absent", None, STRONG, True),
    ("same-tag", '"v1"', STRONG, True),
    ("weak-tag-asked", 'W/"v1"', STRONG, False),
    ("weak-tag-held", '"v1"', WEAK, False),
    ("other-tag", '"v0"', STRONG, False),
    ("exact-date", DATE, STRONG, True),
    ("later-date", "Sun, 06 Nov 1994 08:49:38 GMT", STRONG, False),
    ("earlier-date", EARLIER, STRONG, False),
    ("neither", "v1", STRONG, False),
]


@pytest.mark.parametrize(
    ("value", "etag", "expected"), [case[1:] for case in IF_RANGE], ids=[case[0] for case in IF_RANGE]
)
def test_if_range_wants_a_strong_tag_or_the_exact_date(value: str | None, etag: ETag, expected: bool) -> None:
    assert if_range_holds(value, etag=etag, last_modified=WHEN) is expected


@given(st.integers(0, 4102444800))
def test_a_date_written_is_read_back(seconds: int) -> None:
    assert parse_http_date(format_http_date(seconds)) == seconds


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"')), st.booleans())
def test_a_tag_written_is_read_back(opaque: str, weak: bool) -> None:
    assert parse_etag(str(ETag(opaque, weak))) == ETag(opaque, weak)


@given(st.text(max_size=40))
def test_any_value_is_read_without_an_error(value: str) -> None:
    conditions = Preconditions(value, value, value, value)
    assert evaluate(conditions, method="GET", etag=STRONG, last_modified=WHEN) in (200, 304, 412)
    if_range_holds(value, etag=STRONG, last_modified=WHEN)


def judge_tags(value: str) -> bool:
    """Walk a list of entity tags by hand: #( [ W/ ] DQUOTE *etagc DQUOTE ), RFC 9110 sections 5.6.1 and 8.8.3."""
    found, wants_comma, position = False, False, 0
    while position < len(value):
        character = value[position]
        if character in " \t":
            position += 1
        elif character == ",":
            wants_comma = False
            position += 1
        elif wants_comma:
            return False
        else:
            position += 2 if value.startswith("W/", position) else 0
            if value[position : position + 1] != '"':
                return False
            close = value.find('"', position + 1)
            inside = value[position + 1 : close]
            if close < 0 or any(not (c == "!" or "#" <= c <= "~" or "\x80" <= c <= "\xff") for c in inside):
                return False
            found, wants_comma, position = True, True, close + 1
    return found


@given(st.text(alphabet='W/"ab, \t*w\x00\x7f\xe9\u20ac\n', max_size=14))
def test_no_list_outside_the_grammar_is_accepted_and_none_inside_refused(value: str) -> None:
    if value.strip(" \t") == "*":
        assert parse_etags(value) == "*"
    else:
        assert isinstance(parse_etags(value), list) is judge_tags(value)
