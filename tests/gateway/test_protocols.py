"""detect() on the application objects of the real packages, and on every shape of callable."""

from __future__ import annotations

import functools
import wsgiref.simple_server
import wsgiref.validate
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.adapters import AsgiToRsgi, AsgiToWsgi, WsgiToAsgi
from gateway.application import Gateway
from gateway.errors import ConfigurationError
from gateway.protocols import Interface, check_interface, detect, is_factory
from tests import django_site


def wsgi_function(environ, start_response):
    start_response("200 OK", [])
    return [b""]


def wsgi_generator(environ, start_response):
    start_response("200 OK", [])
    yield b""


async def asgi_function(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def rsgi_function(scope, protocol):
    protocol.response_empty(200, [])


def asgi_plain(scope, receive, send):
    return asgi_function(scope, receive, send)


def asgi_annotated(one, two, three) -> Awaitable[None]:
    return asgi_function(one, two, three)


class Wsgi:
    def __call__(self, environ, start_response):
        return wsgi_function(environ, start_response)

    def method(self, environ, start_response):
        return wsgi_function(environ, start_response)

    @classmethod
    def of_class(cls, environ, start_response):
        return wsgi_function(environ, start_response)

    @staticmethod
    def static(environ, start_response):
        return wsgi_function(environ, start_response)


class WsgiGenerator:
    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        yield b""


class WsgiIterable:
    """The class form of PEP 3333: the constructor is called, the instance iterated over."""

    def __init__(self, environ, start_response):
        start_response("200 OK", [])

    def __iter__(self) -> Iterator[bytes]:
        yield b""


class Asgi:
    async def __call__(self, scope, receive, send):
        await asgi_function(scope, receive, send)

    async def method(self, scope, receive, send):
        await asgi_function(scope, receive, send)


class AsgiPlainCall:
    def __call__(self, scope, receive, send):
        return asgi_function(scope, receive, send)


class AsgiTwo:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})


class AsgiTwoWithOptions:
    def __init__(self, scope, *, debug=False):
        self.scope = scope

    async def __call__(self, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})


class AsgiTwoMarked:
    _asgi_double_callable = True

    def __call__(self, *args):
        raise NotImplementedError


