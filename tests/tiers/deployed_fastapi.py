"""FastAPI behind generated files: the same as `deployed_flask`, with a lifespan and a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse

from tests.tiers.deployed_chain import FOLDER, HEADERS, balanced, distant, note, proxied


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    note("started")
    yield
    note("stopped")


fastapi = FastAPI(lifespan=lifespan)


@fastapi.get("/facts")
async def facts(request: Request) -> dict[str, object]:
    found: dict[str, object] = {name: request.headers.get(name) for name in HEADERS}
    found |= {"client": request.client.host if request.client else None, "scheme": request.url.scheme}
    return {**found, "host": request.url.hostname, "mount": request.scope["root_path"]}


@fastapi.post("/upload")
async def upload(request: Request) -> Response:
    return Response(str(len(await request.body())))


@fastapi.post("/slow")
async def slow(request: Request, seconds: float = 0) -> Response:
    serial = (await request.body()).decode()
    note(f"begun {serial}")
    await anyio.sleep(seconds)
    note(f"done {serial}")
    return Response(serial)


@fastapi.get("/events/{release}")
async def stream(release: str) -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: first\n\n"
        with anyio.move_on_after(10):
            while not (FOLDER / release).exists():  # noqa: ASYNC110  # another process makes it
                await anyio.sleep(0.01)
        yield b"data: second\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


@fastapi.websocket("/ws")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(f"{socket.url.scheme} {await socket.receive_text()}")
    await socket.close()


proxied_app = proxied(fastapi)
balanced_app = balanced(fastapi)
distant_app = distant(fastapi)
