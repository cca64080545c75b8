"""Rules of the lifespan protocol.

Sources: ASGI lifespan 2.0.
"""

from __future__ import annotations

from gateway.protocols import Message, Scope
from gateway.rules.asgi_state import Connection
from gateway.rules.table import Minor, Table

__all__ = ["RULES"]

RULES = Table("ASGI: lifespan")
_LIFE = "ASGI lifespan 2.0, "
_STARTUP = ("send:lifespan.startup.complete", "send:lifespan.startup.failed")
_SHUTDOWN = ("send:lifespan.shutdown.complete", "send:lifespan.shutdown.failed")


@RULES.rule(
    "L01",
    "lifespan.startup is sent first, and once; lifespan.shutdown is sent once, after startup.complete.",
    _LIFE + "Startup; Shutdown",
    "server",
    "receive:lifespan",
)
def startup_then_shutdown(connection: Connection, message: Message) -> str | None:
    if message["type"] == "lifespan.startup":
        return "a second lifespan.startup" if connection.startup_received else None
    if not connection.startup_received:
        return f"{message['type']} first"
    if connection.shutdown_received:
        return f"another {message['type']}"
    if connection.lifespan is not None and connection.lifespan.phase == "startup failed":
        return "lifespan.shutdown after startup.failed"
    return None if connection.startup_answered else "lifespan.shutdown before startup.complete"


@RULES.rule(
    "L02",
    "An application sends complete or failed only for an event that it received.",
    _LIFE + "Startup Complete; Shutdown Complete",
    "application",
    *_STARTUP,
    *_SHUTDOWN,
)
def answer_follows_event(connection: Connection, message: Message) -> str | None:
    kind: str = message["type"]
    event = kind.rpartition(".")[0]
    received = connection.startup_received if event == "lifespan.startup" else connection.shutdown_received
    if connection.cancelled:
        return None  # the event cannot come any more; Starlette and others send "failed" then
    return None if received else f"{kind} before {event} was received"


@RULES.rule(
    "L03",
    "For each event, an application sends either complete or failed, once.",
    _LIFE + "Startup Complete; Startup Failed; Shutdown Complete; Shutdown Failed",
    "application",
    *_STARTUP,
    *_SHUTDOWN,
)
def one_answer_per_event(connection: Connection, message: Message) -> str | None:
    kind: str = message["type"]
    answered = connection.startup_answered if "startup" in kind else connection.shutdown_answered
    return f"{kind} after this event was answered" if answered else None


@RULES.rule(
    "L04",
    "`message` of failed is a str.",
    _LIFE + "Startup Failed; Shutdown Failed",
    "application",
    "send:lifespan.startup.failed",
    "send:lifespan.shutdown.failed",
)
def message_is_a_str(connection: Connection, message: Message) -> str | None:
    text: object = message.get("message", "")
    return None if isinstance(text, str) else f"message {text!r}"


@RULES.rule(
    "L05",
    "An application that supports lifespan answers startup and shutdown before it returns.",
    _LIFE + "Startup Complete; Shutdown Complete",
    "application",
    "return:lifespan",
    "cancelled:lifespan",
)
def events_are_answered(connection: Connection, error: BaseException | None) -> str | None:
    if error is not None:
        if isinstance(error, Exception):
            return None
        # The canceller has already waited: for the server's timeout, or until the user stopped the server.
        starting = connection.startup_received and not connection.startup_answered
        event = "startup" if starting else "shutdown" if _open(connection) else None
        return None if event is None else Minor(f"no answer to lifespan.{event} until the call was cancelled")
    if not connection.startup_received:
        return Minor("the application returned for the lifespan scope; it should raise if it does not support lifespan")
    if not connection.startup_answered:
        return "the application returned without an answer to lifespan.startup"
    return "the application returned without an answer to lifespan.shutdown" if _open(connection) else None


def _open(connection: Connection) -> bool:
    return connection.shutdown_received and not connection.shutdown_answered


@RULES.rule(
    "L06",
    "If the application raises for the lifespan scope, the server continues without lifespan.",
    _LIFE + "Scope",
    "server",
    "unsupported",
    seen="live",
)
def unsupported_lifespan_is_no_error(serves: bool) -> str | None:
    return None if serves else "the server does not serve the application"


@RULES.rule(
    "L07",
    "After startup.failed the server serves no requests.",
    _LIFE + "Startup Failed",
    "server",
    "scope:http",
    "scope:websocket",
)
def failed_startup_ends_the_server(connection: Connection, scope: Scope) -> str | None:
    lifespan = connection.lifespan
    failed = lifespan is not None and lifespan.phase == "startup failed"
    return f"a request ({connection.type}) after startup.failed" if failed else None


@RULES.rule(
    "L08",
    "The server calls the application for requests only after startup.complete, on the event loop of the lifespan.",
    _LIFE + "Lifespan Protocol; Startup Complete",
    "server",
    "scope:http",
    "scope:websocket",
)
def startup_precedes_requests(connection: Connection, scope: Scope) -> str | None:
    if connection.foreign_lifespan:
        return Minor(f"a request ({connection.type}) on a different event loop")
    lifespan = connection.lifespan
    starting = lifespan is not None and lifespan.phase == "starting"
    return f"a request ({connection.type}) before startup.complete" if starting else None


@RULES.rule(
    "L09",
    "`state`, if present, is an empty dict at the start, and only the application changes it.",
    _LIFE + "Scope; Lifespan State",
    "server",
    "scope:lifespan",
    "receive:lifespan.startup",
)
def state_is_the_applications(connection: Connection, subject: Scope | Message) -> str | None:
    if connection.step == "receive":
        # Only the server ran between the application's call of receive() and now.
        return "a state that changed before startup" if connection.state_touched else None
    if "state" not in subject:
        return None
    state: object = subject["state"]
    return None if isinstance(state, dict) and not state else f"state {state!r}"


@RULES.rule(
    "L10",
    "The server sends lifespan.shutdown when it has stopped accepting connections: no request begins afterwards.",
    _LIFE + "Shutdown",
    "server",
    "scope:http",
    "scope:websocket",
)
def no_request_after_shutdown(connection: Connection, scope: Scope) -> str | None:
    phase = connection.lifespan.phase if connection.lifespan is not None else ""
    if phase not in ("stopping", "stopped"):
        return None
    return f"a request ({connection.type}) {'during' if phase == 'stopping' else 'after'} lifespan.shutdown"


@RULES.rule(
    "L11",
    "An event loop has one lifespan.",
    _LIFE + "Lifespan Protocol",
    "server",
    "scope:lifespan",
    severity="warning",
)
def one_lifespan_per_loop(connection: Connection, scope: Scope) -> str | None:
    return "a second lifespan while the first one runs" if connection.second_lifespan else None


@RULES.rule(
    "L12",
    "The server has closed all active connections when it sends lifespan.shutdown.",
    _LIFE + "Shutdown",
    "server",
    "receive:lifespan.shutdown",
)
def connections_are_closed_at_shutdown(connection: Connection, message: Message) -> str | None:
    still_open = connection.lifespan.open_connections() if connection.lifespan is not None else []
    if not still_open:
        return None
    found = f"{len(still_open)} open connection(s)"
    # A WebSocket may be closed, and the application has not received the event yet.
    return Minor(found) if all(each.type == "websocket" for each in still_open) else found
