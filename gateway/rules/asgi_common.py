"""Rules of every ASGI protocol: the scope, the messages, the call itself.

Sources: ASGI 3.0.
"""

from __future__ import annotations

import math
from typing import TypeGuard

from gateway.protocols import Message, Scope
from gateway.rules._narrow import is_buffer, is_list, is_mapping, number, type_name
from gateway.rules.asgi_state import EXTENSION_MESSAGES, Connection, Sent
from gateway.rules.table import Minor, Table, blame

__all__ = ["RULES", "is_mapping", "is_message"]

RULES = Table("ASGI: every protocol")
_KNOWN = ("http", "websocket", "lifespan")
#: Keys that have more specific rules, and values that may be any object.
_OTHERS = {"body", "headers", "links"}
_EXEMPT = {("http.response.zerocopysend", "file"), ("http.response.debug", "info")}


@RULES.rule(
    "C01",
    "The scope is a dict with str keys whose `type` is a str.",
    "ASGI 3.0, Applications; Strings and Unicode",
    "server",
    "scope",
)
def scope_is_a_dict(connection: Connection, scope: object) -> str | None:
    if not is_mapping(scope):
        return f"a {type_name(scope)}"
    kind = scope.get("type")
    if not isinstance(kind, str):
        return f"type {kind!r}"
    wrong = [key for key in scope if not isinstance(key, str)]
    return f"the key {wrong[0]!r}" if wrong else None


@RULES.rule(
    "C02",
    "`scope['asgi']` is a dict. Its `version` is a str; a missing `version` means '2.0'.",
    "ASGI 3.0, Applications",
    "server",
    "scope",
)
def scope_names_the_version(connection: Connection, scope: Scope) -> str | None:
    asgi: object = scope.get("asgi")
    if not is_mapping(asgi):
        return f"asgi {asgi!r}"
    version = asgi.get("version", "2.0")
    if not isinstance(version, str):
        return f"version {version!r}"
    return None if version in ("2.0", "3.0") else Minor(f"version {version!r}, which is neither '2.0' nor '3.0'")


@RULES.rule(
    "C03",
    "`scope['asgi']['spec_version']`, if present, is a str such as '2.4'.",
    "ASGI 3.0, Applications",
    "server",
    "scope",
    severity="warning",
)
def spec_version_is_a_str(connection: Connection, scope: Scope) -> str | None:
    asgi: object = scope.get("asgi")
    version = asgi.get("spec_version", "2.0") if is_mapping(asgi) else "2.0"
    good = isinstance(version, str) and all(number(part) is not None for part in version.split("."))
    return None if good else f"spec_version {version!r}"


_RECEIVED = {
    "http": ("http.request", "http.disconnect"),
    "websocket": ("websocket.connect", "websocket.receive", "websocket.disconnect"),
    "lifespan": ("lifespan.startup", "lifespan.shutdown"),
}
_SENT = {
    "http": ("start", "body", "push", "zerocopysend", "pathsend", "early_hint", "trailers", "debug"),
    "websocket": ("accept", "send", "close", "http.response.start", "http.response.body"),
    "lifespan": ("startup.complete", "startup.failed", "shutdown.complete", "shutdown.failed"),
}
_EXTENSIONS = {*EXTENSION_MESSAGES.values(), "tls"}
_PREFIX = {"http": "http.response.", "websocket": "websocket.", "lifespan": "lifespan."}


def _form(connection: Connection, message: object) -> str | None:
    if not is_mapping(message):
        return f"a {type_name(message)}"
    kind = message.get("type")
    if not isinstance(kind, str):
        return f"type {kind!r}"
    protocol = connection.type
    if protocol in _KNOWN and not kind.startswith(protocol + "."):
        return f"{kind!r} in a scope of type {protocol!r}"
    return None


@RULES.rule(
    "C04",
    "A message is a dict. Its `type` is a str, `protocol.message_type`, that the scope's protocol defines.",
    "ASGI 3.0, Protocol Specifications",
    "application",
    "receive",
    "send",
)
def message_has_a_known_type(connection: Connection, message: object) -> str | None:
    found = _form(connection, message)
    if found is None and is_mapping(message) and connection.type in _KNOWN:
        kind = str(message["type"])
        if connection.step == "receive":
            if kind not in _RECEIVED[connection.type]:
                found = f"{kind!r}, which no server sends"
        elif kind.removeprefix(_PREFIX[connection.type]) not in _SENT[connection.type]:
            # The name of a server's own extension need not be the type of its message ("fullflush" and
            # "http.fullflush").
            own = any(name not in _EXTENSIONS for name in connection.extensions)
            found = None if own else f"{kind!r}, which no server knows"
    if found is None:
        return None
    return blame("server" if connection.step == "receive" else "application", found)


def _unserialisable(value: object, path: str) -> str | None:
    if value is None or isinstance(value, (bytes, str, bool)):
        return None
    if isinstance(value, int):
        # Not `in range(...)`: Python walks through the whole range for a subclass of int, HTTPStatus for one.
        return None if -(2**63) <= value < 2**63 else f"{path} is outside the signed 64-bit range"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{path} {value!r}"
    if is_mapping(value):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"{path} with the key {key!r}"
            if found := _unserialisable(item, f"{path}[{key!r}]"):
                return found
        return None
    if is_list(value):
        for number, item in enumerate(value):
            if found := _unserialisable(item, f"{path}[{number}]"):
                return found
        return None
    found = f"{path} of type {type_name(value)}"
    return Minor(found) if is_buffer(value) else found


