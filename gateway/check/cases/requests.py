"""The requests that an application, a middleware or an adapter gets.

``battery()`` sends all of them, through the client of the test kit. ``gateway check MODULE:APP`` sends those without a
body, and with ``--bodies`` the others too, because a POST may change the data of an application.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Literal

__all__ = ["REQUESTS", "Leaving", "RequestCase"]


@dataclass(frozen=True)
class Leaving:
    """The point at which the client leaves.

    Attributes:
        when: Before the response, within the request body, or within the response body.
        at: Number of bytes or of chunks, in the unit of ``when``.
        how: Signal to the application: an event, an exception of ``send()``, or whichever it asks for first.
    """

    when: Literal["before_headers", "mid_request", "after_bytes", "after_chunks"]
    at: int = 0
    how: Literal["event", "oserror", "both"] = "both"


@dataclass(frozen=True)
class RequestCase:
    """A request, and the results that it may have.

    Attributes:
        id: Name of the case.
        method: Method of the request.
        query: Query string, percent-encoded.
        headers: Headers beside Host and those of the body.
        body: The body, in pieces; None for a request without one.
        sizes: Sizes in which the application gets the body. A WSGI application then gets fewer bytes from ``read(n)``
            than n before the end, so it is skipped: WebOb, for one, reads "the semantics of each method are as
            documented in the Python Library Reference" (PEP 3333) as a ban.
        leaves: The client leaves: the application may raise then, and the response is cut.
        slowly: The client reads slowly.
        raising: The probe raises.
        path: Path of the probe; empty for the path that the test names.
        probe_only: Skipped for an application, which may respond to this request as it likes.
    """

    id: str
    method: str = "GET"
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: Sequence[bytes] | None = None
    sizes: Sequence[int] = ()
    leaves: Leaving | None = None
    slowly: bool = False
    raising: bool = False
    path: str = ""
    probe_only: bool = False

    def target(self, path: str) -> str:
        """Return the request target for a path of the application, which may have a query string of its own."""
        path = self.path or path
        return f"{path}{'&' if '?' in path else '?'}{self.query}" if self.query else path

    def pieces(self) -> list[bytes]:
        """Return the pieces in which the application gets the body."""
        whole = b"".join(self.body or ())
        if not self.sizes:
            return list(self.body or [b""])
        ends = [*accumulate(self.sizes), len(whole)]
        return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < len(whole)]


_HEADERS = [("x-twice", "1"), ("x-twice", "2"), ("x-latin", "caf\xe9"), ("x-empty", ""), ("accept-language", "de, en")]
_BODY = b"a=1&b=2\r\n" * 40
_FORM = [("content-type", "application/x-www-form-urlencoded")]
_FILES = (
    b'--battery\r\nContent-Disposition: form-data; name="file"; filename="\xc3\xbc.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\ninside\r\n--battery--\r\n"
)
_RANDOM = Random(7)
_SIZES = [_RANDOM.randint(0, 30) for _ in range(20)]

REQUESTS: tuple[RequestCase, ...] = (
    RequestCase("get"),
    RequestCase("head", "HEAD"),
    RequestCase("options", "OPTIONS"),
    RequestCase("unknown-method", "PROPFIND"),
    RequestCase("query", query="a=1&a=2&b+c=d%26e&%C3%BC=%C3%A9"),
    RequestCase("headers", headers=_HEADERS),
    RequestCase("cookies", headers=[("cookie", "a=1; b=2")]),
    RequestCase("post-whole", "POST", body=[_BODY]),
    RequestCase("post-empty", "POST", body=[b""]),
    RequestCase("post-chunks", "POST", body=[_BODY[:7], b"", _BODY[7:]]),
    RequestCase("post-bytewise", "POST", body=[_BODY], sizes=[1] * 40),
    RequestCase("post-at-random", "POST", body=[_BODY], sizes=_SIZES),
    RequestCase(
        "post-json", "POST", headers=[("content-type", "application/json")], body=[json.dumps({"a": [1, "é"]}).encode()]
    ),
    RequestCase("post-form", "POST", headers=_FORM, body=[b"a=1&b=2&b=3"]),
    RequestCase(
        "post-files", "POST", headers=[("content-type", "multipart/form-data; boundary=battery")], body=[_FILES]
    ),
    RequestCase("leaves-before-headers", leaves=Leaving("before_headers")),
    RequestCase("leaves-mid-request", "POST", body=[_BODY], leaves=Leaving("mid_request", 20)),
    RequestCase("leaves-at-head", leaves=Leaving("after_bytes", 0)),
    RequestCase("leaves-after-a-byte", leaves=Leaving("after_bytes", 1)),
    RequestCase("leaves-after-a-chunk", leaves=Leaving("after_chunks", 1)),
    RequestCase("leaves-by-event-alone", leaves=Leaving("after_bytes", 1, "event")),
    RequestCase("leaves-by-error-alone", leaves=Leaving("after_bytes", 1, "oserror")),
    RequestCase("reads-slowly", slowly=True),
    RequestCase("percent-encoded-path", path="/echo/%2F/%C3%A9/a%20b;v=1", probe_only=True),
    RequestCase("empty", path="/empty", probe_only=True),
    RequestCase("repeated-headers", path="/cookies", probe_only=True),
    RequestCase("chunks", path="/chunks", probe_only=True),
    RequestCase("big", path="/big", probe_only=True),
    RequestCase("leaves-a-big-one", path="/big", leaves=Leaving("after_bytes", 5000), probe_only=True),
    RequestCase("raises", path="/raises", raising=True, probe_only=True),
    RequestCase("raises-late", path="/raises-late", raising=True, probe_only=True),
)
