"""Trailers of a WSGI application, for an ASGI server that sends them.

WSGI has no trailers. gunicorn offers ``environ["gunicorn.http2.send_trailers"](fields)``, which may be called at any
time before the body ends. An ASGI server must know at the response start that trailers will come. So trailers are
promised if the application has given them by then, or announces them in a ``Trailer`` header. Trailers that come later
without an announcement are dropped, which HTTP allows.

A response with a Content-Length is complete with its last byte, so its trailers must be given before that byte.

Sources: ASGI extension "HTTP Trailers"; RFC 9110 sections 6.5, 6.6.2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gateway.protocols import ASGISend, Message
from gateway.translate.fields import asgi_response_headers
from gateway.translate.status import has_content

_log = logging.getLogger("gateway.adapters")


class Trailers:
    """The trailers of one response, and a ``send`` that sends them after its body.

    Args:
        send: The server's.
        head_only: The request is HEAD, so neither a body nor trailers are sent.
    """

    def __init__(self, send: ASGISend, *, head_only: bool) -> None:
        self._send = send
        self._head_only = head_only
        self._fields: list[tuple[bytes, bytes]] | None = None
        self._promised: bool | None = None  # None before the response start

    def give(self, fields: Iterable[tuple[str, str]]) -> None:
        """Take the trailers, in the application's thread. A second call replaces the trailers of the first."""
        self._fields = asgi_response_headers(list(fields))
        if self._promised is False:
            _log.debug(
                "trailers were dropped, because they came after the response headers and no Trailer header had "
                "announced them"
            )

    async def send(self, message: Message) -> None:
        """Send a message of the response. After the last message of the body, send the trailers."""
        kind = message["type"]
        if kind == "http.response.start":
            announced = self._fields is not None or any(name == b"trailer" for name, _ in message["headers"])
            self._promised = announced and not self._head_only and has_content(message["status"])
            if self._promised:
                message = {**message, "trailers": True}
        await self._send(message)
        if self._promised and kind in _BODIES and not message.get("more_body", False):
            await self._send({"type": "http.response.trailers", "headers": self._fields or [], "more_trailers": False})


_BODIES = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")
