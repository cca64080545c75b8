"""The HTTP models that the clients stand on: httpx2 where it is installed, else httpx.

Both have the same surface as far as this package uses it. Nothing else in `gateway.testing` imports either of them by
name, except `gateway.testing.transports`, which serves both at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gateway.errors import MissingExtraError

if TYPE_CHECKING:
    import httpx2 as http
else:
    try:
        http = import_module("httpx2")
    except ImportError:
        try:
            http = import_module("httpx")
        except ImportError:
            raise MissingExtraError("gateway.testing", "testing", package="httpx2") from None

__all__ = ["http"]
