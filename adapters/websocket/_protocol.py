"""The server's side of RFC 6455 for one connection, between bytes and ASGI's messages, over wsproto.

No IO, no loop, no clock. Bytes from the client go into `Session.received`. Messages of the application go into
`Session.accept`, `Session.message` and `Session.close`. Bytes to be written collect in `Session.output`. A session
joins fragments up to a limit, responds to pings, and follows the closing handshake.

States: before ``accept``; open; ``closing``; ``closed``. In ``closing``, our Close was sent and the client's is
awaited. In ``closed``, nothing more is read, and the connection ends when the output is written.

Permessage-deflate is not offered, because wsproto inflates a whole frame. A few bytes could fill the memory before the
size limit of a message is checked.

Sources: RFC 6455 sections 4.2, 5.4, 5.5, 7.1, 7.4; ASGI WebSocket 2.5.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway._bounds import BOUNDS
from gateway.adapters.websocket._fragments import Fragments, MessageTooBig
from gateway.adapters.websocket._wsproto import (
    ConnectionState,
    ConnectionType,
    LocalProtocolError,
    RemoteProtocolError,
    WSConnection,
    events,
    h11,
)
from gateway.errors import ApplicationError, ServerError
from gateway.protocols import Environ, Message
from gateway.translate.fields import wsgi_response_headers

if TYPE_CHECKING:
    from wsproto.events import Event

#: Close codes of RFC 6455 section 7.4.1.
NORMAL, GOING_AWAY, NO_STATUS, ABNORMAL, TOO_BIG, INTERNAL_ERROR = 1000, 1001, 1005, 1006, 1009, 1011

#: Seconds to wait for the other side's response to our Close.
CLOSE_SECONDS: Final = 5.0
#: Bytes of messages that may wait for their reader before reading from the socket pauses.
QUEUE_BYTES: Final = 64 * 1024
#: Bytes that count for each message in addition to its content.
MESSAGE_BYTES: Final = 256

#: Codes that a Close frame must not carry: no code came, no Close came, TLS failed.
_LOCAL_ONLY = (NO_STATUS, ABNORMAL, 1015)


@dataclass(frozen=True)
class Closed:
    """The end of a connection, as the application receives it."""

    code: int
    reason: str = ""

    def message(self) -> Message:
        """Return the ``websocket.disconnect`` message."""
        return {"type": "websocket.disconnect", "code": self.code, "reason": self.reason}


class HandshakeError(ServerError):
    """A request for a WebSocket that is not a valid handshake.

    Attributes:
        headers: Additional headers of the response.
    """

    status_hint = 400

    def __init__(self, message: str, *, status: int = 400, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status_hint = status
        self.headers = headers


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.encode("ascii"), validate=True)) == 16
    except (UnicodeError, binascii.Error):
        return False


class Session:
    """One WebSocket, from the handshake's request to the end of the connection.

    Attributes:
        subprotocols: Subprotocols that the client offers.
        output: Bytes to be written.
        closing: Our Close frame was sent.
        closed: How the connection ended, None before. Once it is set, the connection must be ended.
    """

    def __init__(self, environ: Environ, max_size: int) -> None:
        """Read the request of the handshake.

        Args:
            environ: The request, for which `is_handshake` holds.
            max_size: Maximum size of a message: bytes, or characters of a text. A longer message closes with 1009.

        Raises:
            HandshakeError: The request is not a handshake that can get a 101.
        """
        version = environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip()
        if version != "13":
            raise HandshakeError(
                f"a WebSocket handshake must have Sec-WebSocket-Version: 13, got {version!r:.80} (RFC 6455 "
                "section 4.2.1)",
                status=426 if version else 400,
                headers=(("Sec-WebSocket-Version", "13"),),
            )
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
        if len(key) > BOUNDS["websocket-key"].characters or not _is_key(key):
            raise HandshakeError(
                f"a WebSocket handshake must have a Sec-WebSocket-Key of 16 bytes in base64, got {key!r:.80} "
                "(RFC 6455 section 4.2.1)"
            )
        protocols, bound = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", ""), BOUNDS["subprotocols"]
        offered = protocols.split(",", bound.elements or 0)
        if len(protocols) > bound.characters or len(offered) > (bound.elements or 0):
            raise HandshakeError(
                f"Sec-WebSocket-Protocol may have at most {bound.elements} names and {bound.characters} "
                f"characters, got {len(protocols)} characters"
            )
        self.subprotocols = [name.strip() for name in offered if name.strip()]
        self.output = bytearray()
        self.closing = False
        self.closed: Closed | None = None
        self._fragments = Fragments(max_size)
        self._ending = Closed(ABNORMAL)  # the value of `closed` after a close that began on this side
        self._wsproto = WSConnection(ConnectionType.SERVER)
        self._begin(key)

    def _begin(self, key: str) -> None:
        # Only the headers that wsproto needs. The server has checked the others, and may be more lenient than wsproto.
        headers = [
            (b"host", b"localhost"),
            (b"upgrade", b"websocket"),
            (b"connection", b"upgrade"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", key.encode("ascii")),
        ]
        if self.subprotocols:
            try:
                headers.append((b"sec-websocket-protocol", ", ".join(self.subprotocols).encode("latin-1")))
                self._wsproto.initiate_upgrade_connection(headers, b"/")
            except (h11.LocalProtocolError, RemoteProtocolError, UnicodeError) as error:
                raise HandshakeError(
                    f"Sec-WebSocket-Protocol must be a list of tokens, got {self.subprotocols!r} (RFC 6455 section 4.1)"
                ) from error
        else:
            self._wsproto.initiate_upgrade_connection(headers, b"/")
        list(self._wsproto.events())  # discard the event of the request

    # ------------------------------------------------------------------------------------------------ the application

    def accept(self, message: Mapping[str, Any]) -> None:
        """Respond to the handshake with 101.

        Raises:
            ApplicationError: The subprotocol was not offered, or a header cannot be sent.
        """
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise ApplicationError(
                "the subprotocol of websocket.accept must be one that the client offered, "
                f"{self.subprotocols!r}; got {subprotocol!r} (ASGI WebSocket: Accept)"
            )
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in wsgi_response_headers(message.get("headers") or (), "websocket.accept")
        ]
        for name, _ in headers:
            if name.lower().startswith(b"sec-websocket-"):
                raise ApplicationError(
                    f"the headers of websocket.accept must not contain Sec-WebSocket headers, got {name!r}; "
                    "the server writes them, and the subprotocol goes into the key `subprotocol` (ASGI "
                    "WebSocket: Accept)"
                )
        try:
            self._put(events.AcceptConnection(subprotocol=subprotocol, extra_headers=headers))
        except (h11.LocalProtocolError, LocalProtocolError) as error:
            raise ApplicationError(
                f"the headers of websocket.accept must be valid in HTTP, got {headers!r}: {error}"
            ) from error

    def message(self, message: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            ApplicationError: It does not have exactly one of text and bytes.
        """
        text, data = message.get("text"), message.get("bytes")
        if isinstance(text, str) and data is None:
            self._put(events.TextMessage(data=text))
        elif isinstance(data, (bytes, bytearray, memoryview)) and text is None:
            self._put(events.BytesMessage(data=bytes(data)))  # pyright: ignore[reportUnknownArgumentType]  # any view
        else:
            raise ApplicationError(
                f"websocket.send must have either text or bytes, got text={text!r:.60} and bytes={data!r:.60} "
                "(ASGI WebSocket: Send)"
            )

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close. Does nothing if closing has begun already.

        Raises:
            ApplicationError: A Close frame cannot carry the code.
        """
        if not 1000 <= code <= 4999 or code in _LOCAL_ONLY:
            raise ApplicationError(
                f"the code of websocket.close must be from 1000 to 4999 and allowed by the RFC, got {code!r} "
                "(RFC 6455 section 7.4)"
            )
        if not self.closing and self.closed is None:
            self.closing = True
            self._ending = Closed(code, reason)
            self._put(events.CloseConnection(code=code, reason=reason or None))

    def ping(self) -> None:
        """Send a ping to check that the client is there. Does nothing while closing."""
        if not self.closing and self.closed is None:
            self._put(events.Ping())

    def _put(self, event: Event) -> None:
        self.output += self._wsproto.send(event)

    # ------------------------------------------------------------------------------------------------------ the client

    def received(self, data: bytes) -> list[Message]:
        """Take bytes from the client, b"" for the end of the connection.

        Returns:
            The complete messages. An empty list while closing, because the application wants no more messages.
        """
        if self.closed is not None:
            return []
        if not data:
            self.closed = self._ending if self.closing else Closed(ABNORMAL)
            return []
        self._wsproto.receive_data(data)
        messages: list[Message] = []
        for event in self._wsproto.events():
            if isinstance(event, (events.TextMessage, events.BytesMessage)):
                if not self.closing:
                    self._fragment(event, messages)
            elif isinstance(event, events.Ping):
                if not self.closing:
                    self._put(event.response())
            elif isinstance(event, events.CloseConnection):
                self._close_came(event)
                break
        return messages

    def _fragment(self, event: events.TextMessage | events.BytesMessage, messages: list[Message]) -> None:
        try:
            message = self._fragments.add(event)
        except MessageTooBig:
            self.close(TOO_BIG, "message too big")
            return
        if message is not None:
            messages.append({"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message})

    def _close_came(self, event: events.CloseConnection) -> None:
        code = int(event.code or NO_STATUS)
        state = self._wsproto.state
        if state is ConnectionState.REMOTE_CLOSING:
            self._put(event.response())
        elif state is ConnectionState.OPEN:  # wsproto reports a protocol error this way, without a Close frame (7.1.7)
            self._put(events.CloseConnection(code=code, reason=event.reason))
        # Otherwise the client has responded to our Close, or sent invalid bytes after it.
        self.closed = self._ending if self.closing else Closed(code, event.reason or "")
