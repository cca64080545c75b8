"""A program that reports how `detect()` and `Gateway` treat each application under one instrumentation.

``python -m tests.gateway.instrumented NAME`` applies one instrumentation to this process, makes each application, and
prints one JSON object: for each application the interface that `detect()` returned and the body that a Gateway
answered under each interface, or the error. An instrumentation patches whole libraries, so each has its own process.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

#: Body of every application's response.
BODY = "hello from inside"


# --- the applications


def wsgi_function(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [BODY.encode()]


async def asgi_function(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": BODY.encode()})


class Wsgi:
    def __call__(self, environ, start_response):
        return wsgi_function(environ, start_response)

    def method(self, environ, start_response):
        return wsgi_function(environ, start_response)


class Asgi:
    async def __call__(self, scope, receive, send):
        await asgi_function(scope, receive, send)

    async def method(self, scope, receive, send):
        await asgi_function(scope, receive, send)


def flask() -> Any:
    from flask import Flask

    app = Flask("shop")
    app.add_url_rule("/", view_func=lambda: BODY)
    return app


def django(kind: str) -> Any:
    from django.core import asgi, wsgi
    from django.http import HttpResponse
    from django.urls import path

    from tests import django_site

    django_site.configure()
    django_site.urlpatterns[:] = [path("", lambda request: HttpResponse(BODY))]
    return wsgi.get_wsgi_application() if kind == "wsgi" else asgi.get_asgi_application()


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    return Starlette(routes=[Route("/", lambda request: PlainTextResponse(BODY))])


def fastapi() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()
    app.get("/", response_class=PlainTextResponse)(lambda: BODY)
    return app


def litestar() -> Any:
    from litestar import Litestar, get

    @get("/", media_type="text/plain", sync_to_thread=False)
    def hello() -> str:
        return BODY

    return Litestar([hello])


def quart() -> Any:
    from quart import Quart

    async def hello() -> str:
        return BODY

    app = Quart("shop")
    app.add_url_rule("/", view_func=hello)
    return app


def falcon_wsgi() -> Any:
    import falcon

    class Hello:
        def on_get(self, request: Any, response: Any) -> None:
            response.text = BODY

    app = falcon.App()
    app.add_route("/", Hello())
    return app


def falcon_asgi() -> Any:
    import falcon.asgi

    class Hello:
        async def on_get(self, request: Any, response: Any) -> None:
            response.text = BODY

    app = falcon.asgi.App()
    app.add_route("/", Hello())
    return app


def bottle() -> Any:
    from bottle import Bottle

    app = Bottle()
    app.route("/")(lambda: BODY)
    return app


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    site = Configurator()
    site.add_route("home", "/")
    site.add_view(lambda request: Response(BODY), route_name="home")
    return site.make_wsgi_app()


def werkzeug() -> Any:
    from werkzeug import Request, Response

    @Request.application
    def app(request: Request) -> Response:
        return Response(BODY)

    return app


def webob() -> Any:
    from webob.dec import wsgify

    @wsgify
    def app(request: Any) -> str:
        return BODY

    return app


def gateway(inside: Any) -> Any:
    from gateway import Gateway

    return Gateway(inside)


def mount(inside: Any) -> Any:
    from gateway import Mount

    return Mount({"/": inside})


def adapter(name: str, inside: Any) -> Any:
    import gateway.adapters

    return getattr(gateway.adapters, name)(inside)


def validated(inside: Any) -> Any:
    from gateway.rules import Validator

    return Validator(inside, mode="collect")


APPLICATIONS: dict[str, tuple[str, Callable[[], Any]]] = {
    "wsgi-function": ("wsgi", lambda: wsgi_function),
    "wsgi-instance": ("wsgi", Wsgi),
    "wsgi-method": ("wsgi", lambda: Wsgi().method),
    "wsgi-partial": ("wsgi", lambda: functools.partial(wsgi_function)),
    "asgi-function": ("asgi", lambda: asgi_function),
    "asgi-instance": ("asgi", Asgi),
    "asgi-method": ("asgi", lambda: Asgi().method),
    "asgi-partial": ("asgi", lambda: functools.partial(asgi_function)),
    "flask": ("wsgi", flask),
    "django-wsgi": ("wsgi", lambda: django("wsgi")),
    "django-asgi": ("asgi", lambda: django("asgi")),
    "starlette": ("asgi", starlette),
    "fastapi": ("asgi", fastapi),
    "litestar": ("asgi", litestar),
    "quart": ("asgi", quart),
    "falcon-wsgi": ("wsgi", falcon_wsgi),
    "falcon-asgi": ("asgi", falcon_asgi),
    "bottle": ("wsgi", bottle),
    "pyramid": ("wsgi", pyramid),
    "werkzeug": ("wsgi", werkzeug),
    "webob": ("wsgi", webob),
    "gateway-of-flask": ("wsgi", lambda: gateway(flask())),
    "gateway-of-fastapi": ("asgi", lambda: gateway(fastapi())),
    "mount-of-django-wsgi": ("wsgi", lambda: mount(django("wsgi"))),
    "mount-of-starlette": ("asgi", lambda: mount(starlette())),
    "adapter-of-django-wsgi": ("asgi", lambda: adapter("WsgiToAsgi", django("wsgi"))),
    "adapter-of-starlette": ("wsgi", lambda: adapter("AsgiToWsgi", starlette())),
    "validator-of-bottle": ("wsgi", lambda: validated(bottle())),
    "validator-of-quart": ("asgi", lambda: validated(quart())),
}


# --- the instrumentations: each patches this process, and returns the wrappers that it offers for each interface

Wrappers = dict[str, Callable[[Any], Any]]


def plain() -> Wrappers:
    return {}


def sentry() -> Wrappers:
    import sentry_sdk
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

    sentry_sdk.init(traces_sample_rate=1.0)
    return {"wsgi": SentryWsgiMiddleware, "asgi": SentryAsgiMiddleware}


def opentelemetry() -> Wrappers:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as Asgi
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.starlette import StarletteInstrumentor
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as Wsgi

    from tests import django_site

    django_site.configure()
    for kind in (DjangoInstrumentor, FastAPIInstrumentor, FlaskInstrumentor, StarletteInstrumentor):
        kind().instrument()
    return {"wsgi": Wsgi, "asgi": Asgi}


def opentelemetry_of_each() -> Wrappers:
    """``instrument_app`` of the application's own instrumentor, where it has one."""
    from fastapi import FastAPI
    from flask import Flask
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.starlette import StarletteInstrumentor
    from starlette.applications import Starlette

    kinds: dict[type, Any] = {
        Flask: FlaskInstrumentor(),
        FastAPI: FastAPIInstrumentor,
        Starlette: StarletteInstrumentor,
    }

    def instrument(app: Any) -> Any:
        if type(app) in kinds:
            kinds[type(app)].instrument_app(app)
        return app

    return {"wsgi": instrument, "asgi": instrument}


