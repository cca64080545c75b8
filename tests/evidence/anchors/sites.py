"""The application that real servers serve for the comparison: bare, and behind ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from gateway import Gateway
from gateway.middleware import AccessLog, Health, ProxyHeaders


def bare_wsgi(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection-Of", environ["REMOTE_ADDR"])])
    if environ["PATH_INFO"] == "/fails":
        yield b"hello"
        raise RuntimeError("in the body")
    if environ["PATH_INFO"] == "/long":
        for _ in range(4096):
            yield b"x" * 65536
    yield environ["REMOTE_ADDR"].encode()


async def bare_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/fails":
        await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        raise RuntimeError("in the body")
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


def ours(app: Any) -> Any:
    seconds = os.environ.get("ANCHORS_DRAIN")
    return Gateway(
        app,
        middleware=[
            Health(drain_seconds=float(seconds) if seconds else None),
            ProxyHeaders(trust=("127.0.0.0/8",)),
            AccessLog(),
        ],
    )


ours_wsgi = ours(bare_wsgi)
ours_asgi = ours(bare_asgi)
