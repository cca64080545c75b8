"""A chain of a user's own around an application of each interface, served by real servers in `test_chain`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.application import Gateway
from gateway.contract import Flow, Middleware, Process, Refuse, Steps, Transform, as_middleware, finished, io, peek
from gateway.exchange import Outcome, Request, Response

FOLDER = Path(os.environ["CHAIN_FOLDER"])


def note(line: str) -> str:
    with (FOLDER / "notes").open("a") as file:
        file.write(line + "\n")
    return "plain"


async def note_async(line: str) -> str:
    await asyncio.sleep(0)
    note(line)
    return "async"


@dataclass(frozen=True, kw_only=True)
class Notes(Middleware):
    """Writes down what happened, by IO in the colour of the driver."""

    def on_start(self, process: Process) -> Steps[None]:
        yield from io(note, note_async, f"start {process.interface}")

    def on_request(self, request: Request) -> Steps[Response | None]:
        colour = yield from io(note, note_async, f"request {request.path}")
        request.state["colour"] = colour
        return None

    def on_response(self, request: Request, response: Response) -> None:
        response.headers.append("x-colour", str(request.state["colour"]))

    def on_finish(self, request: Request, outcome: Outcome) -> Steps[None]:
        line = f"{request.path} {outcome.kind} {outcome.status} {type(outcome.error).__name__}"
        yield from io(note, note_async, line)


class _Limit:
    def __init__(self, left: int) -> None:
        self.left = left

    def push(self, chunk: bytes, /) -> bytes:
        self.left -= len(chunk)
        if self.left < 0:
            raise Refuse(413, "at most ten bytes")
        return chunk

    def finish(self) -> bytes:
        return b""


@dataclass(frozen=True, kw_only=True)
class TenBytes(Middleware):
    """Refuses more while the body is read."""

    keeps_request_length = True

    def on_request_body(self, request: Request) -> Transform:
        return _Limit(10)


@as_middleware
def first(request: Request) -> Flow:
    """Says how the body begins."""
    response = yield
    start = yield from peek(1)
    response.headers.append("x-first", (start or b"").decode()[:1])
    yield from finished()


def wsgi_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    path = environ["PATH_INFO"]
    if path == "/upload":
        try:
            environ["wsgi.input"].read()
        except Exception:  # as frameworks do
            note("swallowed")
    start_response("200 OK", [("content-type", "text/plain")])
    yield b"one"
    if path == "/broken":
        raise LookupError("after the head")
    if path == "/endless":
        while True:
            yield b"x" * 65536
    yield b"two"


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/upload":
        try:
            while (await receive()).get("more_body"):
                pass
        except Exception:  # as frameworks do
            note("swallowed")
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    if scope["path"] == "/broken":
        raise LookupError("after the head")
    if scope["path"] == "/endless":
        left = asyncio.ensure_future(_left(receive))
        while not left.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"two"})


CHAIN = [Notes(), TenBytes(), first()]
wsgi = Gateway(wsgi_app, middleware=CHAIN)
asgi = Gateway(asgi_app, middleware=CHAIN)
