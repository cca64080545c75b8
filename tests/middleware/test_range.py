"""The ``Range`` field is read as RFC 9110 section 14.2 says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.middleware._range import content_range, select_range

BODY = bytes(range(10))
CASES = [
    ("absent", None, None),
    ("first-byte", "bytes=0-0", (0, 1)),
    ("open", "bytes=4-", (4, 10)),
    ("suffix", "bytes=-3", (7, 10)),
    ("suffix-longer-than-all", "bytes=-99", (0, 10)),
    ("end-past-the-end", "bytes=8-99", (8, 10)),
    ("whole", "bytes=0-", (0, 10)),
    ("unit-without-case", "Bytes=1-2", (1, 3)),
    ("white-space", "bytes= 1-2 ", (1, 3)),
    ("empty-elements", "bytes=,1-2,", (1, 3)),
    ("behind-the-end", "bytes=10-", "unsatisfiable"),
    ("suffix-zero", "bytes=-0", "unsatisfiable"),
    ("several", "bytes=0-1,4-5", None),
    ("reversed", "bytes=5-4", None),
    ("other-unit", "items=0-1", None),
    ("no-unit", "0-1", None),
    ("no-range", "bytes=", None),
    ("dash", "bytes=-", None),
    ("sign", "bytes=+1-2", None),
    ("not-ascii-digits", "bytes=\u0661-", None),
    ("inner-space", "bytes=1 - 2", None),
    ("huge", "bytes=" + "9" * 5000 + "-", None),
]


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_only_single_ranges_are_selected(value: str | None, expected: object) -> None:
    assert select_range(value, len(BODY)) == expected


def test_no_range_of_an_empty_file_can_be_selected() -> None:
    assert select_range("bytes=0-", 0) == "unsatisfiable"
    assert select_range("bytes=-1", 0) == "unsatisfiable"


@given(st.text(alphabet="bytes=0123456789-, \t", max_size=30), st.integers(0, 12))
def test_a_selected_range_is_inside_the_file(value: str, length: int) -> None:
    selected = select_range(value, length)
    if isinstance(selected, tuple):
        start, stop = selected
        assert 0 <= start < stop <= length
        assert content_range(selected, length) == f"bytes {start}-{stop - 1}/{length}"


#: RFC 9110 section 14.1.1, its ABNF written out: unit "=" 1#( int-range / suffix-range ), of bytes; our spaces outside.
ORACLE = re.compile(r"[ \t]*bytes=[ \t,]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t,]*", re.IGNORECASE | re.ASCII)
RANGES = st.one_of(
    st.from_regex(ORACLE, fullmatch=True),
    st.text(alphabet="bytes=0123456789-, \t", max_size=30),
    st.text(max_size=12).map("bytes={}".format),
    st.from_regex(ORACLE, fullmatch=True).flatmap(
        lambda good: st.integers(0, len(good)).flatmap(
            lambda at: st.characters().map(lambda extra: good[:at] + extra + good[at:])
        )
    ),
)


@given(RANGES, st.integers(0, 12))
def test_only_ranges_within_the_grammar_select_bytes(value: str, length: int) -> None:
    match = ORACLE.fullmatch(value)
    selected = select_range(value, length)
    if match is None:
        assert selected is None
        return
    first, last, suffix = match.groups()
    if len(value) > 30:  # numbers beyond any file may be refused
        assert selected is None or selected == "unsatisfiable" or selected[1] <= length
    elif first is None:
        expected = (max(length - int(suffix), 0), length)
        assert selected == ("unsatisfiable" if expected[0] == length else expected)
    elif last and int(last) < int(first):
        assert selected is None
    elif int(first) >= length:
        assert selected == "unsatisfiable"
    else:
        assert selected == (int(first), min(int(last) + 1, length) if last else length)
