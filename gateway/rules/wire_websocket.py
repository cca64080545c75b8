"""Rules of WebSocket servers that only a client sees.

Sources: ASGI HTTP & WebSocket 2.5; ASGI extensions, Websocket Denial Response.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.rules.table import Minor, Table

__all__ = ["RULES"]

RULES = Table("WebSocket, as a client sees it")
_WS = "ASGI WebSocket 2.5, "


@RULES.rule(
    "W19",
    "The WebSocket is closed with the code of websocket.close.",
    _WS + "Close",
    "server",
    "closed",
    seen="client",
)
def close_code_is_sent(given: int, seen: int | None) -> str | None:
    return None if given == seen else f"{f'code {seen}' if seen else 'no code'} for {given}"


@RULES.rule(
    "W20",
    "The subprotocol and the headers of websocket.accept are in the response to the handshake, in order.",
    _WS + "Accept",
    "server",
    "accepted",
    seen="client",
)
def accept_is_delivered(given: Sequence[tuple[bytes, bytes]], seen: Sequence[tuple[bytes, bytes]]) -> str | None:
    for name in dict.fromkeys(name for name, _ in given):
        sent, got = ([value for key, value in headers if key.lower() == name] for headers in (given, seen))
        if sent != got:
            return f"{name.decode()}: {got} for {sent}"
    return None


@RULES.rule(
    "W21",
    "A fragmented message reaches the application as one message.",
    _WS + "WebSocket",
    "server",
    "fragments",
    severity="warning",
    seen="client",
)
def fragments_are_joined(given: bytes, echoed: bytes | None) -> str | None:
    return None if given == echoed else f"{echoed!r} for the fragments of {given!r}"


@RULES.rule(
    "W22",
    "The server answers a PING.",
    _WS + "WebSocket",
    "server",
    "ping",
    severity="warning",
    seen="client",
)
def ping_is_answered(answered: bool) -> str | None:
    return None if answered else "no PONG"


@RULES.rule(
    "W23",
    "If the application raises, the server closes the WebSocket.",
    _WS + "Websocket Connection Scope",
    "server",
    "died",
    severity="warning",
    seen="client",
)
def socket_ends_with_the_application(closed: bool) -> str | None:
    return None if closed else "the WebSocket stays open after the application raised"


@RULES.rule(
    "W24",
    "`code` of websocket.disconnect is the code of the client; 1005 if it sent none, or 1006 if the connection broke.",
    _WS + "Disconnect",
    "server",
    "client closes",
    seen="client",
)
def code_is_the_clients(given: int, seen: object) -> str | None:
    if given == 1005:
        # A code for a lost connection is only recommended.
        found = Minor(f"code {seen!r} for a connection that broke") if isinstance(seen, int) else f"code {seen!r}"
        return None if seen in (1005, 1006) else found
    return None if seen == given else f"code {seen!r} for {given}"


@RULES.rule(
    "W25",
    "A message reaches the other side unchanged: text as `text`, bytes as `bytes`, of any size.",
    _WS + "Receive; Send",
    "server",
    "messages",
    seen="client",
)
def messages_are_unchanged(given: tuple[int, bytes], echoed: tuple[int, bytes] | None) -> str | None:
    if given == echoed:
        return None
    kinds = {1: "text", 2: "bytes"}
    sent = f"{kinds[given[0]]} of {len(given[1])} bytes"
    got = "nothing" if echoed is None else f"{kinds.get(echoed[0], echoed[0])} of {len(echoed[1])} bytes"
    return f"{got} for {sent}"


@RULES.rule(
    "W26",
    "`subprotocols` lists the subprotocols of the client, in order.",
    _WS + "Websocket Connection Scope",
    "server",
    "offered",
    seen="client",
)
def subprotocols_are_the_clients(given: Sequence[str], seen: Sequence[str]) -> str | None:
    return None if list(given) == list(seen) else f"{list(seen)} for {list(given)}"


@RULES.rule(
    "X17",
    "A server that offers websocket.http.response sends the application's response to the client.",
    "ASGI extensions, Websocket Denial Response",
    "server",
    "denial",
    severity="warning",
    seen="client",
)
def denial_is_delivered(status: int, body: bytes) -> str | None:
    return None if (status, body) == (401, b"denied") else f"HTTP {status} with the body {body[:40]!r}"
