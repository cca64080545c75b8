"""The client's side of RFC 6455 for the socket that a WSGI application holds, over wsproto.

The application acts as a WebSocket server on its end of a socket pair. This module is the client at the other end, and
translates between frames and the messages of ASGI. No IO, no loop, no clock. Bytes from the application go into
`PairSession.received`, messages of the ASGI server into `PairSession.message` and `PairSession.close`. Bytes for the
application collect in `PairSession.output`.

The handshake of the pair is its own: it has a key of its own, because an HTTP/2 handshake has none, and it offers no
extension. Compression on a socket pair would only cost CPU.

Pings of the application are answered here, because ASGI has no ping. The answer follows all messages that the
application sent before, so it comes late if the client is slow.

Sources: RFC 6455 sections 4.1, 5.5, 7.1, 7.4; ASGI WebSocket 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.adapters.websocket._fragments import Fragments
from gateway.adapters.websocket._protocol import INTERNAL_ERROR, NO_STATUS, NORMAL, HandshakeError
from gateway.adapters.websocket._wsproto import (
    CloseReason,
    ConnectionState,
    ConnectionType,
    LocalProtocolError,
    RemoteProtocolError,
    WSConnection,
    events,
    h11,
)
from gateway.errors import ApplicationError
from gateway.protocols import Message

#: Headers of a handshake that belong to one connection. The pair has its own.
_OF_THE_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"upgrade",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
    }
)


class PairSession:
    """One WebSocket on a socket pair.

    Attributes:
        output: Bytes for the application.
        open: The application has accepted.
        closing: A Close frame was sent to the application, or the session has ended.
        closed: The session has ended: nothing more is read, and the connection ends when the output is written.
    """

    def __init__(self, subprotocols: Sequence[str]) -> None:
        """Begin the handshake.

        Args:
            subprotocols: Subprotocols that the client offers, as the ASGI server reports them.

        Raises:
            HandshakeError: A subprotocol is not a token.
        """
        self.output = bytearray()
        self.open = False
        self.closing = False
        self.closed = False
        self._fragments = Fragments(None)  # the application has made the message, so it fits into the memory
        self._wsproto = WSConnection(ConnectionType.CLIENT)
        try:
            request = self._wsproto.send(events.Request(host="localhost", target="/", subprotocols=list(subprotocols)))
        except (h11.LocalProtocolError, UnicodeError) as error:
            raise HandshakeError(
                f"Sec-WebSocket-Protocol must be a list of tokens, got {list(subprotocols)!r:.200} (RFC 6455 section "
                "4.1)"
            ) from error
        lines = (line.partition(b": ") for line in bytes(request).split(b"\r\n")[1:])
        self._request = [(name.lower(), value) for name, _, value in lines if name.lower() in _OF_THE_CONNECTION]

    def request_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request, with those of the pair's handshake instead of the client's."""
        return [(name, value) for name, value in headers if name.lower() not in _OF_THE_CONNECTION] + self._request

    # ---------------------------------------------------------------------------------------------------- the client

    def message(self, message: Mapping[str, Any]) -> None:
        """Send a ``websocket.receive`` message to the application. Does nothing after a close."""
        if self.closing or not self.open:
            return
        text = message.get("text")
        if text is not None:
            self._put(events.TextMessage(data=text))
        else:
            self._put(events.BytesMessage(data=message["bytes"]))

    def close(self, code: int, reason: str = "") -> None:
        """Send the client's Close to the application. Does nothing after a close, or before the accept."""
        if self.open and not self.closing:
            self.closing = True
            if code == NO_STATUS:  # wsproto sends an empty Close for this object only, not for the number
                self._put(events.CloseConnection(code=CloseReason.NO_STATUS_RCVD))
            else:
                self._put(events.CloseConnection(code=code, reason=reason or None))

    def _put(self, event: events.Event) -> None:
        self.output += self._wsproto.send(event)

    # ----------------------------------------------------------------------------------------------- the application

    def received(self, data: bytes) -> list[Message]:
        """Take bytes from the application, b"" for the end.

        Returns:
            The complete messages, as an ASGI application sends them: an accept, WebSocket messages, a close. A refusal
            that the application wrote to the socket is an HTTP response.

        Raises:
            ApplicationError: The bytes are not an HTTP response that RFC 6455 allows.
        """
        if self.closed or (not data and self.open):
            self.closed = True
            return []
        try:
            self._wsproto.receive_data(data or None)
            return [message for event in self._wsproto.events() for message in self._messages(event)]
        except (RemoteProtocolError, LocalProtocolError, h11.RemoteProtocolError, UnicodeError) as error:
            self.closed = True
            raise ApplicationError(
                f"the application must answer the handshake on its socket with a valid HTTP response: {error}; offer "
                "no extension, and choose a subprotocol that the client offered (RFC 6455 section 4.2.2)"
            ) from error
        finally:
            self.closed = self.closed or not data

    def _messages(self, event: events.Event) -> list[Message]:
        if isinstance(event, (events.TextMessage, events.BytesMessage)):
            message = self._fragments.add(event)
            if message is None:
                return []
            return [{"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message}]
        if isinstance(event, events.Ping):
            if not self.closing:
                self._put(event.response())
            return []
        if isinstance(event, events.CloseConnection):
            return self._close_came(event)
        if isinstance(event, events.AcceptConnection):
            self.open = True
            headers = [pair for pair in event.extra_headers if not pair[0].startswith(b"sec-websocket-")]
            return [{"type": "websocket.accept", "subprotocol": event.subprotocol, "headers": headers}]
        if isinstance(event, events.RejectConnection):
            if event.status_code < 200:
                raise RemoteProtocolError(f"status {event.status_code}")
            start: Message = {
                "type": "http.response.start", "status": event.status_code, "headers": list(event.headers)
            }  # fmt: skip
            return [start]
        if isinstance(event, events.RejectData):
            self.closed = event.body_finished
            return [{"type": "http.response.body", "body": bytes(event.data), "more_body": not event.body_finished}]
        return []  # a pong

    def _close_came(self, event: events.CloseConnection) -> list[Message]:
        state = self._wsproto.state
        self.closed = True
        if self.closing:  # the application has answered the client's Close
            return []
        self.closing = True
        code, reason = int(event.code or NO_STATUS), event.reason or ""
        if state is ConnectionState.OPEN:  # wsproto reports invalid frames this way
            self._put(events.CloseConnection(code=code, reason=reason))
            return [{"type": "websocket.close", "code": INTERNAL_ERROR, "reason": "invalid frames"}]
        self._put(event.response())
        return [{"type": "websocket.close", "code": NORMAL if code == NO_STATUS else code, "reason": reason}]
