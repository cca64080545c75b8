"""Ask NGINX to pass streams on at once: ``X-Accel-Buffering: no`` where no length is declared.

NGINX collects a response before it sends it. Over plain HTTP a stream passes all the same, but a TLS connection holds
what is not flushed, and the client has the stream at its end. The header switches the buffer off for one response;
NGINX takes it out before the client sees it. Whole responses are better off in the buffer: it frees the worker from a
slow client, so they are left alone.

Source: the NGINX documentation of ``proxy_buffering`` (``ngx_http_proxy_module``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.contract import Middleware
from gateway.headers import Header, HeaderNames

if TYPE_CHECKING:
    from gateway.exchange import Request, Response

__all__ = ["Unbuffered"]

_NAME = "x-accel-buffering"
_NO = Header("X-Accel-Buffering", "no")
#: The length is declared, the application decides by itself, or NGINX sends a file of its own.
_SETTLED = HeaderNames("content-length", _NAME, "x-accel-redirect")


@dataclass(frozen=True, kw_only=True)
class Unbuffered(Middleware):
    """Ask NGINX not to buffer a response whose length is not declared.

    Left alone are: a response with a Content-Length, one without a body (HEAD, 1xx, 204, 304), one with an
    ``X-Accel-Buffering`` of the application, and a file that NGINX sends by ``X-Accel-Redirect``.
    """

    after: ClassVar[tuple[str, ...]] = ("Compression: it removes the length that the application declared",)

    def on_response(self, request: Request, response: Response) -> None:
        headers, status = response.headers, response.status
        if headers.has_any(_SETTLED) or status < 200 or status in (204, 304) or request.method == "HEAD":
            return
        headers.append(_NO)
