"""The server's side of RFC 6455 without IO: handshakes, fragments in any cut, closing from either side, limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection, events
from wsproto.frame_protocol import CloseReason

from gateway.adapters.websocket._protocol import Closed, HandshakeError, Session
from gateway.adapters.websocket._serve import is_handshake
from gateway.errors import ApplicationError

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def environ(**changes: Any) -> dict[str, Any]:
    found = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.org",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        **changes,
    }
    return {key: value for key, value in found.items() if value is not None}


def opened(max_size: int = 1000, accept: dict[str, Any] | None = None, **changes: Any) -> tuple[Session, WSConnection]:
    """Return a session that was accepted, and wsproto's client at its other end."""
    session = Session(environ(**changes), max_size)
    client = WSConnection(ConnectionType.CLIENT)
    client.send(events.Request(host="example.org", target="/", subprotocols=list(session.subprotocols)))
    client.handshake._nonce = KEY.encode()  # the one of the environ
    session.accept({"type": "websocket.accept", **(accept or {})})
    (accepted,) = heard(session, client)
    assert isinstance(accepted, events.AcceptConnection)
    return session, client


def taken(session: Session) -> bytes:
    output, session.output = bytes(session.output), bytearray()
    return output


def heard(session: Session, client: WSConnection) -> list[events.Event]:
    client.receive_data(taken(session))
    return list(client.events())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"HTTP_UPGRADE": "WebSocket", "HTTP_CONNECTION": "keep-alive, upgrade"}, True),
        ({"REQUEST_METHOD": "POST"}, False),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, False),
        ({"SERVER_PROTOCOL": "HTTP/2.0"}, False),
        ({"HTTP_UPGRADE": "h2c"}, False),
        ({"HTTP_UPGRADE": None}, False),
        ({"HTTP_CONNECTION": None}, False),
        ({"HTTP_CONNECTION": "close"}, False),
    ],
)
def test_a_handshake_is_distinguished_from_other_requests(changes: dict[str, Any], expected: bool) -> None:
    assert is_handshake(environ(**changes)) is expected


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, 426, "Sec-WebSocket-Version: 13, got '8'"),
        ({"HTTP_SEC_WEBSOCKET_VERSION": None}, 400, "Sec-WebSocket-Version: 13, got ''"),
        ({"HTTP_SEC_WEBSOCKET_KEY": None}, 400, "16 bytes in base64, got ''"),
        ({"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="}, 400, "16 bytes"),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ=\xe4"}, 400, "16 bytes"),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "a\r\nx: y"}, 400, "list of tokens"),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "\u20ac"}, 400, "list of tokens"),
    ],
)
def test_a_handshake_that_cannot_be_answered_says_why(changes: dict[str, Any], status: int, said: str) -> None:
    with pytest.raises(HandshakeError, match=said) as refused:
        Session(environ(**changes), 1000)
    assert refused.value.status_hint == status
    assert dict(refused.value.headers).get("Sec-WebSocket-Version", "13") == "13"


def test_the_accept_response_has_key_subprotocol_and_headers() -> None:
    session = Session(environ(HTTP_SEC_WEBSOCKET_PROTOCOL="a, b,,c"), 1000)
    assert session.subprotocols == ["a", "b", "c"]
    session.accept({"subprotocol": "b", "headers": [(b"set-cookie", b"x=1"), (b"set-cookie", b"y=\xe4")]})
    lines = taken(session).split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines  # RFC 6455 section 1.3
    assert b"Sec-WebSocket-Protocol: b" in lines
    assert lines.index(b"set-cookie: x=1") < lines.index(b"set-cookie: y=\xe4")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"subprotocol": "z"}, r"offered, \['a'\]; got 'z'"),
        ({"headers": [(b"sec-websocket-protocol", b"a")]}, "must not contain Sec-WebSocket headers"),
        ({"headers": [(b"x-a", b"1\r\nx-b: 2")]}, "control characters, .* of websocket.accept"),
        ({"headers": [(b"x a", b"1")]}, "must be a token of ASCII .* of websocket.accept"),
    ],
)
def test_an_accept_that_cannot_be_sent_is_the_applications_error(message: dict[str, Any], said: str) -> None:
    session = Session(environ(HTTP_SEC_WEBSOCKET_PROTOCOL="a"), 1000)
    with pytest.raises(ApplicationError, match=said):
        session.accept(message)
    assert not session.output


