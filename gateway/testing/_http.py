"""The HTTP library of the clients: httpx2 if it is installed, else httpx.

Both have the same interface as far as this package uses it. Two other modules use them by name:
`gateway.testing.transports` serves both at once, and `gateway.testing.served` needs the WebSockets of httpx2.
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
