"""Test what speaks WSGI or ASGI: clients, faults, transports, tiers, and a conformance battery.

Needs the extra ``testing``. Nothing else of the package imports it.
"""

from __future__ import annotations

from gateway.testing._record import SentFile
from gateway.testing._response import AsyncResponse, Response
from gateway.testing.clients import AsyncClient, Client, NotClean
from gateway.testing.faults import BytesPerSecond, ClientDisconnected, Fault, Stop
from gateway.testing.leaks import ClosingWatch, LeakReport
from gateway.testing.tiers import Unsupported
from gateway.testing.websocket import AsyncWebSocket, WebSocket, WebSocketClosed, WebSocketDenied

__all__ = [
    "AsyncClient",
    "AsyncResponse",
    "AsyncWebSocket",
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
    "WebSocket",
    "WebSocketClosed",
    "WebSocketDenied",
]
