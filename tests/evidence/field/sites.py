"""Applications of the frameworks, adapters of others and middleware of others, which the conformance suite examines."""

from __future__ import annotations

import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

__all__ = ["ADAPTERS", "FRAMEWORKS", "MIDDLEWARE", "PATHS"]

PATHS = ("/", "/stream", "/missing")


def _blocks() -> Iterator[bytes]:
    yield from (b"one", b"two", b"three")


async def _asynchronous_blocks() -> AsyncIterator[bytes]:
    for block in _blocks():
        yield block


def _flask() -> Any:
    from flask import Flask, Response, request

    app = Flask("field")
    app.add_url_rule("/", "index", lambda: str(len(request.get_data())), methods=["GET", "POST"])
    app.add_url_rule("/stream", "stream", lambda: Response(_blocks(), mimetype="text/plain"))
    return app


def _bottle() -> Any:
    import bottle

    def stream() -> Iterator[bytes]:
        bottle.response.content_type = "text/plain"
        return _blocks()

    app = bottle.Bottle()
    app.route("/", ["GET", "POST"], lambda: str(len(bottle.request.body.read())))
    app.route("/stream", "GET", stream)
    return app


def _pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    with Configurator() as config:
        config.add_route("index", "/")
        config.add_route("stream", "/stream")
        config.add_view(lambda request: Response(str(len(request.body))), route_name="index")
        config.add_view(lambda request: Response(app_iter=_blocks(), content_type="text/plain"), route_name="stream")
        return config.make_wsgi_app()


