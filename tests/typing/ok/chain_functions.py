"""What a chain may hold, third parties and conditions, checks under mypy and pyright strict without an ignore."""

from collections.abc import Callable
from typing import assert_type

import asgiref.typing as asgi
import starlette.types
from asgi_correlation_id import CorrelationIdMiddleware
from flask import Flask
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from gateway import Gateway
from gateway.chain import Chain, ChainItem, asgi_only, either, path_in, unless, when, wsgi_only
from gateway.contract import Flow, Middleware, as_middleware
from gateway.exchange import Request
from gateway.middleware import BodyLimit, RequestId
from gateway.protocols import Environ, StartResponse, WSGIApplication


@as_middleware
def tag(request: Request, *, name: str) -> Flow:
    response = yield
    response.headers.append("x-name", name)


# Third parties: a class with its options, a factory function, one application of each interface.
def upper(app: WSGIApplication, word: str) -> WSGIApplication:
    def served(environ: Environ, start_response: StartResponse) -> list[bytes]:
        return [chunk.upper() + word.encode() for chunk in app(environ, start_response)]

    return served


def quiet(app: asgi.ASGI3Application) -> asgi.ASGI3Application:
    return app


def loud(app: starlette.types.ASGIApp, *, level: int = 1) -> starlette.types.ASGIApp:
    return app


wsgi_items: list[ChainItem] = [
    wsgi_only(ProxyFix, x_for=1),
    wsgi_only(WhiteNoise, "static", prefix="/static", safe_to_skip=True),
    wsgi_only(upper, "!"),
]
asgi_items: list[ChainItem] = [
    asgi_only(CORSMiddleware, allow_origins=["https://shop.example"]),
    asgi_only(CorrelationIdMiddleware),
    asgi_only(quiet),
    asgi_only(loud, level=3),
]
twins: list[ChainItem] = [
    either(wsgi=upper, asgi=quiet),
    either(wsgi=wsgi_only(upper, "!"), asgi=asgi_only(GZipMiddleware, minimum_size=500), body_cpu=True),
]


# Conditions: around any item, with any function of a request.
def is_post(request: Request) -> bool:
    return request.method == "POST"


class Sampled:
    def __init__(self, every: int) -> None:
        self.every = every

    def __call__(self, request: Request) -> bool:
        return len(request.path) % self.every == 0


conditions: list[ChainItem] = [
    when(path_in("/api", "/admin"), tag(name="api")),
    unless(path_in("/health"), RequestId()),
    when(lambda request: request.scheme == "https", BodyLimit(max_bytes=10)),
    when(is_post, wsgi_only(ProxyFix, x_for=1)),
    unless(Sampled(10), either(wsgi=upper, asgi=quiet)),
    when(is_post, unless(path_in("/raw"), tag(name="nested"))),
]
predicate: Callable[[Request], bool] = path_in("/")
assert_type(when(is_post, tag(name="x")), ChainItem)
assert_type(unless(is_post, wsgi_only(ProxyFix)), ChainItem)

# The list as a whole: inline, and put together.
middleware: list[ChainItem] = [RequestId(), *wsgi_items, *asgi_items, *twins, *conditions]
colourless: list[Middleware] = [RequestId(), tag(name="x")]
app = Flask(__name__)
assert_type(Gateway(app, middleware=[RequestId(), tag(name="x"), wsgi_only(ProxyFix)]), Gateway[Flask])
Gateway(app, middleware=middleware, max_adapters=4)
Gateway(app, middleware=colourless)
Gateway(app, middleware=(when(is_post, item) for item in colourless))
Chain({"wsgi": app}, [*colourless, *wsgi_items], max_adapters=1).explain()
