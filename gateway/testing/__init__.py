"""Test what speaks WSGI or ASGI: clients, faults, transports, tiers, and a conformance battery.

Needs the extra ``testing``. Nothing else of the package imports it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gateway.testing._record import SentFile
from gateway.testing._response import AsyncResponse, Response
from gateway.testing.clients import AsyncClient, Client, NotClean
from gateway.testing.conformance import BatteryFailed, BatteryReport, battery
from gateway.testing.faults import BytesPerSecond, ClientDisconnected, Fault, Stop
from gateway.testing.leaks import ClosingWatch, LeakReport
from gateway.testing.tiers import Unsupported
from gateway.testing.transports import ASGITransport, WSGITransport
from gateway.testing.websocket import AsyncWebSocket, WebSocket, WebSocketClosed, WebSocketDenied

if TYPE_CHECKING:
    from gateway.testing.forms import WebTestApp, webtest_app

__all__ = [
    "ASGITransport",
    "AsyncClient",
    "AsyncResponse",
    "AsyncWebSocket",
    "BatteryFailed",
    "BatteryReport",
    "BytesPerSecond",
    "Client",
    "ClientDisconnected",
    "ClosingWatch",
    "Fault",
    "LeakReport",
    "NotClean",
    "Response",
    "SentFile",
    "Stop",
    "Unsupported",
    "WSGITransport",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketDenied",
    "WebTestApp",
    "battery",
    "webtest_app",
]


if not TYPE_CHECKING:  # a type checker would believe that every name exists

    def __getattr__(name: str) -> object:
        """Import what needs WebTest when it is asked for."""
        if name in ("WebTestApp", "webtest_app"):
            return getattr(import_module("gateway.testing.forms"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
