"""Every table, in the order in which ``docs/conformance.md`` lists them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import cast

from gateway.errors import ConfigurationError
from gateway.rules import (
    asgi_common,
    asgi_events,
    asgi_extensions,
    asgi_http,
    asgi_lifespan,
    asgi_websocket,
    wire,
    wire_http,
    wire_websocket,
    wsgi_application,
    wsgi_server,
)
from gateway.rules.table import Rule, Table

__all__ = ["ASGI_TABLES", "RULES", "TABLES", "WSGI_TABLES", "known_rules"]

#: The tables of ASGI.
ASGI_TABLES: tuple[Table, ...] = (
    asgi_common.RULES,
    asgi_http.RULES,
    asgi_events.RULES,
    asgi_extensions.RULES,
    asgi_websocket.RULES,
    asgi_lifespan.RULES,
)
#: The tables of WSGI.
WSGI_TABLES: tuple[Table, ...] = (wsgi_application.RULES, wsgi_server.RULES)
#: Every table: ASGI, WSGI, then what only the wire shows.
TABLES: tuple[Table, ...] = (*ASGI_TABLES, *WSGI_TABLES, wire.RULES, wire_http.RULES, wire_websocket.RULES)
#: Every rule by id.
RULES: dict[str, Rule] = {rule.id: rule for table in TABLES for rule in table}


def known_rules(ignore: Mapping[str, str] | None, rules: Container[str] = RULES) -> Mapping[str, str]:
    """Return the rules to ignore with their reasons.

    Args:
        ignore: The rules and their reasons.
        rules: Ids that may be ignored.

    Raises:
        ConfigurationError: A rule does not exist, or has no reason.
    """
    given = cast("object", ignore if ignore is not None else {})  # callers need not be typed
    if not isinstance(given, Mapping):
        raise ConfigurationError(f'ignore= must be a dict of rules and reasons, {{"E09": "why"}}, got {ignore!r}')
    for rule, reason in cast("Mapping[object, object]", given).items():
        if not isinstance(rule, str) or rule not in rules:
            raise ConfigurationError(f"ignore= has an unknown rule {rule!r}; docs/conformance.md lists the rules")
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigurationError(f'ignore= needs a reason for the rule {rule!r}, got {reason!r}; write "why"')
    return ignore or {}
