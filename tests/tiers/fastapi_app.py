"""A FastAPI application with something to say on every row of the table, in one object for any server."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from gateway import Gateway
from tests.tiers.checked import checked

WAIT_SECONDS = 10


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[dict[str, object]]:
    yield {"started": True}


fastapi = FastAPI(lifespan=lifespan)


@fastapi.api_route("/", methods=["GET", "HEAD"])
async def hello() -> Response:
    return Response("hello from fastapi", media_type="text/plain", headers={"x-tier": "one"})


@fastapi.post("/upload")
async def upload(request: Request) -> dict[str, object]:
    digest, length = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        length += len(chunk)
    return {"length": length, "sha256": digest.hexdigest()}


@fastapi.get("/stream")
async def stream(release: str) -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first\n"
        with anyio.move_on_after(WAIT_SECONDS):
            while not Path(release).exists():  # noqa: ASYNC110  # another process makes it
                await anyio.sleep(0.01)
            yield b"second\n"
            return
        yield b"nobody has read the first chunk\n"

    return StreamingResponse(chunks(), media_type="text/plain")


@fastapi.get("/cookies")
def cookies() -> Response:
    response = Response("")
    response.headers.append("Set-Cookie", "a=1; Path=/")
    response.headers.append("Set-Cookie", "b=2; Path=/; HttpOnly")
    return response


@fastapi.get("/path/{rest:path}")
async def path(rest: str, request: Request) -> dict[str, object]:
    return {"path": rest, "query": dict(request.query_params)}


@fastapi.get("/error")
async def error() -> Response:
    raise RuntimeError("raised on purpose")


@fastapi.get("/seen")
async def seen(request: Request) -> dict[str, object]:
    return {
        "crossed": "gateway.environ" in request.scope,
        "started": bool(getattr(request.state, "started", False)),
    }


app = Gateway(checked(fastapi))
