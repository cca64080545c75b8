"""Validators and preconditions: entity tags, HTTP dates, and the status of a conditional request.

Pure. From the validators of a representation, decide whether a conditional request gets it, a 304 or a 412.

Sources: RFC 9110 sections 5.6.7 (dates), 8.8 (validators), 13.1 (conditional fields), 13.2.2 (precedence).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Literal

from gateway._bounds import BOUNDS

__all__ = [
    "ETag",
    "Preconditions",
    "evaluate",
    "format_http_date",
    "if_range_holds",
    "parse_etag",
    "parse_etags",
    "parse_http_date",
]

_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# Each quantifier is possessive, because backtracking would try every split of the blanks around the optional group.
_LIST_ETAG = re.compile(r'[ \t]*+(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*+)"[ \t]*+)?+(?:,|\Z)')
_LONGEST_LIST, _MOST_TAGS = BOUNDS["if-none-match"].characters, BOUNDS["if-none-match"].elements or 0
_LONGEST_DATE = BOUNDS["date"].characters
_LONGEST_IF_RANGE = BOUNDS["if-range"].characters
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "|".join(_MONTHS)
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = (
    re.compile(
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>\d\d) (?P<month>{_MONTH}) (?P<year>\d{{4}}) {_TIME} GMT", re.ASCII
    ),
    re.compile(
        r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, "
        rf"(?P<day>\d\d)-(?P<month>{_MONTH})-(?P<year>\d\d) {_TIME} GMT",
        re.ASCII,
    ),
    re.compile(
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?P<month>{_MONTH}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})", re.ASCII
    ),
)


@dataclass(frozen=True)
class ETag:
    """An entity tag: its opaque part without quotes, and whether it is weak."""

    opaque: str
    weak: bool = False

    def __str__(self) -> str:
        return f'W/"{self.opaque}"' if self.weak else f'"{self.opaque}"'

    def matches_strongly(self, other: ETag) -> bool:
        """Compare strongly: both tags are strong and equal (RFC 9110 section 8.8.3.2)."""
        return not self.weak and not other.weak and self.opaque == other.opaque

    def matches_weakly(self, other: ETag) -> bool:
        """Compare weakly: the tags are equal, strong or weak."""
        return self.opaque == other.opaque


@dataclass(frozen=True)
class Preconditions:
    """The conditional headers of one request, unparsed; None if absent."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None


def parse_etag(value: str) -> ETag | None:
    """Parse one entity tag; return None if the value is not valid.

    >>> parse_etag('W/"a"')
    ETag(opaque='a', weak=True)
    """
    match = _ETAG.fullmatch(value.strip(" \t"))
    return ETag(match[2], match[1] is not None) if match else None


def parse_etags(value: str) -> list[ETag] | Literal["*"] | None:
    """Parse the value of ``If-Match`` or ``If-None-Match``.

    Returns:
        ``"*"``, the list of tags, or None if the value is outside the grammar or above its bound. A comma inside the
        quotes belongs to the tag.

    >>> parse_etags('"a,b", W/"c"')
    [ETag(opaque='a,b', weak=False), ETag(opaque='c', weak=True)]
    """
    if len(value) > _LONGEST_LIST:
        return None
    if value.strip(" \t") == "*":
        return "*"
    tags: list[ETag] = []
    position = 0
    while position < len(value):
        match = _LIST_ETAG.match(value, position)
        if match is None:
            return None
        if match[2] is not None:
            tags.append(ETag(match[2], match[1] is not None))
        position = match.end()
    return tags if 0 < len(tags) <= _MOST_TAGS else None


def parse_http_date(value: str, now: datetime | None = None) -> int | None:
    """Parse an HTTP date, in any of its three forms, into seconds since the epoch; return None if it is not valid.

    A two-digit year that seems more than 50 years ahead means the past year with the same digits (section 5.6.7).

    >>> parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT")
    784111777
    """
    if len(value) > _LONGEST_DATE:
        return None
    value = value.strip(" \t")
    for pattern in _DATES:
        match = pattern.fullmatch(value)
        if match is None:
            continue
        year = int(match["year"])
        if len(match["year"]) == 2:
            current = (now or datetime.now(UTC)).year
            year += current - current % 100
            year -= 100 if year > current + 50 else 0
        try:
            moment = datetime(
                year,
                _MONTHS.index(match["month"]) + 1,
                int(match["day"]),
                int(match["hour"]),
                int(match["minute"]),
                min(int(match["second"]), 59),  # the grammar allows a leap second, datetime does not
                tzinfo=UTC,
            )
        except ValueError:
            return None
        return int(moment.timestamp())
    return None


def format_http_date(seconds: float) -> str:
    """Format seconds since the epoch as an HTTP date; drops fractions of a second.

    >>> format_http_date(784111777.9)
    'Sun, 06 Nov 1994 08:49:37 GMT'
    """
    return formatdate(int(seconds), usegmt=True)


def evaluate(
    conditions: Preconditions, *, method: str, etag: ETag | None, last_modified: int | None, exists: bool = True
) -> Literal[200, 304, 412]:
    """Decide the result of a conditional request, in the order of RFC 9110 section 13.2.2.

    Args:
        conditions: The request's conditional headers.
        method: The request method, upper-case.
        etag: Entity tag of the selected representation, or None if it does not have one.
        last_modified: Its modification date in seconds since the epoch, or None if unknown.
        exists: Whether a current representation exists; ``*`` matches if it does.

    Returns:
        200: continue as without conditions; 304: not modified; 412: precondition failed.
    """
    readable = method in ("GET", "HEAD")
    if conditions.if_match is not None:
        if not _any(conditions.if_match, etag, exists, strong=True):
            return 412
    elif conditions.if_unmodified_since is not None and last_modified is not None:
        limit = parse_http_date(conditions.if_unmodified_since)
        if limit is not None and last_modified > limit:
            return 412
    if conditions.if_none_match is not None:
        if _any(conditions.if_none_match, etag, exists, strong=False):
            return 304 if readable else 412
    elif conditions.if_modified_since is not None and readable and last_modified is not None:
        since = parse_http_date(conditions.if_modified_since)
        if since is not None and last_modified <= since:
            return 304
    return 200


def _any(value: str, etag: ETag | None, exists: bool, *, strong: bool) -> bool:
    """Return whether a list of entity tags, or ``*``, matches the current tag; an invalid list does not match."""
    tags = parse_etags(value)
    if tags == "*":
        return exists
    if tags is None or etag is None:
        return False
    return any(etag.matches_strongly(tag) if strong else etag.matches_weakly(tag) for tag in tags)


def if_range_holds(value: str | None, *, etag: ETag | None, last_modified: int | None) -> bool:
    """Return whether ``If-Range`` allows a range; without the header it is allowed.

    An entity tag must match strongly, and a date must equal the modification date (RFC 9110 section 13.1.5). Otherwise
    the server sends the whole representation.
    """
    if value is None:
        return True
    if len(value) > _LONGEST_IF_RANGE:
        return False
    tag = parse_etag(value)
    if tag is not None:
        return etag is not None and tag.matches_strongly(etag)
    moment = parse_http_date(value)
    return moment is not None and moment == last_modified
