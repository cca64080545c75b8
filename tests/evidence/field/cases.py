"""Every claim of the report, in the order of the report."""

from __future__ import annotations

from tests.evidence.field import adapters, alone, asgi_servers, http_servers, wsgi_servers
from tests.evidence.field.case import Case

__all__ = ["CASES"]

CASES: tuple[Case, ...] = (
    *asgi_servers.CASES,
    *wsgi_servers.CASES,
    *http_servers.CASES,
    *adapters.CASES,
    *alone.CASES,
)
