"""`detect()` and `Gateway` with every kind of wrapper around every kind of application.

A wrapper takes any arguments, so it speaks the interface of the application that it passes them on to.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import wrapt

from gateway.adapters import AsgiToWsgi, WsgiToAsgi
from gateway.application import Gateway, as_asgi, as_wsgi, wrap
from gateway.errors import ConfigurationError
from gateway.mount import Mount
from gateway.protocols import detect, is_factory
from gateway.testing import Client
from tests.gateway.instrumented import BODY, Asgi, Wsgi, asgi_function, wsgi_function


def wsgi_generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield BODY.encode()


class WsgiIterable:
    def __init__(self, environ, start_response):
        self.body = wsgi_function(environ, start_response)

    def __iter__(self):
        return iter(self.body)


def asgi_returning(scope, receive, send) -> Awaitable[None]:
    return asgi_function(scope, receive, send)


class AsgiTwo:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await asgi_function(self.scope, receive, send)


class AsgiEndpoint:
    def __init__(self, scope, receive, send):
        self.arguments = (scope, receive, send)

    def __await__(self):
        return asgi_function(*self.arguments).__await__()


APPLICATIONS: dict[str, tuple[str, Callable[[], Any]]] = {
    "wsgi-function": ("wsgi", lambda: wsgi_function),
    "wsgi-generator": ("wsgi", lambda: wsgi_generator),
    "wsgi-instance": ("wsgi", Wsgi),
    "wsgi-method": ("wsgi", lambda: Wsgi().method),
    "wsgi-call": ("wsgi", lambda: Wsgi().__call__),
    "wsgi-class": ("wsgi", lambda: WsgiIterable),
    "wsgi-partial": ("wsgi", lambda: functools.partial(wsgi_function)),
    "asgi-function": ("asgi", lambda: asgi_function),
    "asgi-returning": ("asgi", lambda: asgi_returning),
    "asgi-instance": ("asgi", Asgi),
    "asgi-method": ("asgi", lambda: Asgi().method),
    "asgi-call": ("asgi", lambda: Asgi().__call__),
    "asgi-class": ("asgi", lambda: AsgiEndpoint),
    "asgi-partial": ("asgi", lambda: functools.partial(asgi_function)),
    "asgi2-class": ("asgi2", lambda: AsgiTwo),
    "gateway-of-wsgi": ("wsgi", lambda: Gateway(wsgi_function)),
    "gateway-of-asgi": ("asgi", lambda: Gateway(asgi_function)),
    "mount": ("asgi", lambda: Mount({"/": asgi_function})),
    "adapter-to-asgi": ("asgi", lambda: WsgiToAsgi(wsgi_function)),
    "adapter-to-wsgi": ("wsgi", lambda: AsgiToWsgi(asgi_function)),
}


def function(app: Any) -> Any:
    @functools.wraps(app)
    def wrapper(*args, **kwargs):
        return app(*args, **kwargs)

    return wrapper


class Decorator:
    """A decorator that is a class, as the documentation of `functools.update_wrapper` has it."""

    def __init__(self, app: Any) -> None:
        functools.update_wrapper(self, app, updated=())
        self.app = app

    def __call__(self, *args, **kwargs):
        return self.app(*args, **kwargs)


class MethodDecorator(Decorator):
    """One that decorates methods too."""

    def __get__(self, owner, kind):
        return types.MethodType(self, owner)


@wrapt.decorator
def with_wrapt(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)


def with_an_argument(app: Any) -> Any:
    @functools.wraps(app)
    def wrapper(prefix, *args, **kwargs):
        assert prefix == "x"
        return app(*args, **kwargs)

    return functools.partial(function(wrapper), "x")


DECORATORS: dict[str, Callable[[Any], Any]] = {
    "functools": function,
    "functools-twice": lambda app: function(function(app)),
    "class": Decorator,
    "class-with-get": MethodDecorator,
    "wrapt-decorator": with_wrapt,
    "wrapt-twice": lambda app: with_wrapt(with_wrapt(app)),
    "wrapt-proxy": wrapt.CallableObjectProxy,
    "wrapt-around-functools": lambda app: with_wrapt(function(app)),
    "functools-around-wrapt": lambda app: function(with_wrapt(app)),
    "partial": lambda app: functools.partial(function(app)),
    "partial-of-partial": lambda app: functools.partial(functools.partial(with_wrapt(app))),
}


def answers(app: Any) -> set[str]:
    found = set()
    for interface in ("wsgi", "asgi"):
        with Client(Gateway(app), interface=interface) as client:
            found.add(client.get("/").text)
    return found


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_wrapped_application_is_recognised_and_answers(decorator: str, application: str) -> None:
    interface, make = APPLICATIONS[application]
    app = DECORATORS[decorator](make())
    assert detect(app) == interface
    assert answers(app) == {BODY}


# --- methods


def patched(kind: type, decorate: Callable[[Any], Any]) -> Any:
    """An instance of a class whose ``__call__`` was replaced by a wrapper, as Sentry does."""
    copy: Any = type(kind.__name__, (), {name: value for name, value in vars(kind).items() if name == "__call__"})
    copy.__call__ = decorate(copy.__call__)
    return copy()


def subclass(kind: Any) -> Any:
    class Traced(kind):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, **kwargs)

    return Traced()


def class_that_wraps(kind: Any) -> Any:
    @functools.wraps(kind, updated=())
    class Traced:
        def __init__(self) -> None:
            self.inside = kind()

        def __call__(self, *args, **kwargs):
            return self.inside(*args, **kwargs)

    return Traced()


def method_that_wraps_an_application(kind: Any) -> Any:
    app = kind()

    class Traced:
        @functools.wraps(app)
        def __call__(self, *args, **kwargs):
            return app(*args, **kwargs)

    return Traced()


def method_that_wraps_a_function(kind: Any) -> Any:
    app = {Wsgi: wsgi_function, Asgi: asgi_function}[kind]

    class Traced:
        @functools.wraps(app)
        def __call__(self, *args, **kwargs):
            return app(*args, **kwargs)

    return Traced()


def method_that_wraps_a_gateway(kind: Any) -> Any:
    app = Gateway(kind())

    class Traced:
        @functools.wraps(app)
        def __call__(self, *args, **kwargs):
            return app(*args, **kwargs)

    return Traced()


def class_method(kind: Any) -> Any:
    class Traced(kind):
        __call__ = function(classmethod(vars(kind)["__call__"]))

    # A class method that a plain wrapper hides is not callable, so the wrapper binds it.
    Traced.__call__ = functools.wraps(vars(Traced)["__call__"])(lambda self, *args: super(Traced, self).__call__(*args))
    return Traced()


METHODS: dict[str, Callable[[Any], Any]] = {
    "patched-by-functools": lambda kind: patched(kind, function),
    "patched-twice": lambda kind: patched(kind, lambda call: function(function(call))),
    "patched-by-wrapt": lambda kind: patched(kind, with_wrapt),
    "patched-by-functools-then-wrapt": lambda kind: patched(kind, lambda call: with_wrapt(function(call))),
    "subclass": subclass,
    "class-that-wraps": class_that_wraps,
    "method-that-wraps-an-application": method_that_wraps_an_application,
    "method-that-wraps-a-function": method_that_wraps_a_function,
    "method-that-wraps-a-gateway": method_that_wraps_a_gateway,
    "class-method": class_method,
    "bound": lambda kind: patched(kind, function).__call__,
    "partial": lambda kind: functools.partial(patched(kind, function)),
    "partial-of-bound": lambda kind: functools.partial(patched(kind, function).__call__),
    "proxy": lambda kind: with_wrapt(patched(kind, function)),
}


@pytest.mark.parametrize("kind", [Wsgi, Asgi])
@pytest.mark.parametrize("method", METHODS)
def test_an_object_whose_call_is_wrapped_is_recognised_and_answers(method: str, kind: type) -> None:
    app = METHODS[method](kind)
    assert detect(app) == kind.__name__.lower()
    assert answers(app) == {BODY}


def test_a_class_that_wraps_a_class_of_iterables_is_recognised() -> None:
    @functools.wraps(WsgiIterable, updated=())
    class Traced(WsgiIterable):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    assert detect(Traced) == "wsgi"
    assert answers(Traced) == {BODY}


def test_an_async_wrapper_that_takes_any_arguments_is_asgi() -> None:
    @functools.wraps(asgi_function)
    async def wrapper(*args, **kwargs):
        await asgi_function(*args, **kwargs)

    assert detect(wrapper) == "asgi"
    assert answers(wrapper) == {BODY}


# --- a wrapper that names its arguments is judged by them


def says_asgi(*args):
    raise NotImplementedError


says_asgi.__gateway_interface__ = "asgi"


def test_attributes_that_functools_copied_do_not_count() -> None:
    @functools.wraps(says_asgi)
    def wrapper(environ, start_response):
        return wsgi_function(environ, start_response)

    assert detect(says_asgi) == "asgi"
    assert vars(wrapper)["__gateway_interface__"] == "asgi"
    assert detect(wrapper) == "wsgi"
    assert detect(function(says_asgi)) == "asgi"


def test_a_wrapper_may_speak_another_interface_than_the_application_inside() -> None:
    @functools.wraps(wsgi_function)
    async def wrapper(scope, receive, send):
        await asgi_function(scope, receive, send)

    assert detect(wrapper) == "asgi"


# --- what is refused


@dataclass(frozen=True)
class Unclear:
    id: str
    make: Callable[[], Any]
    seen: str


def view(request):
    raise NotImplementedError


UNCLEAR = [
    Unclear("view", lambda: function(view), "a view function is not an application"),
    Unclear("class", lambda: function(Wsgi), r"give an instance: Wsgi\(\.\.\.\)"),
    Unclear("factory", lambda: function(lambda: wsgi_function), "looks like a factory"),
    Unclear("unbound", lambda: function(Wsgi.method), "unbound method, without its object"),
    Unclear(
        "proxy-of-no-application", lambda: wrapt.CallableObjectProxy(view), "a view function is not an application"
    ),
    Unclear("proxy-that-cannot-be-called", lambda: wrapt.ObjectProxy(wsgi_function), "it is not callable"),
]


@pytest.mark.parametrize("case", UNCLEAR, ids=lambda case: case.id)
def test_a_wrapper_is_refused_for_the_reason_of_the_object_inside(case: Unclear) -> None:
    with pytest.raises(ConfigurationError, match=case.seen):
        detect(case.make())


def test_wrappers_in_a_circle_are_refused() -> None:
    def one(*args):
        raise NotImplementedError

    def two(*args):
        raise NotImplementedError

    one.__wrapped__, two.__wrapped__ = two, one
    with pytest.raises(ConfigurationError, match="it takes any arguments"):
        detect(one)


def test_wrappers_without_an_end_are_refused() -> None:
    class Endless:
        def __getattr__(self, name):
            if name == "__wrapped__":
                return Endless()
            raise AttributeError(name)

        def __call__(self, *args):
            raise NotImplementedError

    with pytest.raises(ConfigurationError, match="it takes any arguments"):
        detect(Endless())


def test_a_wrapped_factory_is_a_factory() -> None:
    def create(name="shop"):
        return wsgi_function

    for made in (create, function(create), functools.partial(function(create), "x")):
        assert is_factory(made)
        assert isinstance(wrap(made)(), Gateway)
    assert not is_factory(function(wsgi_function))
    assert not is_factory(function(Wsgi))


# --- a proxy of a Gateway is not a Gateway


@pytest.mark.parametrize("inside", [wsgi_function, asgi_function], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    "outside",
    [
        Gateway,
        lambda proxy: Mount({"/": proxy}),
        lambda proxy: Gateway(Mount({"/": proxy})),
        lambda proxy: Gateway(as_wsgi(proxy)),
        lambda proxy: Gateway(as_asgi(proxy)),
    ],
    ids=["gateway", "mount", "gateway-of-mount", "as-wsgi", "as-asgi"],
)
def test_a_proxy_around_a_gateway_sees_every_request(outside: Any, interface: str, inside: Any) -> None:
    paths: list[str] = []

    @wrapt.decorator
    def trace(wrapped, instance, args, kwargs):
        if args[0].get("type", "http") == "http":
            paths.append(args[0].get("PATH_INFO") or args[0]["path"])
        return wrapped(*args, **kwargs)

    with Client(outside(trace(Gateway(inside))), interface=interface) as client:
        assert client.get("/x").text == BODY
    assert paths == ["/x"]
