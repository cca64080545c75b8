"""A WebSocket application behind a guard, for WSGI servers."""

from __future__ import annotations

import logging
from typing import Any

from gateway.application import Gateway
from gateway.middleware.access_log import AccessLog
from gateway.middleware.errors import Errors
from gateway.middleware.trusted_host import TrustedHost

logging.getLogger("gateway.access").setLevel(logging.INFO)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["word"] = "started"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["state"]["word"]})
        await receive()


site = Gateway(
    app,
    middleware=[AccessLog(), Errors(), TrustedHost(allowed=("good.example", "127.0.0.1"))],
    websockets=True,
)
