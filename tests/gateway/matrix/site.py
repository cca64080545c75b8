"""Two real applications, and two small ones, for the matrix."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, WebSocket
from flask import Flask, Response

flask_app = Flask(__name__)


@flask_app.get("/")
def flask_home() -> Response:
    return Response("hello from Flask", headers={"X-One": "1"})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


fastapi_app = FastAPI(lifespan=lifespan)


@fastapi_app.get("/")
async def fastapi_home() -> dict[str, str]:
    return {"hello": "from FastAPI"}


@fastapi_app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())


counter = itertools.count()


def counting(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """An application with one header that differs in each response."""
    start_response("200 OK", [("X-Count", str(next(counter))), ("X-Same", "1"), ("Content-Length", "2")])
    return [b"ok"]
