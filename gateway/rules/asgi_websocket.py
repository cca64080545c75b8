"""Rules of the WebSocket protocol.

Sources: ASGI HTTP & WebSocket 2.5; RFC 6455.
"""

from __future__ import annotations

from gateway.protocols import Message, Scope
from gateway.rules._narrow import is_collection, is_mapping, type_name
from gateway.rules.asgi_events import lowercase, pseudo
from gateway.rules.asgi_http import wrong_pairs
from gateway.rules.asgi_state import Connection, Sent, header_values
from gateway.rules.table import Minor, Table, blame

__all__ = ["RULES", "close_code"]

RULES = Table("ASGI: WebSocket")
_WS = "ASGI WebSocket 2.5, "
_ACCEPT = "send:websocket.accept"
_SEND = "send:websocket.send"
_CLOSE = "send:websocket.close"


def close_code(code: object) -> bool:
    """Tell whether an endpoint may send a close code (RFC 6455 7.4)."""
    return type(code) is int and 1000 <= code <= 4999 and code not in (1005, 1006, 1015)


def _registered(code: int) -> bool:
    return (code <= 1014 and code != 1004) or code >= 3000


@RULES.rule(
    "W01",
    "The scope has `path` and `headers`; `http_version`, if present, is '1.1' or '2'.",
    _WS + "Websocket Connection Scope",
    "server",
    "scope:websocket",
)
def scope_is_complete(connection: Connection, scope: Scope) -> str | None:
    missing = [key for key in ("path", "headers") if key not in scope]
    if missing:
        return f"no {' and no '.join(missing)}"
    version: object = scope.get("http_version", "1.1")
    if version == "3":
        return Minor("http_version '3', which the specification does not list yet")
    return None if version in ("1.1", "2") else f"http_version {version!r}"


@RULES.rule(
    "W02",
    "`subprotocols` is an iterable of str.",
    _WS + "Websocket Connection Scope",
    "server",
    "scope:websocket",
)
def subprotocols(connection: Connection, scope: Scope) -> str | None:
    value: object = scope.get("subprotocols", ())
    good = is_collection(value) and all(isinstance(item, str) for item in value)
    return None if good else f"subprotocols {value!r}"


@RULES.rule(
    "W03",
    "The first message is websocket.connect, and it is sent once; websocket.receive is sent only after accept.",
    _WS + "Connect",
    "server",
    "receive:websocket",
)
def connect_comes_first(connection: Connection, message: Message) -> str | None:
    kind = message["type"]
    if not connection.connect_received:
        return None if kind == "websocket.connect" else f"{kind} first"
    if kind == "websocket.connect":
        return "a second websocket.connect"
    return "websocket.receive before accept" if kind == "websocket.receive" and not connection.accepted else None


@RULES.rule(
    "W04",
    "An application receives websocket.connect before it accepts.",
    _WS + "Connect",
    "application",
    "send:websocket",
    severity="warning",
)
def answer_follows_connect(connection: Connection, message: Message) -> str | None:
    kind: str = message["type"]
    refuses = kind == "websocket.close" or kind.startswith("websocket.http.response.")
    return None if connection.connect_received or refuses else f"{kind} before websocket.connect was received"


@RULES.rule("W05", "websocket.accept comes once.", _WS + "Accept", "application", _ACCEPT)
def accept_once(connection: Connection, message: Message) -> str | None:
    return "a second accept" if connection.accepted else "accept after close" if connection.closed else None


@RULES.rule(
    "W06",
    "`subprotocol` is a str that the client offered, or None.",
    _WS + "Accept; RFC 6455 4.2.2",
    "application",
    _ACCEPT,
)
def subprotocol_was_offered(connection: Connection, message: Message) -> str | None:
    value: object = message.get("subprotocol")
    offered: object = connection.scope.get("subprotocols", ())
    if value is None:
        return None
    if not isinstance(value, str):
        return f"subprotocol {value!r}"
    return None if is_collection(offered) and value in offered else Minor(f"subprotocol {value!r}, not offered")


@RULES.rule(
    "W07",
    "`headers` of accept are lowercased bytes pairs, without pseudo headers and sec-websocket-protocol.",
    _WS + "Accept",
    "application",
    _ACCEPT,
)
def accept_headers(connection: Connection, message: Message) -> str | None:
    headers: object = message.get("headers", ())
    found = wrong_pairs(headers) or lowercase(headers) or pseudo(headers)
    if found is None and header_values(headers, b"sec-websocket-protocol"):
        return "the header sec-websocket-protocol"
    return found


@RULES.rule("W08", "websocket.send is sent only between accept and close.", _WS + "Send", "application", _SEND)
def send_while_open(connection: Connection, message: Message) -> str | None:
    if not connection.accepted:
        return "websocket.send before accept"
    return "websocket.send after close" if connection.closed else None