@RULES.rule(
    "C05",
    "A message contains only bytes, str, 64-bit int, finite float, list, dict with str keys, bool and None. "
    "Tuples and other collections are allowed only for keys that take an iterable.",
    "ASGI 3.0, Events",
    "application",
    "receive",
    "send",
)
def message_is_serialisable(connection: Connection, message: object) -> str | None:
    if not is_mapping(message):
        return None  # C04
    kind = message.get("type")
    for key, value in message.items():
        if not isinstance(key, str):
            found: str | None = f"the key {key!r}"
        elif (kind, key) in _EXEMPT or key in _OTHERS:
            continue
        else:
            found = _unserialisable(value, key)
        if found and not isinstance(found, Minor):
            return blame("server" if connection.step == "receive" else "application", found)
        if found:
            return found
    return None


#: Rules of form: a server should raise from `send` if a message breaks one of them.
FORM = ("C04", "E07", "E08", "E16", "E17", "W09", "X01", "X06")


@RULES.rule(
    "C06",
    "A server raises from `send` when a message has an unknown type, lacks a key or has a value of the wrong type.",
    "ASGI 3.0, Error Handling",
    "server",
    "sent",
    severity="warning",
)
def server_refuses_invalid_messages(connection: Connection, sent: Sent) -> str | None:
    wrong = [rule for rule in sent.broken if rule in FORM]
    if wrong and sent.error is None and not connection.disconnected:
        return f"no error for a message that breaks {', '.join(wrong)}"
    return None


_KEYS = {
    "http.response.start": {"type", "status", "headers", "trailers"},
    "http.response.body": {"type", "body", "more_body"},
    "websocket.accept": {"type", "subprotocol", "headers"},
    "websocket.send": {"type", "bytes", "text"},
    "websocket.close": {"type", "code", "reason"},
}


@RULES.rule(
    "C07",
    "Additional keys in a message do not make the receiver raise.",
    "ASGI 3.0, Error Handling",
    "server",
    "sent",
    severity="warning",
)
def additional_keys_are_ignored(connection: Connection, sent: Sent) -> str | None:
    known = _KEYS.get(str(sent.message.get("type")))
    extra = sorted(set(sent.message) - known) if known is not None else []
    if extra and isinstance(sent.error, (TypeError, ValueError, KeyError, RuntimeError)) and not sent.broken:
        return f"{type(sent.error).__name__} for a message with the additional keys {extra}"
    return None


@RULES.rule(
    "C12",
    "A server accepts a valid message without the keys that have a default.",
    "ASGI HTTP 2.5, Response Start; Response Body",
    "server",
    "sent",
)
def optional_keys_may_be_missing(connection: Connection, sent: Sent) -> str | None:
    # Other exceptions may have other reasons: a message that comes too late, or a client that has left.
    if sent.broken or connection.disconnected or not isinstance(sent.error, (KeyError, AttributeError, TypeError)):
        return None
    known = _KEYS.get(str(sent.message.get("type")))
    if known is None or set(sent.message) - known:
        return None  # C07
    return f"{sent.error!r} for a valid {sent.message['type']}"


@RULES.rule(
    "C13",
    "receive() returns a message: a server that loses the client does not raise, but sends the disconnect.",
    "ASGI HTTP 2.5, Disconnect; ASGI WebSocket 2.5, Disconnect",
    "server",
    "receive failed",
    severity="warning",
)
def receive_returns(connection: Connection, error: BaseException) -> str | None:
    return f"{error!r} from receive()" if isinstance(error, (OSError, EOFError, LookupError)) else None


@RULES.rule(
    "C08",
    "An application raises when it is called with a scope type that it does not know.",
    "ASGI 3.0, Protocol Specifications",
    "application",
    "return",
    severity="warning",
)
def unknown_protocols_are_rejected(connection: Connection, error: BaseException | None) -> str | None:
    if connection.type in _KNOWN or not connection.type or error is not None:
        return None
    return f"the application returned for the scope type {connection.type!r}"


@RULES.rule(
    "C09",
    "If the application raises, the server closes the connection, so that a truncated response never looks complete.",
    "ASGI 3.0, Error Handling",
    "server",
    "cut",
    seen="live",
)
def failure_ends_the_connection(complete: bool) -> str | None:
    return "a response that looks complete after the application raised" if complete else None


@RULES.rule(
    "C10",
    "Middleware copies the scope before it changes it.",
    "ASGI 3.0, Middleware",
    "middleware",
    "scope",
    severity="warning",
)
def middleware_copies_the_scope(connection: Connection, scope: object) -> str | None:
    outer = connection.outer
    if outer is None or outer.scope is not scope or not is_mapping(scope):
        return None
    changed = [
        str(key)
        for key in {*scope, *outer.snapshot}
        if key not in outer.snapshot or key not in scope or outer.snapshot[str(key)] is not scope[key]
    ]
    return f"the server's own scope, with changed values of {sorted(changed)}" if changed else None


@RULES.rule(
    "C11",
    "An application is one async callable of three arguments, and does not call receive or send after it returned.",
    "ASGI 3.0, Applications; Legacy Applications",
    "application",
    "call",
    "late",
)
def application_is_one_coroutine(connection: Connection, step: object) -> str | None:
    if step in ("receive", "send"):
        return Minor(f"{step}() called after the application returned")
    if step == "double":
        # Servers are encouraged to support it.
        return Minor("a legacy application (ASGI 2: two calls); wrap it with asgiref's guarantee_single_callable")
    return None if hasattr(step, "__await__") else f"a call that returned {type(step).__name__}, not an awaitable"


def is_message(value: object) -> TypeGuard[Message]:
    """Tell whether other checks can read a message."""
    return is_mapping(value) and isinstance(value.get("type"), str)
