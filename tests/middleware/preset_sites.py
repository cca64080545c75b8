"""A Flask and a FastAPI application that answer alike, each behind the preset for a load balancer, for real servers."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse
from flask import Flask, Response
from flask import request as flask_request

from gateway import Gateway
from gateway.contract import Middleware
from gateway.middleware import (
    BodyLimit,
    Cors,
    HttpsRedirect,
    ProxyHeaders,
    RequestId,
    SecurityHeaders,
    StaticFiles,
    TrustedHost,
    behind_load_balancer,
)

ORIGIN = "https://app.example"
LIMIT = 1000
STATIC = os.environ.get("PRESET_STATIC", "")
TEXT = "a line of text that compresses\n" * 100
ETAG = '"v1"'


def chain() -> tuple[Middleware, ...]:
    """Make the preset as a deployment would, for a peer on this machine."""
    return behind_load_balancer(
        hosts=("example.org",),
        trust=("127.0.0.1",),
        cors=Cors(origins=(ORIGIN,), credentials=True),
        security_headers=SecurityHeaders(preset="api"),
        static={"/static": STATIC} if STATIC else None,
        body_limit=BodyLimit(max_bytes=LIMIT),
    )


flask = Flask(__name__)


@flask.get("/")
def flask_hello() -> Response:
    return Response("hello", content_type="text/plain; charset=utf-8")


@flask.get("/text")
def flask_text() -> Response:
    return Response(TEXT, content_type="text/plain; charset=utf-8", headers={"ETag": ETAG})


@flask.get("/client")
def flask_client() -> Response:
    who = f"{flask_request.remote_addr} {flask_request.scheme} {flask_request.headers.get('X-Forwarded-For', '-')}"
    return Response(who, content_type="text/plain; charset=utf-8")


@flask.post("/upload")
def flask_upload() -> Response:
    return Response(hashlib.sha256(flask_request.get_data()).hexdigest(), content_type="text/plain; charset=utf-8")


@flask.get("/error")
def flask_error() -> Response:
    raise RuntimeError("raised on purpose")


# Flask answers exceptions by itself; this way it leaves them to whoever is outside, as FastAPI does.
flask.config["PROPAGATE_EXCEPTIONS"] = True

fastapi = FastAPI()


@fastapi.get("/")
async def fastapi_hello() -> PlainTextResponse:
    return PlainTextResponse("hello")


@fastapi.get("/text")
async def fastapi_text() -> PlainTextResponse:
    return PlainTextResponse(TEXT, headers={"ETag": ETAG})


@fastapi.get("/client")
async def fastapi_client(request: Request) -> PlainTextResponse:
    address = request.client.host if request.client else ""
    return PlainTextResponse(f"{address} {request.url.scheme} {request.headers.get('x-forwarded-for', '-')}")


@fastapi.post("/upload")
async def fastapi_upload(request: Request) -> PlainTextResponse:
    return PlainTextResponse(hashlib.sha256(await request.body()).hexdigest())


@fastapi.get("/error")
async def fastapi_error() -> PlainTextResponse:
    raise RuntimeError("raised on purpose")


@fastapi.websocket("/socket")
async def fastapi_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("open")
    await socket.close()


flask_app = Gateway(flask, middleware=chain())
fastapi_app = Gateway(fastapi, middleware=chain())


def echoes() -> tuple[Middleware, ...]:
    """Make a chain that writes what a client sent into as many response fields as can be."""
    return (
        ProxyHeaders(trust=("127.0.0.1",), host=True, prefix=True),
        RequestId(accept="valid"),
        TrustedHost(allowed=("*",)),
        HttpsRedirect(),
        Cors(origins=("*",), headers=("*",)),
        StaticFiles(folders={"/static": STATIC}, index_file="index.html", autorefresh=True),
    )


flask_echoes = Gateway(flask, middleware=echoes())
fastapi_echoes = Gateway(fastapi, middleware=echoes())


def probed_wsgi(environ: Any, start_response: Any) -> Any:
    """Say in a field what the chain hands to a WSGI server: its own file wrapper, or any iterable."""
    held: list[Any] = []

    def hold(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        held[:] = [status, headers, exc_info]

    result: Any = flask_app(environ, hold)
    wrapped = isinstance(result, environ.get("wsgi.file_wrapper", ()))
    status, headers, exc_info = held
    start_response(status, [*headers, ("X-Sent-By", "wsgi.file_wrapper" if wrapped else "iterable")], exc_info)
    return result


async def probed_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Say in a field what the chain sends to an ASGI server after the head."""
    head: list[Any] = []

    async def probe(message: Any) -> None:
        if message["type"] == "http.response.start":
            head.append(message)
            return
        if head:
            first = head.pop()
            await send({**first, "headers": [*first["headers"], (b"x-sent-by", message["type"].encode())]})
        await send(message)

    await fastapi_app(scope, receive, probe)
