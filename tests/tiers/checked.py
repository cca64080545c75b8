"""In the server's process: the application of a tier under the validator, which tells the test what it finds."""

from __future__ import annotations

from typing import Any

from gateway.rules import Validator
from gateway.testing._served_app import _report

__all__ = ["checked"]


def checked(app: Any) -> Any:
    """Return the application, both sides of it checked: it, and the server or the adapter that calls it."""
    return Validator(app, mode="collect", on_violation=_report)
