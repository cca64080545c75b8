"""A Flask and a FastAPI application, each in a Gateway, as granian's default interface serves them in the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from flask import Flask, Response, request, send_file

from gateway import Gateway

flask = Flask(__name__)
fastapi = FastAPI()


@flask.get("/caf\u00e9")
def flask_text() -> Response:
    response = Response(f"{request.path} {request.args['q']}", content_type="text/plain; charset=utf-8")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@flask.post("/upload")
def flask_upload() -> str:
    return str(len(request.get_data()))


@flask.get("/stream")
def flask_stream() -> Response:
    def parts() -> Iterator[str]:
        yield from (f"{number} " for number in range(100))

    return Response(parts(), content_type="text/plain")


@flask.get("/file")
def flask_file() -> Response:
    return send_file(__file__, mimetype="text/plain")


@flask.get("/error")
def flask_error() -> str:
    raise LookupError("broken")


@fastapi.get("/caf\u00e9", response_class=PlainTextResponse)
async def fastapi_text(request: Request, q: str) -> PlainTextResponse:
    response = PlainTextResponse(f"{request.scope['path']} {q}")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@fastapi.post("/upload", response_class=PlainTextResponse)
async def fastapi_upload(request: Request) -> str:
    return str(len(await request.body()))


@fastapi.get("/stream")
async def fastapi_stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(100):
            yield f"{number} "

    return StreamingResponse(parts(), media_type="text/plain")


@fastapi.api_route("/file", methods=["GET", "HEAD"])
async def fastapi_file() -> FileResponse:
    return FileResponse(__file__, media_type="text/plain")


@fastapi.get("/error")
async def fastapi_error() -> str:
    raise LookupError("broken")


one_of_flask = Gateway(flask)
one_of_fastapi = Gateway(fastapi)
