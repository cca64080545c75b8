"""Trailers of a WSGI application, for an ASGI server that sends them.

WSGI has no word for trailers; gunicorn's is ``environ["gunicorn.http2.send_trailers"](fields)``, any time before the
body ends. An ASGI server must know with the head that trailers will come. So they are promised where the application
has given them by then, or announces them by a ``Trailer`` field; what comes unannounced after the head was sent is
dropped, as HTTP lets anybody do with trailers.

A response with a Content-Length is complete with its last byte: trailers have to be given before that.

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
    """The trailers of one response, and the ``send`` that sends them behind its body.

    Args:
        send: The server's.
        head_only: The request is HEAD: there is nothing for trailers to stand behind.
    """

    def __init__(self, send: ASGISend, *, head_only: bool) -> None:
        self._send = send
        self._head_only = head_only
        self._fields: list[tuple[bytes, bytes]] | None = None
        self._promised: bool | None = None  # None before the head

    def give(self, fields: Iterable[tuple[str, str]]) -> None:
        """Take the trailers, in the thread of the application; again: instead of those given before."""
        self._fields = asgi_response_headers(list(fields))
        if self._promised is False:
            _log.debug("trailers that no Trailer field had announced came after the head, and were dropped")

    async def send(self, message: Message) -> None:
        """Send a message of the response; behind the last of its body, the trailers."""
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
