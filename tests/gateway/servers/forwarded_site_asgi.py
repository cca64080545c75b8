"""An ASGI application that says what a proxy told it, behind the chains of ``forwarded_site``."""

from __future__ import annotations

from typing import Any

from gateway import Gateway, Mount
from tests.gateway.servers.forwarded_site import chains


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    host = dict(scope["headers"])[b"host"].decode()
    client = scope["client"][0] if scope["client"] else "-"
    seen = (scope["scheme"], client, host, scope.get("root_path", ""), scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": " ".join(seen).encode()})


for_asgi = Mount({host: Gateway(asgi, middleware=chain) for host, chain in chains().items()}, default=asgi)
#: One chain alone, as most have it.
balanced_asgi = Gateway(asgi, middleware=chains()["balanced"])
