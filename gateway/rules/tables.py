"""Every table, in the order in which ``docs/conformance.md`` lists them."""

from __future__ import annotations

from gateway.rules import (
    asgi_common,
    asgi_events,
    asgi_extensions,
    asgi_http,
    asgi_lifespan,
    asgi_websocket,
    deployment,
    wsgi_application,
    wsgi_server,
)
from gateway.rules.table import Rule, Table

__all__ = ["ASGI_TABLES", "RULES", "TABLES", "WSGI_TABLES"]

ASGI_TABLES: tuple[Table, ...] = (
    asgi_common.RULES,
    asgi_http.RULES,
    asgi_events.RULES,
    asgi_extensions.RULES,
    asgi_websocket.RULES,
    asgi_lifespan.RULES,
)
WSGI_TABLES: tuple[Table, ...] = (wsgi_application.RULES, wsgi_server.RULES)
TABLES: tuple[Table, ...] = (*ASGI_TABLES, *WSGI_TABLES, deployment.RULES)
#: Every rule by id.
RULES: dict[str, Rule] = {rule.id: rule for table in TABLES for rule in table}