def _werkzeug() -> Any:
    from werkzeug import Request, Response

    def app(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        answers: dict[str, Callable[[], Any]] = {
            "/": lambda: Response(str(len(request.get_data()))),
            "/stream": lambda: Response(_blocks(), mimetype="text/plain"),
        }
        return answers.get(request.path, lambda: Response("no such page", 404))()(environ, start_response)

    return app


def _webob() -> Any:
    from webob import Request, Response

    def app(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        answers: dict[str, Callable[[], Any]] = {
            "/": lambda: Response(str(len(request.body))),
            "/stream": lambda: Response(app_iter=_blocks(), content_type="text/plain"),
        }
        return answers.get(request.path, lambda: Response("no such page", 404))()(environ, start_response)

    return app


def _django(interface: str) -> Any:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    blocks: Any = _blocks if interface == "wsgi" else _asynchronous_blocks
    urls: Any = types.ModuleType("tests.evidence.field.urls")
    urls.urlpatterns = [
        path("", lambda request: HttpResponse(str(len(request.body)))),
        path("stream", lambda request: StreamingHttpResponse(blocks(), content_type="text/plain")),
    ]
    sys.modules[urls.__name__] = urls
    names = ("security.SecurityMiddleware", "gzip.GZipMiddleware", "http.ConditionalGetMiddleware")
    middleware = [f"django.middleware.{name}" for name in (*names, "common.CommonMiddleware")]
    settings.configure(ROOT_URLCONF=urls.__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=middleware)
    django.setup()
    return get_wsgi_application() if interface == "wsgi" else get_asgi_application()


def _falcon_wsgi() -> Any:
    import falcon

    class Index:
        def on_get(self, request: Any, response: Any) -> None:
            response.text = "hello"

        def on_post(self, request: Any, response: Any) -> None:
            response.text = str(len(request.bounded_stream.read()))

    class Stream:
        def on_get(self, request: Any, response: Any) -> None:
            response.content_type, response.stream = "text/plain", _blocks()

    app = falcon.App()
    app.add_route("/", Index())
    app.add_route("/stream", Stream())
    return app


def _falcon_asgi() -> Any:
    import falcon.asgi

    class Index:
        async def on_get(self, request: Any, response: Any) -> None:
            response.text = "hello"

        async def on_post(self, request: Any, response: Any) -> None:
            response.text = str(len(await request.stream.read()))

    class Stream:
        async def on_get(self, request: Any, response: Any) -> None:
            response.content_type, response.stream = "text/plain", _asynchronous_blocks()

    app = falcon.asgi.App()
    app.add_route("/", Index())
    app.add_route("/stream", Stream())
    return app


def _starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def index(request: Any) -> Any:
        return PlainTextResponse(str(len(await request.body())))

    async def stream(request: Any) -> Any:
        return StreamingResponse(_blocks(), media_type="text/plain")

    return Starlette(routes=[Route("/", index, methods=["GET", "POST"]), Route("/stream", stream)])


def _fastapi() -> Any:
    import fastapi
    from fastapi.responses import StreamingResponse

    async def index(request: Any) -> Any:
        return len(await request.body())

    async def stream() -> Any:
        return StreamingResponse(_blocks(), media_type="text/plain")

    index.__annotations__ = {"request": fastapi.Request}
    app = fastapi.FastAPI()
    app.api_route("/", methods=["GET", "POST"])(index)
    app.get("/stream")(stream)
    return app


def _litestar() -> Any:
    import litestar
    from litestar.response import Stream

    async def index(request: Any) -> str:
        return str(len(await request.body()))

    async def stream() -> Any:
        return Stream(_asynchronous_blocks(), media_type="text/plain")

    index.__annotations__ = {"request": litestar.Request, "return": str}
    stream.__annotations__ = {"return": Stream}
    handlers = [
        litestar.route("/", http_method=["GET", "POST"], media_type="text/plain", status_code=200)(index),
        litestar.get("/stream")(stream),
    ]
    return litestar.Litestar(handlers, openapi_config=None)


def _quart() -> Any:
    from quart import Quart, Response, request

    async def index() -> str:
        return str(len(await request.get_data()))

    async def stream() -> Any:
        return Response(_asynchronous_blocks(), mimetype="text/plain")

    app = Quart("field")
    app.add_url_rule("/", "index", index, methods=["GET", "POST"])
    app.add_url_rule("/stream", "stream", stream)
    return app


def _connexion() -> Any:
    from connexion import FlaskApp
    from flask import request

    app = FlaskApp("field")
    app.app.add_url_rule("/", "index", lambda: str(len(request.get_data())), methods=["GET", "POST"])
    return app


def _blacksheep() -> Any:
    from blacksheep import Application, Content, Response, StreamedContent

    async def index(request: Any) -> Any:
        return Response(200, content=Content(b"text/plain", str(len(await request.read() or b"")).encode()))

    async def stream() -> Any:
        return Response(200, content=StreamedContent(b"text/plain", _asynchronous_blocks))

    app = Application()
    for add in (app.router.add_get, app.router.add_post):
        add("/", index)
    app.router.add_get("/stream", stream)
    return app


def _sanic() -> Any:
    from sanic import Sanic, text

    async def index(request: Any) -> Any:
        return text(str(len(request.body)))

    async def stream(request: Any) -> None:
        response = await request.respond(content_type="text/plain")
        for block in _blocks():
            await response.send(block)
        await response.eof()

    app: Any = Sanic("field", configure_logging=False)
    app.add_route(index, "/", methods=["GET", "POST", "HEAD"])
    app.add_route(stream, "/stream")
    return app


def _baize_wsgi() -> Any:
    from baize.wsgi import PlainTextResponse, Router, StreamResponse, request_response

    return Router(
        ("/", request_response(lambda request: PlainTextResponse(str(len(request.body))))),
        (
            "/stream",
            request_response(lambda request: StreamResponse(_blocks(), headers={"content-type": "text/plain"})),
        ),
    )


def _baize_asgi() -> Any:
    from baize.asgi import PlainTextResponse, Router, StreamResponse, request_response

    async def index(request: Any) -> Any:
        return PlainTextResponse(str(len(await request.body)))

    async def stream(request: Any) -> Any:
        return StreamResponse(_asynchronous_blocks(), headers={"content-type": "text/plain"})

    return Router(("/", request_response(index)), ("/stream", request_response(stream)))


#: Name: distribution, interface, and the function that builds the application.
FRAMEWORKS: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "baize (ASGI)": ("baize", "asgi", _baize_asgi),
    "baize (WSGI)": ("baize", "wsgi", _baize_wsgi),
    "BlackSheep": ("blacksheep", "asgi", _blacksheep),
    "Bottle": ("bottle", "wsgi", _bottle),
    "connexion (FlaskApp)": ("connexion", "asgi", _connexion),
    "Django (ASGI)": ("Django", "asgi", lambda: _django("asgi")),
    "Django (WSGI)": ("Django", "wsgi", lambda: _django("wsgi")),
    "Falcon (ASGI)": ("falcon", "asgi", _falcon_asgi),
    "Falcon (WSGI)": ("falcon", "wsgi", _falcon_wsgi),
    "FastAPI": ("fastapi", "asgi", _fastapi),
    "Flask": ("Flask", "wsgi", _flask),
    "Litestar": ("litestar", "asgi", _litestar),
    "Pyramid": ("pyramid", "wsgi", _pyramid),
    "Quart": ("Quart", "asgi", _quart),
    "Sanic (ASGI mode)": ("sanic", "asgi", _sanic),
    "Starlette": ("starlette", "asgi", _starlette),
    "WebOb": ("WebOb", "wsgi", _webob),
    "Werkzeug": ("Werkzeug", "wsgi", _werkzeug),
}


def _made(path: str, **options: Any) -> Callable[[Any], Any]:
    """Return a function that wraps an application in a class that is named by its place."""

    def build(app: Any) -> Any:
        module, _, name = path.partition(":")
        made = getattr(__import__(module, fromlist=[name]), name)
        return made(app, **options)

    return build


#: Name: distribution, the interface that it adapts, and the adapter.
ADAPTERS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "a2wsgi ASGIMiddleware": ("a2wsgi", "asgi", _made("a2wsgi:ASGIMiddleware")),
    "a2wsgi WSGIMiddleware": ("a2wsgi", "wsgi", _made("a2wsgi:WSGIMiddleware")),
    "asgiref WsgiToAsgi": ("asgiref", "wsgi", _made("asgiref.wsgi:WsgiToAsgi")),
    "hypercorn AsyncioWSGIMiddleware": ("Hypercorn", "wsgi", _made("hypercorn.middleware:AsyncioWSGIMiddleware")),
    "starlette WSGIMiddleware": ("starlette", "wsgi", _made("starlette.middleware.wsgi:WSGIMiddleware")),
    "uvicorn WSGIMiddleware": ("uvicorn", "wsgi", _made("uvicorn.middleware.wsgi:_WSGIMiddleware")),
}

