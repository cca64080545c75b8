"""Join the fragments of WebSocket messages.

Fragments are joined as they come, because a list of small fragments would cost many times their size.

Source: RFC 6455 section 5.4.
"""

from __future__ import annotations

import io

from gateway.adapters.websocket._wsproto import events


class MessageTooBig(Exception):  # internal: the caller closes with code 1009
    """A message is longer than the limit; its fragments were dropped."""


class Fragments:
    """The fragments of the message that is arriving.

    Args:
        max_size: Maximum size of a message: bytes, or characters of a text. None: no limit.
    """

    __slots__ = ("_bytes", "_max_size", "_size", "_text")

    def __init__(self, max_size: int | None) -> None:
        self._max_size = max_size
        self._text = io.StringIO()
        self._bytes = bytearray()
        self._size = 0

    def add(self, event: events.TextMessage | events.BytesMessage) -> str | bytes | None:
        """Add a fragment, and return the message if it is complete.

        Raises:
            MessageTooBig: The message is longer than the limit.
        """
        self._size += len(event.data)
        if self._max_size is not None and self._size > self._max_size:
            self._text, self._bytes = io.StringIO(), bytearray()
            raise MessageTooBig
        message: str | bytes | None = None
        if isinstance(event, events.TextMessage):
            self._text.write(event.data)
            if event.message_finished:
                message, self._text = self._text.getvalue(), io.StringIO()
        else:
            self._bytes += event.data
            if event.message_finished:
                message, self._bytes = bytes(self._bytes), bytearray()
        if message is not None:
            self._size = 0
        return message
