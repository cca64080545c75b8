"""An application in both interfaces that waits where a client may go away, behind an access log and metrics.

``?release=`` names a file. The application makes ``NAME.waits`` when it has got so far, and goes on when the test has
made ``NAME``, and ``?patience=`` seconds have passed. From then on ``/stream`` sends until the server says that the
client is gone: how long a server takes to see it depends on the machine.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio

from gateway import Gateway
from gateway.contract import Middleware
from gateway.middleware import AccessLog, Metrics

SECONDS = 30.0
#: A stream ends after so long, if the server does not say that the client is gone; it pauses between two parts.
STREAMS = 20.0
PAUSE = 0.01
PART = b"x" * 65536
#: In the scope: what the server has said, whoever asked it. The driver is not asked, so it cannot hide its own fault.
SAID = "site.said"


def chain() -> list[Middleware]:
    return [AccessLog(), Metrics(path="/metrics")]


def asked(query: str) -> tuple[Path, float]:
    """Return the file that is waited for, one that is there where none is named, and the patience after it."""
    fields = parse_qs(query)
    path = Path(fields.get("release", [__file__])[0])
    if not path.exists():
        path.with_suffix(".waits").touch()
    return path, float(fields.get("patience", ["0"])[0])


def listening(app: Any) -> Any:
    """Go outside the chain, and note in the scope whether the server said ``http.disconnect``."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        said = scope[SAID] = set[str]()

        async def noting() -> Any:
            message = await receive()
            said.add(message["type"])
            return message

        await app(scope, noting, send)

    return outer


def wsgi_app(environ: Any, start_response: Any) -> Any:
    path = environ["PATH_INFO"]
    environ["gateway.state"]["route"] = path
    release, patience = asked(environ["QUERY_STRING"])

    def wait() -> None:
        deadline = time.monotonic() + SECONDS
        while not release.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(patience)

    def stream() -> Any:
        yield PART
        wait()
        deadline = time.monotonic() + STREAMS
        while time.monotonic() < deadline:  # or until the server closes this iterable
            yield PART
            time.sleep(PAUSE)

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
    release, patience = asked(scope["query_string"].decode())

    async def wait() -> None:
        deadline = time.monotonic() + SECONDS
        while not release.exists() and time.monotonic() < deadline:  # noqa: ASYNC110  # another process makes it
            await anyio.sleep(0.01)
        await anyio.sleep(patience)

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
        deadline = time.monotonic() + STREAMS
        while "http.disconnect" not in scope[SAID] and time.monotonic() < deadline:  # or until the server raises
            await send({"type": "http.response.body", "body": PART, "more_body": True})
            await anyio.sleep(PAUSE)
        await send({"type": "http.response.body", "body": b""})
        return
    if path == "/late":
        await wait()
    await start(200, (b"content-type", b"text/plain"), (b"content-length", b"5"))
    await send({"type": "http.response.body", "body": b"hello"})


wsgi = Gateway(wsgi_app, middleware=chain())
