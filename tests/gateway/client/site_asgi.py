"""The stream of ``site`` as an ASGI application, in a module of its own: gevent refuses ASGI applications."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio

from gateway import Gateway
from tests.gateway.client.site import SECONDS, Asks, answer


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    if scope["path"] == "/receive":
        await receives(scope, receive)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    with anyio.move_on_after(SECONDS):
        said = Path(parse_qs(scope["query_string"].decode()).get("said", [__file__])[0])
        while not said.exists():
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
            said.with_suffix(".waits").touch()
            await anyio.sleep(0.02)
    await send({"type": "http.response.body", "body": b""})


async def receives(scope: Any, receive: Any) -> None:
    """Note whether ``receive()`` says that the client is gone."""
    query = scope["query_string"].decode()
    await receive()
    Path(parse_qs(query)["said"][0]).with_suffix(".waits").touch()
    with anyio.move_on_after(SECONDS):
        message = await receive()
        answer(query, [False, message["type"] == "http.disconnect"])


chained = Gateway(app, middleware=[Asks()])
