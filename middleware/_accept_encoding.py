"""Choose a content coding: compare ``Accept-Encoding`` with the codings that the server can offer.

Pure. ``Compression`` and the precompressed files of ``StaticFiles`` share this rule. It compares tokens whole and
without case, never as substrings. ``q=0`` refuses a coding, and ``*`` covers every coding that is not named. The
outcome is never 406: if no offered coding is acceptable, the body is sent without a coding.

Sources: RFC 9110 sections 8.4.1 (codings, ``x-gzip``), 12.4.2 (quality values), 12.5.3 (Accept-Encoding).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from gateway._bounds import BOUNDS

__all__ = ["choose_coding", "parse_accept_encoding"]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ELEMENT = re.compile(rf"[ \t]*({_TOKEN})(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?[ \t]*")
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}
#: Longer values bypass the cache, so that a client cannot fill it with them. Browsers send few values, all short.
_LONG = 128
_LONGEST = BOUNDS["accept-encoding"].characters


def parse_accept_encoding(value: str) -> dict[str, float]:
    """Parse the value of ``Accept-Encoding`` into ``{coding: quality}``.

    The parser ignores an element outside the grammar and keeps the others, so a typing error costs only one coding.

    Args:
        value: The header value; repeated lines joined with ",".

    Returns:
        Lower-case codings, aliases resolved. If a coding is named twice, the first counts.

    >>> parse_accept_encoding("gzip;q=0, br, *;q=0.5")
    {'gzip': 0.0, 'br': 1.0, '*': 0.5}
    """
    accepted: dict[str, float] = {}
    for element in value.split(","):
        match = _ELEMENT.fullmatch(element)
        if match is None:
            continue
        coding = match[1].lower()
        accepted.setdefault(_ALIASES.get(coding, coding), float(match[2]) if match[2] else 1.0)
    return accepted


def choose_coding(value: str | None, offered: Sequence[str]) -> str | None:
    """Choose the coding of a response.

    Args:
        value: The value of ``Accept-Encoding``, or None if the request does not have the header.
        offered: Codings that can be produced, in the server's order of preference, lower-case.

    Returns:
        The offered coding of highest quality, the server's preference among equals. None means identity: no offered
        coding is acceptable, or the header is absent, empty or above its bound. It also means that the client gives
        identity a higher quality.

    >>> choose_coding("br;q=0.5, gzip;q=0.5", ["br", "gzip"])
    'br'
    >>> choose_coding("gzip;q=0", ["gzip"]) is None
    True
    """
    if not value or len(value) > _LONGEST:
        return None
    return (_choose if len(value) <= _LONG else _choose.__wrapped__)(value, tuple(offered))


@lru_cache(maxsize=256)
def _choose(value: str, offered: tuple[str, ...]) -> str | None:
    accepted = parse_accept_encoding(value)
    others = accepted.get("*", 0.0)
    best, best_quality = None, 0.0
    for coding in offered:
        quality = accepted.get(coding, others)
        if quality > best_quality:
            best, best_quality = coding, quality
    identity = accepted.get("identity")
    return None if identity is not None and identity > best_quality else best