@RULES.rule(
    "W09",
    "Exactly one of `bytes` and `text` is not None; `bytes` is bytes and `text` is str.",
    _WS + "Send; Receive",
    "application",
    _SEND,
    "receive:websocket.receive",
)
def one_payload(connection: Connection, message: Message) -> str | None:
    data: object = message.get("bytes")
    text: object = message.get("text")
    found = None
    if (data is None) == (text is None):
        found = "neither" if data is None else "both"
    elif not isinstance(data, (bytes, type(None))):
        found = f"bytes of type {type_name(data)}"
    elif not isinstance(text, (str, type(None))):
        found = f"text of type {type_name(text)}"
    if found is None:
        return None
    return blame("server" if message["type"] == "websocket.receive" else "application", found)


@RULES.rule(
    "W10",
    "The code of websocket.close is an int in 1000-1003, 1007-1014 or 3000-4999.",
    "RFC 6455 7.4; " + _WS + "Close",
    "application",
    _CLOSE,
)
def close_code_may_be_sent(connection: Connection, message: Message) -> str | None:
    code: object = message.get("code", 1000)
    if type(code) is not int:
        return f"code {code!r}"
    if not connection.accepted:
        return None  # the client gets HTTP 403, and no code
    if not close_code(code):
        return f"code {code!r}"
    return None if _registered(code) else Minor(f"code {code}, which is reserved or not registered")


@RULES.rule(
    "W11",
    "A close reason is a str of at most 123 bytes in UTF-8.",
    "RFC 6455 5.5, 5.5.1; " + _WS + "Close",
    "application",
    _CLOSE,
)
def close_reason_fits(connection: Connection, message: Message) -> str | None:
    reason: object = message.get("reason")
    if reason is None:
        return None
    if not isinstance(reason, str):
        return f"reason {reason!r}"
    size = len(reason.encode("utf-8", "surrogatepass"))
    return f"a reason of {size} bytes" if size > 123 and connection.accepted else None


@RULES.rule("W12", "websocket.close comes once.", _WS + "Close", "application", _CLOSE, severity="warning")
def close_once(connection: Connection, message: Message) -> str | None:
    return "a second close" if connection.closed else None


@RULES.rule(
    "W13",
    "An application that returns has answered websocket.connect.",
    _WS + "Connect",
    "application",
    "return:websocket",
)
def connect_is_answered(connection: Connection, error: BaseException | None) -> str | None:
    if error is not None or connection.disconnected or connection.refused:
        return None
    if connection.denial_started:
        return None if connection.completed else "the application returned before the denial response ended"
    return (
        None
        if connection.accepted or connection.closed
        else "the application returned without accept, close or denial response"
    )


@RULES.rule(
    "W14",
    "`code` of websocket.disconnect is an int, 1005 if the client sent none; `reason`, if present, is a str or None.",
    _WS + "Disconnect",
    "server",
    "receive:websocket.disconnect",
)
def disconnect_has_a_code(connection: Connection, message: Message) -> str | None:
    code: object = message.get("code")
    if type(code) is not int and not (isinstance(code, int) and not isinstance(code, bool)):
        return f"code {code!r}"
    reason: object = message.get("reason")
    if not isinstance(reason, (str, type(None))):
        return f"reason {reason!r}"
    return None if 1000 <= code <= 4999 else Minor(f"code {code}, which RFC 6455 does not allow")


@RULES.rule(
    "W15",
    "If the application closes before accept, the server sends HTTP 403.",
    _WS + "Connect; Close",
    "server",
    "denied",
    seen="client",
)
def close_before_accept_is_403(status: int) -> str | None:
    return None if status == 403 else f"HTTP {status}"


@RULES.rule(
    "W16",
    "After websocket.disconnect send() raises a subclass of OSError, or does nothing.",
    _WS + "Disconnected Client; ASGI 3.0, Error Handling",
    "server",
    "sent:websocket",
    severity="warning",
)
def send_after_disconnect(connection: Connection, sent: Sent) -> str | None:
    if not connection.disconnected or sent.broken or not isinstance(sent.error, Exception):
        return None
    return None if isinstance(sent.error, OSError) else f"{type(sent.error).__name__} raised"


@RULES.rule(
    "W17",
    "`headers` of accept need spec_version 2.1 or newer, and `reason` of close needs 2.3.",
    "ASGI HTTP 2.5, Spec Versions",
    "application",
    _ACCEPT,
    _CLOSE,
)
def keys_fit_the_version(connection: Connection, message: Message) -> str | None:
    if not is_mapping(connection.scope.get("asgi")):
        return None  # C02: this server names no version at all
    version = connection.spec_version
    if message["type"] == "websocket.accept" and version < (2, 1) and message.get("headers"):
        return "headers in accept, for a server of an older version"
    if message["type"] == "websocket.close" and version < (2, 3) and message.get("reason"):
        return "reason in close, for a server of an older version"
    return None


@RULES.rule(
    "W18",
    "After websocket.disconnect, receive() returns no other message.",
    _WS + "Disconnect",
    "server",
    "receive:websocket",
)
def disconnect_is_final(connection: Connection, message: Message) -> str | None:
    late = connection.disconnected and message["type"] != "websocket.disconnect"
    return f"{message['type']} after websocket.disconnect" if late else None