@given(
    messages=st.lists(st.one_of(st.text(max_size=60), st.binary(max_size=60)), max_size=5),
    fragments=st.integers(1, 4),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_any_fragments_in_any_cut_come_as_whole_messages(
    messages: list[str | bytes], fragments: int, cuts: list[int]
) -> None:
    session, client = opened()
    data = b""
    for message in messages:
        size = max(1, -(-len(message) // fragments))
        parts = [message[start : start + size] for start in range(0, len(message), size)] or [message]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            kind: Any = events.TextMessage if isinstance(part, str) else events.BytesMessage
            data += client.send(kind(data=part, message_finished=last))
            if not last:
                data += client.send(events.Ping(b"between"))  # control frames may stand between fragments
    received: list[Any] = []
    position = step = 0
    while position < len(data):
        cut = cuts[step % len(cuts)]
        received += session.received(data[position : position + cut])
        position, step = position + cut, step + 1
    assert [message.get("text", message.get("bytes")) for message in received] == messages
    assert all(type(event) is events.Pong for event in heard(session, client))


def test_messages_of_either_kind_reach_the_client() -> None:
    session, client = opened()
    session.message({"type": "websocket.send", "text": "\u20ac"})
    session.message({"type": "websocket.send", "bytes": bytearray(b"\x00"), "text": None})
    found = heard(session, client)
    assert [(type(event), event.data) for event in found] == [  # type: ignore[attr-defined]  # both have data
        (events.TextMessage, "\u20ac"),
        (events.BytesMessage, b"\x00"),
    ]


@pytest.mark.parametrize("message", [{}, {"text": "a", "bytes": b"b"}, {"text": b"a"}, {"bytes": "a"}])
def test_a_send_without_one_content_is_the_applications_error(message: dict[str, Any]) -> None:
    session, _ = opened()
    with pytest.raises(ApplicationError, match="either text or bytes"):
        session.message(message)
    assert not session.output


def test_pings_are_answered_and_sent() -> None:
    session, client = opened()
    session.received(client.send(events.Ping(b"payload")))
    session.ping()
    assert heard(session, client) == [events.Pong(b"payload"), events.Ping(b"")]
    assert session.received(client.send(events.Pong(b""))) == []


def test_a_message_beyond_the_limit_closes_with_1009_and_is_not_delivered() -> None:
    session, client = opened(max_size=10)
    assert session.received(client.send(events.TextMessage("x" * 10))) == [
        {"type": "websocket.receive", "text": "x" * 10}
    ]
    assert session.received(client.send(events.TextMessage("x" * 6, message_finished=False))) == []
    assert session.received(client.send(events.TextMessage("x" * 5))) == []
    assert session.closing
    assert session.received(client.send(events.TextMessage("more"))) == []
    (close,) = heard(session, client)
    assert isinstance(close, events.CloseConnection)
    assert close.code == 1009
    session.received(client.send(close.response()))
    assert session.closed == Closed(1009, "message too big")


def test_the_client_closes_first() -> None:
    session, client = opened()
    assert session.received(client.send(events.CloseConnection(4000, "bye"))) == []
    assert session.closed == Closed(4000, "bye")
    (answer,) = heard(session, client)
    assert isinstance(answer, events.CloseConnection)
    assert answer.code == 4000
    session.close(1000)
    session.ping()
    assert not session.output
    assert session.received(b"anything") == []


def test_a_close_without_a_code_is_1005() -> None:
    session, client = opened()
    session.received(client.send(events.CloseConnection(CloseReason.NO_STATUS_RCVD)))
    assert session.closed == Closed(1005)
    assert session.closed.message() == {"type": "websocket.disconnect", "code": 1005, "reason": ""}


def test_an_application_that_closes_first_gets_no_more_messages() -> None:
    session, client = opened()
    session.close(4001, "done")
    session.close(1000)  # again: nothing
    session.ping()
    assert session.received(client.send(events.TextMessage("late")) + client.send(events.Ping())) == []
    (close,) = heard(session, client)
    assert isinstance(close, events.CloseConnection)
    assert (close.code, close.reason) == (4001, "done")
    assert session.closed is None
    session.received(client.send(close.response()))
    assert session.closed == Closed(4001, "done")


@pytest.mark.parametrize("closing", [False, True])
def test_an_end_without_a_close_frame_is_1006_or_the_begun_close(closing: bool) -> None:
    session, _ = opened()
    if closing:
        session.close(4001)
    session.received(b"")
    assert session.closed == Closed(4001 if closing else 1006)


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000, 70000])
def test_a_close_code_that_must_not_be_sent_is_the_applications_error(code: int) -> None:
    session, _ = opened()
    with pytest.raises(ApplicationError, match=f"got {code}"):
        session.close(code)
    assert not session.closing


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\x80\0\0\0\0", 1002),  # reserved bits
        (b"\x81\x01x", 1002),  # not masked
        (b"\x81\x81\0\0\0\0\xff", 1007),  # no UTF-8
        (b"\x80\x80\0\0\0\0", 1002),  # continues nothing
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # a Close that says 1005
    ],
)
@pytest.mark.parametrize("closing", [False, True])
def test_a_protocol_error_fails_the_connection(data: bytes, code: int, closing: bool) -> None:
    session, client = opened()
    if closing:
        session.close(4001)
        heard(session, client)
    session.received(data)
    assert session.closed is not None
    assert session.closed.code == (4001 if closing else code)
    if not closing:
        (close,) = heard(session, client)
        assert isinstance(close, events.CloseConnection)
        assert close.code == code
