"""How the target of a request is written into ``Location``.

Pure. Some servers (waitress) pass control characters of the request line on. A header value must not hold them, and a
URL has no blank and no byte above 0x7e in it (RFC 9110 section 5.5, RFC 3986 section 2).
"""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["location_part"]

_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def location_part(octets: bytes) -> str:
    """Return a path or a query as a part of a URL: what is not visible ASCII is percent-encoded, the rest stays.

    >>> location_part(b"/a%20b?c=d"), location_part(b"/a b\\r\\n")
    ('/a%20b?c=d', '/a%20b%0D%0A')
    """
    return quote(octets, safe=_VISIBLE)
