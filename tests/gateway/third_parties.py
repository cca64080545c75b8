"""Chains of somebody's middleware and ours around Flask and FastAPI, in process and under real servers."""

from __future__ import annotations

import queue
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentry_sdk
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI, WebSocket
from fastapi import Request as FastAPIRequest
from fastapi.responses import PlainTextResponse
from flask import Flask, request
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as OpenTelemetryAsgi
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as OpenTelemetryWsgi
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from sentry_sdk.transport import Transport
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from gateway.application import Gateway
from gateway.chain import ChainWarning, asgi_only, either, path_in, unless, wsgi_only
from tests.gateway.chain_parts import CountCrossings, Counting, Guard, Mark, Squeeze

ORIGIN = "https://shop.example"
STATIC = "body { color: black }\n"
BIG = "gateway " * 200

#: Spans that ended; a WSGI application's body is closed in its worker, so this may be after the client has its answer.
SPANS: queue.SimpleQueue[ReadableSpan] = queue.SimpleQueue()


class Ended(SpanProcessor):
    """Puts each span that ends on `SPANS`."""

    def on_end(self, span: ReadableSpan) -> None:
        SPANS.put(span)


PROVIDER = TracerProvider()
PROVIDER.add_span_processor(Ended())


class Events(Transport):
    """Keeps what Sentry would send."""

    kept: list[Any] = []  # noqa: RUF012  # one list for the process, as there is one client

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.kept.append(event)


def start_sentry() -> None:
    """Make Sentry keep its events, without patching any framework."""
    sentry_sdk.init(
        dsn="http://key@localhost/1",
        transport=Events,
        default_integrations=False,
        auto_enabling_integrations=False,
        traces_sample_rate=0.0,
    )


def flask_app() -> Flask:
    """An application of WSGI."""
    app = Flask("shop")

    @app.get("/hello")
    def hello() -> str:
        return f"hello from {request.remote_addr}"

    @app.get("/big")
    def big() -> str:
        return BIG

    @app.get("/boom")
    def boom() -> str:
        raise LookupError("boom")

    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


def fastapi_app() -> FastAPI:
    """An application of ASGI."""
    app = FastAPI()

    @app.get("/hello", response_class=PlainTextResponse)
    async def hello(request: FastAPIRequest) -> str:
        return f"hello from {request.client.host if request.client else None}"

    @app.get("/big", response_class=PlainTextResponse)
    async def big() -> str:
        return BIG

    @app.get("/boom")
    async def boom() -> str:
        raise LookupError("boom")

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    return app


APPS: dict[str, Callable[[], Any]] = {"flask": flask_app, "fastapi": fastapi_app}


def cors() -> Any:
    return asgi_only(CORSMiddleware, allow_origins=[ORIGIN])


def gzip() -> Any:
    return asgi_only(GZipMiddleware, minimum_size=500)


def proxy_fix() -> Any:
    return wsgi_only(ProxyFix, x_for=1, safe_to_skip=True)


def whitenoise(folder: Path) -> Any:
    return wsgi_only(WhiteNoise, root=str(folder), prefix="/static/", safe_to_skip=True)


def sentry() -> Any:
    return either(wsgi=SentryWsgiMiddleware, asgi=SentryAsgiMiddleware)


def otel() -> Any:
    return either(
        wsgi=wsgi_only(OpenTelemetryWsgi, tracer_provider=PROVIDER),
        asgi=asgi_only(OpenTelemetryAsgi, tracer_provider=PROVIDER, exclude_spans=["send", "receive"]),
    )


def correlation_id() -> Any:
    return asgi_only(CorrelationIdMiddleware)


def middleware(name: str, folder: Path) -> list[Any]:
    """The chains by name; each has WSGI+ASGI middleware outside, between and inside."""
    between = Mark(name="between")
    return {
        "proxy-fix": [Mark(name="outside"), proxy_fix(), Mark(name="inside")],
        "whitenoise": [Mark(name="outside"), whitenoise(folder), Squeeze(name="inside")],
        "cors-gzip": [Mark(name="outside"), cors(), between, gzip(), Mark(name="inside")],
        "correlation-id": [Mark(name="outside"), correlation_id(), Guard(name="inside")],
        "sentry": [Mark(name="outside"), sentry(), Mark(name="inside")],
        "opentelemetry": [Mark(name="outside"), otel(), Mark(name="inside")],
        "twins-beside-whitenoise": [sentry(), between, whitenoise(folder), otel(), Mark(name="inside")],
        "everything": [
            Mark(name="outside"),
            proxy_fix(),
            sentry(),
            between,
            cors(),
            correlation_id(),
            unless(path_in("/static"), gzip()),
            Squeeze(name="squeeze"),
            whitenoise(folder),
            otel(),
            Mark(name="inside"),
        ],
    }[name]


#: How many adapters each chain has: for Flask and for FastAPI, under WSGI and under ASGI servers.
PLANNED: dict[str, dict[str, tuple[int, int]]] = {
    "proxy-fix": {"flask": (0, 1), "fastapi": (1, 2)},
    "whitenoise": {"flask": (0, 1), "fastapi": (1, 2)},
    "cors-gzip": {"flask": (2, 1), "fastapi": (1, 0)},
    "correlation-id": {"flask": (2, 1), "fastapi": (1, 0)},
    "sentry": {"flask": (0, 1), "fastapi": (1, 0)},
    "opentelemetry": {"flask": (0, 1), "fastapi": (1, 0)},
    "twins-beside-whitenoise": {"flask": (0, 1), "fastapi": (1, 2)},
    "everything": {"flask": (2, 3), "fastapi": (3, 4)},
}


def build(app: str, chain: str, folder: Path) -> Gateway[Any]:
    """Compose a chain around an application, its adapters counted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "this chain has", ChainWarning)
        return Gateway(
            APPS[app](),
            middleware=[CountCrossings(), *middleware(chain, folder)],
            engine=Counting(),
            max_adapters=4,
        )