def newrelic() -> Wrappers:
    os.environ |= {"NEW_RELIC_DEVELOPER_MODE": "true", "NEW_RELIC_LOG": "stderr", "NEW_RELIC_LOG_LEVEL": "critical"}
    import newrelic.agent

    newrelic.agent.initialize()
    newrelic.agent.register_application(timeout=10.0)
    return {"wsgi": newrelic.agent.WSGIApplicationWrapper, "asgi": newrelic.agent.ASGIApplicationWrapper}


def wrapt_proxies() -> Wrappers:
    """As ddtrace does: ``__call__`` of each class, and each object, in a proxy that passes all arguments on."""
    import wrapt

    patched: set[type] = set()

    def pass_on(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    def instrument(app: Any) -> Any:
        kind = type(app)
        if kind.__module__ not in ("builtins", "functools") and kind not in patched:
            patched.add(kind)
            wrapt.wrap_function_wrapper(kind, "__call__", pass_on)
        return wrapt.FunctionWrapper(app, pass_on)

    return {"wsgi": instrument, "asgi": instrument}


INSTRUMENTATIONS: dict[str, Callable[[], Wrappers]] = {
    "plain": plain,
    "sentry": sentry,
    "opentelemetry": opentelemetry,
    "opentelemetry-of-each": opentelemetry_of_each,
    "newrelic": newrelic,
    "wrapt": wrapt_proxies,
}
#: What an instrumentation's own wrapper cannot wrap: Sentry's takes a bound method or a partial for ASGI 2.
NOT_WRAPPED = {("sentry", "asgi-method"), ("sentry", "asgi-partial")}


def seen(make: Callable[[], Any]) -> dict[str, str]:
    from gateway import Gateway, detect
    from gateway.testing import Client

    try:
        app = make()
        found = {"detected": detect(app)}
        for interface in ("wsgi", "asgi"):
            # Of interest is who is called; whether an instrumentation keeps every rule is another question.
            with Client(Gateway(app), interface=interface, validate="off") as client:
                found[interface] = client.get("/").text
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return found


def main(name: str) -> None:
    wrappers = INSTRUMENTATIONS[name]()
    report = {}
    for application, (interface, make) in APPLICATIONS.items():
        report[application] = seen(make)
        if interface in wrappers and (name, application) not in NOT_WRAPPED:
            report[f"{application}, wrapped"] = seen(lambda wrap=wrappers[interface], make=make: wrap(make()))
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    os._exit(0)  # agents leave threads behind


if __name__ == "__main__":
    main(sys.argv[1])
