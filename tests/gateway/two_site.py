"""A WSGI application for HTTP and an ASGI application for WebSockets, in one object, for real servers."""

from __future__ import annotations

from typing import Any

from gateway import Gateway
from gateway.middleware import Compression, RequestId


def page(environ: Any, start_response: Any) -> Any:
    # As Django writes cookies.
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", " a=b; Path=/")])
    return [b"page"]


async def chat(scope: Any, receive: Any, send: Any) -> None:
    """Echo text messages; refuse ``/refused``."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    if scope["type"] != "websocket":
        raise RuntimeError("HTTP goes to the other application")
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"echo {message['text']}"})


both = Gateway(page, middleware=[RequestId(), Compression()], websocket_app=chat, websockets=True)
