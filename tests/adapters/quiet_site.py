"""An application whose stream has no event until a file exists, alone and in a chain, for real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from gateway import Gateway
from gateway.middleware import edge

WAIT_SECONDS = 20.0


async def quiet(request: Request) -> StreamingResponse:
    release = Path(request.url.query)

    async def events() -> AsyncIterator[str]:
        async with asyncio.timeout(WAIT_SECONDS):
            while not release.exists():  # noqa: ASYNC110  # another process makes it
                await asyncio.sleep(0.005)
        yield "data: released\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def ready(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ready")


site = Starlette(routes=[Route("/", ready), Route("/quiet", quiet)])
app = Gateway(site)
chain = Gateway(site, middleware=edge(hosts=("localhost",), https_redirect=None))
