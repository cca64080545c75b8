"""An application in both interfaces that waits where a client may go away, behind an access log and metrics.

``?release=`` names a file. The application makes ``NAME.waits`` when it has got so far, and goes on when the test has
made ``NAME``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel

from gateway import Gateway
from gateway.contract import Middleware
from gateway.middleware import AccessLog, Metrics

SECONDS = 30.0
#: So long a server may take to see that a client is gone.
SEEN = 0.05
PART = b"x" * 65536
PARTS = 64


def chain() -> list[Middleware]:
    return [AccessLog(), Metrics(path="/metrics")]


def _release(query: str) -> Path:
    """Return the file that is waited for; one that is there, where none is named."""
    path = Path(parse_qs(query).get("release", [__file__])[0])
    if not path.exists():
        path.with_suffix(".waits").touch()
    return path


def wsgi_app(environ: Any, start_response: Any) -> Any:
    path = environ["PATH_INFO"]
    environ["gateway.state"]["route"] = path
    release = _release(environ["QUERY_STRING"])

    def wait() -> None:
        deadline = time.monotonic() + SECONDS
        while not release.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(SEEN)

    def stream() -> Any:
        yield PART
        wait()
        for _ in range(PARTS):
            yield PART

    if path == "/body":
        try:
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        except OSError:
            start_response("400 Bad Request", [("Content-Length", "0")])
            return []
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream()
    if path == "/late":
        wait()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    path = scope["path"]
    scope["gateway.state"]["route"] = path
    release = _release(scope["query_string"].decode())

    async def wait() -> None:
        deadline = time.monotonic() + SECONDS
        while not release.exists() and time.monotonic() < deadline:  # noqa: ASYNC110  # another process makes it
            await anyio.sleep(0.01)
        await anyio.sleep(SEEN)

    async def start(status: int, *fields: tuple[bytes, bytes]) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(fields)})

    if path == "/body":
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                # As Starlette does: an error page, which nobody gets.
                await start(500, (b"content-length", b"0"))
                await send({"type": "http.response.body", "body": b""})
                return
            if not message.get("more_body", False):
                break
    if path == "/stream":
        await start(200, (b"content-type", b"text/plain"))
        await send({"type": "http.response.body", "body": PART, "more_body": True})
        await wait()
        for _ in range(PARTS):
            await send({"type": "http.response.body", "body": PART, "more_body": True})
            await anyio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b""})
        return
    if path == "/late":
        await wait()
    await start(200, (b"content-type", b"text/plain"), (b"content-length", b"5"))
    await send({"type": "http.response.body", "body": b"hello"})


wsgi = Gateway(wsgi_app, middleware=chain())
