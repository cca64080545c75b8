"""Facts about header fields that hold in both interfaces. Names are lower-case; values are text.

Sources: RFC 9110.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["SCHEME", "invalid_field", "metadata_in_304", "repeated", "wrong_etag"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: RFC 3986 3.1.
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_METADATA = frozenset({"content-type", "content-encoding", "content-language", "content-range", "last-modified"})
#: Fields of a response that are no list, so that a second line makes the message ambiguous. P07 and E14 are about
#: Content-Length.
_SINGLE = frozenset(
    {
        "age",
        "content-location",
        "content-range",
        "content-type",
        "etag",
        "expires",
        "last-modified",
        "location",
        "retry-after",
    }
)


def repeated(names: Iterable[str]) -> str | None:
    """Describe the first field that comes twice, although it is no list (RFC 9110 5.3)."""
    seen: set[str] = set()
    for name in names:
        if name in _SINGLE and name in seen:
            return f"two {name} headers"
        seen.add(name)
    return None


def metadata_in_304(names: Iterable[str]) -> str | None:
    """Describe a field about the representation in a 304 response (RFC 9110 15.4.5)."""
    found = set(names)
    wrong = found & _METADATA
    if not wrong or (wrong == {"last-modified"} and "etag" not in found):
        return None
    return f"the header {sorted(wrong)[0]}"


def wrong_etag(value: str) -> str | None:
    """Describe an ETag that is not quoted (RFC 9110 8.8.3)."""
    return None if _ETAG.fullmatch(value) else f"ETag {value!r}"


def invalid_field(name: str, value: str) -> str | None:
    """Describe a field of a request whose name is no token, or whose value has a line end (RFC 9110 5.1, 5.5)."""
    if not _TOKEN.fullmatch(name):
        return f"the name {name!r}"
    return f"{name}: {value!r}" if any(end in value for end in "\r\n\0") else None
