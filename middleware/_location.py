"""Write the target of a request into ``Location``.

Pure. Some servers (waitress) pass control characters of the request line on. A header value must not hold them. A URL
holds only ASCII and no blank (RFC 9110 section 5.5, RFC 3986 section 2).
"""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["location_part"]

_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def location_part(octets: bytes) -> str:
    """Return a path or a query as a part of a URL. Percent-encodes every byte that is not visible ASCII.

    >>> location_part(b"/a%20b?c=d"), location_part(b"/a b\\r\\n")
    ('/a%20b?c=d', '/a%20b%0D%0A')
    """
    return quote(octets, safe=_VISIBLE)
