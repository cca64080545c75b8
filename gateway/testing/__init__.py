"""Test applications, middleware and servers: clients, faults, transports, tiers, and a conformance suite.

Needs the extra ``testing``. Nothing else in the package imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway._lazy import lazy
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
else:
    __getattr__, __dir__ = lazy(__name__, {"gateway.testing.forms": ("WebTestApp", "webtest_app")})

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