#: Name: distribution, interface, and the function that wraps an application.
MIDDLEWARE: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "asgi-correlation-id": (
        "asgi-correlation-id",
        "asgi",
        _made("asgi_correlation_id:CorrelationIdMiddleware"),
    ),
    "granian proxy headers": (
        "granian",
        "asgi",
        _made("granian.utils.proxies:wrap_asgi_with_proxy_headers", trusted_hosts="*"),
    ),
    "hypercorn ProxyFix": ("Hypercorn", "asgi", _made("hypercorn.middleware:ProxyFixMiddleware")),
    "OpenTelemetry (ASGI)": (
        "opentelemetry-instrumentation-asgi",
        "asgi",
        _made("opentelemetry.instrumentation.asgi:OpenTelemetryMiddleware"),
    ),
    "OpenTelemetry (WSGI)": (
        "opentelemetry-instrumentation-wsgi",
        "wsgi",
        _made("opentelemetry.instrumentation.wsgi:OpenTelemetryMiddleware"),
    ),
    "Sentry (ASGI)": ("sentry-sdk", "asgi", _made("sentry_sdk.integrations.asgi:SentryAsgiMiddleware")),
    "Sentry (WSGI)": ("sentry-sdk", "wsgi", _made("sentry_sdk.integrations.wsgi:SentryWsgiMiddleware")),
    "Starlette CORS": ("starlette", "asgi", _made("starlette.middleware.cors:CORSMiddleware", allow_origins=["*"])),
    "Starlette GZip": ("starlette", "asgi", _made("starlette.middleware.gzip:GZipMiddleware")),
    "Starlette sessions": (
        "starlette",
        "asgi",
        _made("starlette.middleware.sessions:SessionMiddleware", secret_key="x"),
    ),
    "Starlette trusted host": (
        "starlette",
        "asgi",
        _made("starlette.middleware.trustedhost:TrustedHostMiddleware"),
    ),
    "uvicorn proxy headers": ("uvicorn", "asgi", _made("uvicorn.middleware.proxy_headers:ProxyHeadersMiddleware")),
    "webtest lint": ("WebTest", "wsgi", _made("webtest.lint:middleware")),
    "Werkzeug debugger": ("Werkzeug", "wsgi", _made("werkzeug.debug:DebuggedApplication", pin_security=False)),
    "Werkzeug lint": ("Werkzeug", "wsgi", _made("werkzeug.middleware.lint:LintMiddleware")),
    "Werkzeug profiler": ("Werkzeug", "wsgi", _made("werkzeug.middleware.profiler:ProfilerMiddleware", stream=None)),
    "Werkzeug ProxyFix": ("Werkzeug", "wsgi", _made("werkzeug.middleware.proxy_fix:ProxyFix")),
    "WhiteNoise": ("whitenoise", "wsgi", _made("whitenoise:WhiteNoise")),
}
