"""The conformance rules of WSGI and ASGI as tables, and the objects that check them.

>>> from gateway.rules import RULES
>>> RULES["E12"].sentence
'A header value has no CR, LF or NUL.'
"""

from __future__ import annotations

from gateway.rules.observer import ClientObserver
from gateway.rules.table import Minor, Rule, Severity, Table
from gateway.rules.tables import ASGI_TABLES, RULES, TABLES, WSGI_TABLES
from gateway.rules.validator import Validator

__all__ = [
    "ASGI_TABLES",
    "RULES",
    "TABLES",
    "WSGI_TABLES",
    "ClientObserver",
    "Minor",
    "Rule",
    "Severity",
    "Table",
    "Validator",
]
