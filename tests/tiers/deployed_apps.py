"""Applications behind generated files: Flask, Django and FastAPI, each with the chain of its deployment.

Each reports what it was told about a request, takes bodies, waits, streams events, and notes its start and its end.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from django.conf import settings
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse
from flask import Flask
from flask import Response as FlaskResponse
from flask import request as flask_request

from gateway import Gateway
from gateway.middleware import BodyLimit, Health, behind_load_balancer, behind_nginx
from gateway.middleware.metrics import Metrics

HOST = "shop.example.com"
MAX_BYTES = 100_000
FOLDER = Path(os.environ.get("DEPLOYED_FOLDER", "."))
LOCAL = ("unix:", "127.0.0.1", "::1")
HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Port", "Forwarded", "X-Request-ID")


def note(what: str) -> None:
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{what}\n")


def events(release: str) -> Iterator[bytes]:
    yield b"data: first\n\n"
    until = time.monotonic() + 10
    while not (FOLDER / release).exists() and time.monotonic() < until:
        time.sleep(0.01)
    yield b"data: second\n\n"


# Flask
flask = Flask(__name__)


@flask.get("/facts")
def flask_facts() -> FlaskResponse:
    facts = {name: flask_request.headers.get(name) for name in HEADERS}
    facts |= {"client": flask_request.remote_addr, "scheme": flask_request.scheme, "host": flask_request.host}
    return FlaskResponse(json.dumps({**facts, "mount": flask_request.script_root}), content_type="application/json")


@flask.post("/upload")
def flask_upload() -> str:
    return str(len(flask_request.get_data()))


@flask.post("/slow")
def flask_slow() -> str:
    serial = flask_request.get_data(as_text=True)
    time.sleep(float(flask_request.args.get("seconds", "0")))
    note(f"done {serial}")
    return serial


@flask.get("/events/<release>")
def flask_events(release: str) -> FlaskResponse:
    return FlaskResponse(events(release), content_type="text/event-stream")


# Django
def django_application() -> Callable[..., Any]:
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    def facts(request: HttpRequest) -> HttpResponse:
        found: dict[str, object] = {name: request.headers.get(name) for name in HEADERS}
        found |= {"client": request.META["REMOTE_ADDR"], "scheme": request.scheme, "host": request.get_host()}
        return JsonResponse({**found, "mount": request.META["SCRIPT_NAME"]})

    def upload(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(len(request.body)))

    def slow(request: HttpRequest) -> HttpResponse:
        serial = request.body.decode()
        time.sleep(float(request.GET.get("seconds", "0")))
        note(f"done {serial}")
        return HttpResponse(serial)

    def stream(request: HttpRequest, release: str) -> StreamingHttpResponse:
        return StreamingHttpResponse(events(release), content_type="text/event-stream")

    urls = [
        path("facts", facts),
        path("upload", upload),
        path("slow", slow),
        path("events/<str:release>", stream),
    ]
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=type("urls", (), {"urlpatterns": urls}),
            ALLOWED_HOSTS=[HOST],
            SECRET_KEY="not secret",
            DATA_UPLOAD_MAX_MEMORY_SIZE=MAX_BYTES,
        )
    return get_wsgi_application()


# FastAPI
@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    note("started")
    yield
    note("stopped")


fastapi = FastAPI(lifespan=lifespan)


@fastapi.get("/facts")
async def asgi_facts(request: Request) -> dict[str, object]:
    facts: dict[str, object] = {name: request.headers.get(name) for name in HEADERS}
    facts |= {"client": request.client.host if request.client else None, "scheme": request.url.scheme}
    return {**facts, "host": request.url.hostname, "mount": request.scope["root_path"]}


@fastapi.post("/upload")
async def asgi_upload(request: Request) -> Response:
    return Response(str(len(await request.body())))


@fastapi.post("/slow")
async def asgi_slow(request: Request, seconds: float = 0) -> Response:
    serial = (await request.body()).decode()
    await anyio.sleep(seconds)
    note(f"done {serial}")
    return Response(serial)


@fastapi.get("/events/{release}")
async def asgi_events(release: str) -> StreamingResponse:
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


def proxied(app: Any) -> Gateway[Any]:
    """Put an application behind one proxy of this machine."""
    chain = behind_nginx(hosts=(HOST,), body_limit=BodyLimit(max_bytes=MAX_BYTES), metrics=Metrics())
    return Gateway(app, middleware=chain)


def balanced(app: Any) -> Gateway[Any]:
    """Put an application behind a load balancer of this machine."""
    chain = behind_load_balancer(
        hosts=(HOST,),
        trust=LOCAL,
        max_bytes=MAX_BYTES,
        https_redirect=None,
        compression=None,
        health=Health(drain_seconds=float(os.environ.get("DRAIN", "1")), cache=0.0),
    )
    return Gateway(app, middleware=chain)


flask_app = proxied(flask)
django_app = proxied(django_application())
fastapi_app = proxied(fastapi)
balanced_flask = balanced(flask)
balanced_fastapi = balanced(fastapi)