def asgi_two_function(scope):
    async def instance(receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    return instance


class AsgiEndpoint:
    """Starlette's endpoint form: the class is called with three arguments, the instance awaited."""

    def __init__(self, scope, receive, send):
        self.arguments = (scope, receive, send)

    def __await__(self):
        return asgi_function(*self.arguments).__await__()


class MarkedSingle:
    _asgi_single_callable = True

    def __call__(self, *args):
        raise NotImplementedError


class ForeignDual:
    """Somebody else's object for both interfaces, which says what it wants to be by its own attribute ``__call__``."""

    def __init__(self):
        self.__call__ = self.serve

    def __call__(self, *args, **kwargs):
        raise NotImplementedError

    async def serve(self, scope, receive, send):
        raise NotImplementedError


class Says:
    __gateway_interface__ = "wsgi"

    def __call__(self, *args, **kwargs):
        raise NotImplementedError


class Rsgi:
    async def __rsgi__(self, scope, protocol):
        protocol.response_empty(200, [])


class RsgiWithAnythingCall(Rsgi):
    def __call__(self, *args, **kwargs):
        raise NotImplementedError


class RsgiAndAsgi(Rsgi):
    async def __call__(self, scope, receive, send):
        raise NotImplementedError


class RsgiOf:
    """An RSGI object whose own call is no application."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "call") if name == "__call__" else object.__getattribute__(self, name)

    def __call__(self) -> None:
        raise NotImplementedError

    async def __rsgi__(self, scope, protocol):
        raise NotImplementedError


def plain_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@functools.wraps(asgi_function)
def wsgi_that_wraps_asgi(environ, start_response):
    return wsgi_function(environ, start_response)


@functools.wraps(wsgi_function)
async def asgi_that_wraps_wsgi(scope, receive, send):
    await asgi_function(scope, receive, send)


def with_extra(prefix, environ, start_response):
    return wsgi_function(environ, start_response)


def with_option(environ, start_response, prefix=""):
    return wsgi_function(environ, start_response)


async def asgi_with_option(scope, receive, send, *, prefix=""):
    await asgi_function(scope, receive, send)


async def asgi_anything(*args, **kwargs):
    await asgi_function(*args, **kwargs)


def flask() -> object:
    from flask import Flask

    return Flask("table")


def flask_wrapped_by_proxy_fix() -> object:
    from werkzeug.middleware.proxy_fix import ProxyFix

    return ProxyFix(lambda environ, start_response: [])


def django_wsgi() -> object:
    django_site.configure()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def django_asgi() -> object:
    django_site.configure()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def starlette() -> object:
    from starlette.applications import Starlette

    return Starlette()


def starlette_router() -> object:
    from starlette.routing import Router

    return Router()


def starlette_middleware() -> object:
    from starlette.middleware.gzip import GZipMiddleware

    return GZipMiddleware(asgi_function)


def starlette_endpoint() -> object:
    from starlette.endpoints import HTTPEndpoint

    return HTTPEndpoint


def fastapi() -> object:
    from fastapi import FastAPI

    return FastAPI()


def litestar() -> object:
    from litestar import Litestar

    return Litestar([])


def quart() -> object:
    from quart import Quart

    return Quart("table")


def falcon_wsgi() -> object:
    import falcon

    return falcon.App()


def falcon_asgi() -> object:
    import falcon.asgi

    return falcon.asgi.App()


def bottle() -> object:
    import bottle

    return bottle.Bottle()


def pyramid() -> object:
    from pyramid.config import Configurator

    return Configurator().make_wsgi_app()


def prometheus_wsgi() -> object:
    from prometheus_client import CollectorRegistry, make_wsgi_app

    return make_wsgi_app(CollectorRegistry())


def prometheus_asgi() -> object:
    from prometheus_client import CollectorRegistry, make_asgi_app

    return make_asgi_app(CollectorRegistry())


def a2wsgi_to_asgi() -> object:
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(wsgi_function)


def a2wsgi_to_wsgi() -> object:
    from a2wsgi import ASGIMiddleware

    return ASGIMiddleware(asgi_function)


def asgiref_to_asgi() -> object:
    from asgiref.wsgi import WsgiToAsgi

    return WsgiToAsgi(wsgi_function)


def asgiref_marked() -> object:
    from asgiref.sync import markcoroutinefunction

    return markcoroutinefunction(asgi_annotated_without_annotation)


def asgi_annotated_without_annotation(one, two, three):
    return asgi_function(one, two, three)


def uvicorn_middleware() -> object:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    return ProxyHeadersMiddleware(asgi_function)


def hypercorn_dispatcher() -> object:
    from hypercorn.middleware import DispatcherMiddleware

    return DispatcherMiddleware({})


def sentry_wsgi() -> object:
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

    return SentryWsgiMiddleware(wsgi_function)


def sentry_asgi() -> object:
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

    return SentryAsgiMiddleware(asgi_function)


def opentelemetry_wsgi() -> object:
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(wsgi_function)


def opentelemetry_asgi() -> object:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(asgi_function)


def correlation_id() -> object:
    from asgi_correlation_id import CorrelationIdMiddleware

    return CorrelationIdMiddleware(asgi_function)


def whitenoise() -> object:
    from whitenoise import WhiteNoise

    return WhiteNoise(wsgi_function)


def webtest_lint() -> object:
    from webtest.lint import middleware

    return middleware(wsgi_function)


@dataclass(frozen=True)
class Case:
    id: str
    make: Callable[[], object]
    expected: Interface


CASES = [
    Case("wsgi-function", lambda: wsgi_function, "wsgi"),
    Case("wsgi-generator", lambda: wsgi_generator, "wsgi"),
    Case("wsgi-lambda", lambda: lambda e, s: [], "wsgi"),
    Case("wsgi-instance", Wsgi, "wsgi"),
    Case("wsgi-generator-instance", WsgiGenerator, "wsgi"),
    Case("wsgi-bound-method", lambda: Wsgi().method, "wsgi"),
    Case("wsgi-class-method", lambda: Wsgi.of_class, "wsgi"),
    Case("wsgi-static-method", lambda: Wsgi.static, "wsgi"),
    Case("wsgi-class-of-iterables", lambda: WsgiIterable, "wsgi"),
    Case("wsgi-partial", lambda: functools.partial(with_extra, "x"), "wsgi"),
    Case("wsgi-partial-by-keyword", lambda: functools.partial(with_option, prefix="x"), "wsgi"),
    Case("wsgi-with-an-option", lambda: with_option, "wsgi"),
    Case("wsgi-decorated", lambda: plain_decorator(wsgi_function), "wsgi"),
    Case("wsgi-decorated-twice", lambda: plain_decorator(plain_decorator(wsgi_function)), "wsgi"),
    Case("wsgi-decorated-instance", lambda: plain_decorator(Wsgi()), "wsgi"),
    Case("wsgi-that-wraps-asgi", lambda: wsgi_that_wraps_asgi, "wsgi"),
    Case("wsgi-demo-of-wsgiref", lambda: wsgiref.simple_server.demo_app, "wsgi"),
    Case("wsgi-validated", lambda: wsgiref.validate.validator(wsgi_function), "wsgi"),
    Case("wsgi-that-says-so", Says, "wsgi"),
    Case("asgi-function", lambda: asgi_function, "asgi"),
    Case("asgi-plain-function", lambda: asgi_plain, "asgi"),
    Case("asgi-annotated-function", lambda: asgi_annotated, "asgi"),
    Case("asgi-marked-function", asgiref_marked, "asgi"),
    Case("asgi-instance", Asgi, "asgi"),
    Case("asgi-instance-with-a-plain-call", AsgiPlainCall, "asgi"),
    Case("asgi-bound-method", lambda: Asgi().method, "asgi"),
    Case("asgi-partial", lambda: functools.partial(asgi_with_option, prefix="x"), "asgi"),
    Case("asgi-decorated", lambda: plain_decorator(asgi_function), "asgi"),
    Case("asgi-decorated-instance", lambda: plain_decorator(Asgi()), "asgi"),
    Case("asgi-that-wraps-wsgi", lambda: asgi_that_wraps_wsgi, "asgi"),
    Case("asgi-of-any-arguments", lambda: asgi_anything, "asgi"),
    Case("asgi-awaitable-class", lambda: AsgiEndpoint, "asgi"),
    Case("asgi-marked-single", MarkedSingle, "asgi"),
    Case("asgi-foreign-dual", ForeignDual, "asgi"),
    Case("asgi-with-rsgi", RsgiAndAsgi, "asgi"),
    Case("asgi2-class", lambda: AsgiTwo, "asgi2"),
    Case("asgi2-class-with-options", lambda: AsgiTwoWithOptions, "asgi2"),
    Case("asgi2-partial-class", lambda: functools.partial(AsgiTwoWithOptions, debug=True), "asgi2"),
    Case("asgi2-function", lambda: asgi_two_function, "asgi2"),
    Case("asgi2-marked-double", AsgiTwoMarked, "asgi2"),
    Case("rsgi-object", Rsgi, "rsgi"),
    Case("rsgi-function", lambda: rsgi_function, "rsgi"),
    Case("rsgi-with-an-unclear-call", RsgiWithAnythingCall, "rsgi"),
    Case("rsgi-with-a-call-of-no-arguments", lambda: RsgiOf(create_app), "rsgi"),
    Case("rsgi-with-a-call-of-no-arguments-async", lambda: RsgiOf(create_app_async), "rsgi"),
    Case("rsgi-with-a-call-of-one-argument", lambda: RsgiOf(one_argument), "rsgi"),
    Case("rsgi-with-a-call-that-cannot-be-read", lambda: RsgiOf(max), "rsgi"),
    Case("flask", flask, "wsgi"),
    Case("werkzeug-proxy-fix", flask_wrapped_by_proxy_fix, "wsgi"),
    Case("django-wsgi", django_wsgi, "wsgi"),
    Case("django-asgi", django_asgi, "asgi"),
    Case("starlette", starlette, "asgi"),
    Case("starlette-router", starlette_router, "asgi"),
    Case("starlette-middleware", starlette_middleware, "asgi"),
    Case("starlette-endpoint", starlette_endpoint, "asgi"),
    Case("fastapi", fastapi, "asgi"),
    Case("litestar", litestar, "asgi"),
    Case("quart", quart, "asgi"),
    Case("falcon-wsgi", falcon_wsgi, "wsgi"),
    Case("falcon-asgi", falcon_asgi, "asgi"),
    Case("bottle", bottle, "wsgi"),
    Case("pyramid", pyramid, "wsgi"),
    Case("prometheus-wsgi", prometheus_wsgi, "wsgi"),
    Case("prometheus-asgi", prometheus_asgi, "asgi"),
    Case("a2wsgi-to-asgi", a2wsgi_to_asgi, "asgi"),
    Case("a2wsgi-to-wsgi", a2wsgi_to_wsgi, "wsgi"),
    Case("asgiref-to-asgi", asgiref_to_asgi, "asgi"),
    Case("adapter-to-asgi", lambda: WsgiToAsgi(wsgi_function), "asgi"),
    Case("adapter-to-wsgi", lambda: AsgiToWsgi(asgi_function), "wsgi"),
    Case("adapter-to-rsgi", lambda: AsgiToRsgi(asgi_function), "rsgi"),
    Case("gateway-of-wsgi", lambda: Gateway(wsgi_function), "wsgi"),
    Case("gateway-of-asgi", lambda: Gateway(asgi_function), "asgi"),
    Case("gateway-of-asgi2", lambda: Gateway(AsgiTwo), "asgi2"),
    Case("gateway-view-of-wsgi", lambda: Gateway(wsgi_function).asgi, "asgi"),
    Case("gateway-view-of-asgi", lambda: Gateway(asgi_function).wsgi, "wsgi"),
    Case("uvicorn-middleware", uvicorn_middleware, "asgi"),
    Case("hypercorn-dispatcher", hypercorn_dispatcher, "asgi"),
    Case("sentry-wsgi", sentry_wsgi, "wsgi"),
    Case("sentry-asgi", sentry_asgi, "asgi"),
    Case("opentelemetry-wsgi", opentelemetry_wsgi, "wsgi"),
    Case("opentelemetry-asgi", opentelemetry_asgi, "asgi"),
    Case("correlation-id", correlation_id, "asgi"),
    Case("whitenoise", whitenoise, "wsgi"),
    Case("webtest-lint", webtest_lint, "wsgi"),
]


@pytest.mark.filterwarnings(
    "ignore:.*pkg_resources:UserWarning", "ignore:.*pkg_resources:DeprecationWarning"
)  # Pyramid
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_detect_recognises(case: Case) -> None:
    assert detect(case.make()) == case.expected


def view(request):
    raise NotImplementedError


async def async_view(request):
    raise NotImplementedError


def lambda_handler(event, context):
    raise NotImplementedError


def two_arguments_of_scope(scope, protocol):
    raise NotImplementedError


def three_arguments(a, b, c):
    raise NotImplementedError


def needs_a_keyword(environ, start_response, *, prefix):
    raise NotImplementedError


def anything(*args, **kwargs):
    raise NotImplementedError


def create_app():
    raise NotImplementedError


async def create_app_async():
    raise NotImplementedError


async def asynchronous_generator(scope, receive, send):
    yield b""


async def wsgi_written_async(environ, start_response):
    raise NotImplementedError


def one_argument(value):
    raise NotImplementedError


async def one_async_argument(value):
    raise NotImplementedError


class ScopeOnly:
    def __init__(self, scope):
        self.scope = scope


class ScopeWithPlainCall(ScopeOnly):
    def __call__(self, receive, send):
        raise NotImplementedError


async def rsgi_with_an_option(scope, protocol, option=None):
    raise NotImplementedError


def test_an_rsgi_function_may_have_an_option_too() -> None:
    assert detect(rsgi_with_an_option) == "rsgi"


@dataclass(frozen=True)
class Unclear:
    id: str
    make: Callable[[], object]
    seen: str


UNCLEAR = [
    Unclear("an-import-string", lambda: "module:app", "it is a string; import the application"),
    Unclear("nothing", lambda: None, "it is not callable"),
    Unclear("a-view", lambda: view, "a view function is not an application"),
    Unclear("an-async-view", lambda: async_view, "a view function is not an application"),
    Unclear("one-argument", lambda: one_argument, r"plain callable that takes \(value\)"),
    Unclear("one-async-argument", lambda: one_async_argument, "takes 1 argument"),
    Unclear("a-lambda-handler", lambda: lambda_handler, "a function handler"),
    Unclear("a-scope-in-a-plain-function", lambda: two_arguments_of_scope, "is a parameter of ASGI and RSGI"),
    Unclear("three-arguments", lambda: three_arguments, r"takes \(a, b, c\)"),
    Unclear("a-required-keyword", lambda: needs_a_keyword, "prefix"),
    Unclear("any-arguments", lambda: anything, r"any arguments: \(\*args, \*\*kwargs\)"),
    Unclear("a-factory", lambda: create_app, "looks like a factory"),
    Unclear("an-async-factory", lambda: create_app_async, "takes 0 arguments"),
    Unclear("an-asynchronous-generator", lambda: asynchronous_generator, "asynchronous generator"),
    Unclear("an-async-def-of-environ", lambda: wsgi_written_async, "takes an environ"),
    Unclear("an-unbound-method", lambda: Wsgi.method, "unbound method, without its object"),
    Unclear("an-unbound-call", lambda: AsgiTwo.__call__, "unbound method, without its object"),
    Unclear("an-asgi2-instance", lambda: AsgiTwo({}), "instance of an ASGI 2 application; give the class"),
    Unclear("a-class-of-instances", lambda: Wsgi, r"give an instance: Wsgi\(\.\.\.\)"),
    Unclear("a-class-that-cannot-be-read", lambda: dict, r"dict\(\.\.\.\)"),
    Unclear("a-class-of-scopes", lambda: ScopeOnly, r"ScopeOnly\(scope\)"),
    Unclear("a-class-with-a-plain-call", lambda: ScopeWithPlainCall, r"ScopeWithPlainCall\(scope\)"),
    Unclear("a-built-in", lambda: max, "its arguments cannot be inspected"),
    Unclear("what-says-nonsense", lambda: type("X", (), {"__gateway_interface__": "cgi"})(), "got 'cgi'"),
]


@pytest.mark.parametrize("case", UNCLEAR, ids=lambda case: case.id)
def test_detect_says_what_it_saw_where_it_cannot_know(case: Unclear) -> None:
    with pytest.raises(ConfigurationError, match=case.seen):
        detect(case.make())


@pytest.mark.parametrize("app", [anything, max, three_arguments], ids=["anything", "built-in", "three-arguments"])
def test_an_ambiguous_application_names_the_parameter_that_settles_it(app: object) -> None:
    with pytest.raises(ConfigurationError, match='interface="wsgi"'):
        detect(app)


@pytest.mark.parametrize("interface", ["wsgi", "asgi", "asgi2", "rsgi"])
def test_the_interface_given_is_the_answer(interface: Interface) -> None:
    assert detect(anything, interface) == interface
    assert check_interface(interface) == interface


def test_an_unknown_interface_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'wsgi', 'asgi', 'asgi2' or 'rsgi' .served by granian only., got 'cgi'"
    ):
        detect(wsgi_function, "cgi")


def test_detect_calls_nothing() -> None:
    def app(*args: object) -> None:
        raise AssertionError("called")

    with pytest.raises(ConfigurationError):
        detect(app)


def test_a_function_that_wraps_a_dual_object_is_judged_by_itself() -> None:
    dual = ForeignDual()

    @functools.wraps(dual)
    def wrapper(environ, start_response):
        raise NotImplementedError

    assert "__call__" in vars(wrapper)  # what functools.wraps copied, and what a detector of attributes would see
    assert detect(wrapper) == "wsgi"


def with_settings(settings=None, **options):
    raise NotImplementedError


def all_defaults(environ=None, start_response=None):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (create_app, True),
        (with_settings, True),
        (functools.partial(view, "request"), True),
        (Wsgi().method, False),
        (all_defaults, False),
        (wsgi_function, False),
        (create_app_async, False),
        (anything, False),
        (Wsgi, False),
        (Wsgi(), False),
        (None, False),
        (max, False),
    ],
    ids=repr,
)
def test_a_factory_is_a_function_that_needs_no_argument(call: object, expected: bool) -> None:
    assert is_factory(call) is expected
