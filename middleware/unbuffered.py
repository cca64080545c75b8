"""Make NGINX pass streams on at once: send ``X-Accel-Buffering: no`` if a response does not declare its length.

NGINX collects a response before it sends it. Over plain HTTP a stream passes anyway, but a TLS connection holds back
unflushed data, so the client gets the stream only at its end. The header switches the buffer off for one response, and
NGINX removes the header. Complete responses keep the buffer, because it frees the worker from a slow client.

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
#: Headers that show a declared length, the application's own choice, or a file that NGINX sends itself.
_SETTLED = HeaderNames("content-length", _NAME, "x-accel-redirect")


@dataclass(frozen=True, kw_only=True)
class Unbuffered(Middleware):
    """Switch off NGINX's buffer for each response whose length is not declared.

    It does not change a response with a Content-Length, or without a body (HEAD, 1xx, 204, 304). It also keeps the
    application's own ``X-Accel-Buffering``, and does not change a file that NGINX sends by ``X-Accel-Redirect``.
    """

    after: ClassVar[tuple[str, ...]] = ("Compression: it removes the Content-Length that the application sent",)

    def on_response(self, request: Request, response: Response) -> None:
        headers, status = response.headers, response.status
        if headers.has_any(_SETTLED) or status < 200 or status in (204, 304) or request.method == "HEAD":
            return
        headers.append(_NO)
