"""Applications that let the refusal of a read go on, behind a limit of the body, for real servers."""

from __future__ import annotations

import fastapi
import flask

from gateway import Gateway
from gateway.middleware import AccessLog, BodyLimit

api = fastapi.FastAPI()


@api.get("/")
async def ready() -> str:
    return "ready"


@api.post("/read")
async def read(request: fastapi.Request) -> int:
    return len(await request.body())


@api.post("/parsed")
async def parsed(item: dict[str, int]) -> int:
    return len(item)


site = flask.Flask(__name__)


@site.get("/")
def site_ready() -> str:
    return "ready"


@site.post("/<how>")
def site_read(how: str) -> str:
    return str(len(flask.request.get_data() if how == "read" else flask.request.get_json()))


asgi = Gateway(api, middleware=[AccessLog(), BodyLimit(max_bytes=1000)])
wsgi = Gateway(site, middleware=[AccessLog(), BodyLimit(max_bytes=1000)])
