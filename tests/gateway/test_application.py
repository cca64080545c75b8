"""Gateway, wrap, as_wsgi, as_asgi: what is handed through, what is crossed, what is kept."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import multiprocessing
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from webtest import TestApp

import gateway
from gateway.adapters import AsgiToRsgi, AsgiToWsgi, WsgiToAsgi
from gateway.adapters.crossing import cross
from gateway.application import Gateway, as_asgi, as_wsgi, wrap
from gateway.contract import Flow, Middleware, as_middleware
from gateway.dual import Dual
from gateway.errors import ConfigurationError
from gateway.exchange import Request, Response
from gateway.mount import Mount as Site
from gateway.testing import Client


def hello_wsgi(environ, start_response):
    """Say hello, as WSGI."""
    body = f"hello {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def hello_asgi(scope, receive, send):
    """Say hello, as ASGI."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"hello {scope['path']}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class HelloAsgiTwo:
    """Say hello, as ASGI 2."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await hello_asgi(self.scope, receive, send)


class Greeter:
    def greet(self, environ, start_response):
        """Greet."""
        return hello_wsgi(environ, start_response)


APPLICATIONS = [
    pytest.param(hello_wsgi, "wsgi", id="wsgi"),
    pytest.param(hello_asgi, "asgi", id="asgi"),
    pytest.param(HelloAsgiTwo, "asgi2", id="asgi2"),
    pytest.param(Greeter().greet, "wsgi", id="method"),
]


def answer_as_wsgi(app: Any) -> tuple[int, str]:
    response = TestApp(app, lint=True).get("/x")
    return response.status_int, response.text


def answer_as_asgi(app: Any) -> tuple[int, str]:
    with Client(app, interface="asgi") as client:
        response = client.get("/x")
    return response.status_code, response.text


@pytest.mark.parametrize(("app", "interface"), APPLICATIONS)
def test_one_object_answers_callers_of_both_interfaces(app: Any, interface: str) -> None:
    one = Gateway(app)
    assert one.interface == interface
    expected = (200, "hello /x")
    assert answer_as_wsgi(one) == answer_as_wsgi(one.wsgi) == answer_as_wsgi(as_wsgi(app)) == expected
    assert answer_as_asgi(one) == answer_as_asgi(one.asgi) == answer_as_asgi(as_asgi(app)) == expected


def test_what_speaks_the_interface_asked_for_is_handed_through_untouched() -> None:
    flask, starlette = Flask("table"), Starlette()
    assert as_wsgi(flask) is flask
    assert as_wsgi(hello_wsgi) is hello_wsgi
    assert as_asgi(starlette) is starlette
    assert Gateway(flask).wsgi is flask
    assert Gateway(starlette).asgi is starlette
    assert Gateway(flask).app is flask


def test_an_adapter_that_undoes_another_is_folded_away() -> None:
    assert as_wsgi(WsgiToAsgi(hello_wsgi)) is hello_wsgi
    assert as_asgi(AsgiToWsgi(hello_asgi)) is hello_asgi
    assert as_wsgi(as_asgi(hello_wsgi)) is hello_wsgi
    assert as_asgi(as_wsgi(hello_asgi)) is hello_asgi
    assert Gateway(WsgiToAsgi(hello_wsgi)).wsgi is hello_wsgi
    assert Gateway(AsgiToWsgi(hello_asgi)).asgi is hello_asgi


def test_an_adapter_that_does_more_than_one_of_ours_is_kept() -> None:
    class Counting(WsgiToAsgi):
        pass

    counting = Counting(hello_wsgi)
    assert isinstance(as_wsgi(counting), AsgiToWsgi)
    assert Gateway(counting).asgi is counting
    assert isinstance(Gateway(counting).wsgi, AsgiToWsgi)


def test_an_adapter_says_in_an_attribute_what_it_adapts() -> None:
    class Ours(WsgiToAsgi):
        __gateway_inside__ = "wsgi"

    assert as_wsgi(Ours(hello_wsgi)) is hello_wsgi
    assert Gateway(Ours(hello_wsgi)).wsgi is hello_wsgi
    assert repr(Ours(hello_wsgi)).startswith("Ours(")


def test_an_application_gets_one_adapter() -> None:
    crossed = as_asgi(hello_wsgi)
    assert isinstance(crossed, WsgiToAsgi)
    assert crossed.app is hello_wsgi
    back = as_wsgi(hello_asgi)
    assert isinstance(back, AsgiToWsgi)
    assert back.app is hello_asgi


def test_a_gateway_of_a_gateway_is_the_same_application() -> None:
    inner = Gateway(hello_wsgi)
    outer = Gateway(inner)
    assert outer.interface == "wsgi"
    assert outer.wsgi is hello_wsgi
    assert outer.app is inner
    assert as_wsgi(inner) is hello_wsgi
    assert as_asgi(inner) is inner.asgi
    assert repr(outer).startswith("Gateway(Gateway(<function hello_wsgi")


@dataclass(frozen=True, kw_only=True)
class TrustNobody(Middleware):
    def on_request(self, request: Request) -> Response:
        return Response(403)


def test_a_chain_stands_around_the_application_in_either_interface() -> None:
    one = Gateway(hello_wsgi, middleware=[TrustNobody()])
    assert one.wsgi is not hello_wsgi
    for interface in ("wsgi", "asgi"):
        with Client(one, interface=interface) as client:
            assert client.get("/x").status_code == 403
    assert "TrustNobody" in str(one.explain())


def test_the_chains_of_nested_gateways_are_one_outermost_first() -> None:
    @as_middleware
    def tag(request: Request, *, name: str) -> Flow:
        response = yield
        response.headers.append("x-tag", name)

    inner = Gateway(hello_wsgi, middleware=[tag(name="inner")])
    with Client(Gateway(inner, middleware=[tag(name="outer")]), interface="wsgi") as client:
        assert client.get("/x").headers.get_list("x-tag") == ["inner", "outer"]


def test_an_object_of_both_interfaces_is_asked_for_the_one_that_is_needed() -> None:
    site = Site({"/w": hello_wsgi, "/a": hello_asgi})
    one = Gateway(site)
    assert one.wsgi is site.wsgi
    assert one.asgi is site.asgi


def test_the_rsgi_object_is_made_once_around_the_asgi_view() -> None:
    one = Gateway(hello_asgi)
    adapter = one.__rsgi__.__self__  # type: ignore[attr-defined]
    assert isinstance(adapter, AsgiToRsgi)
    assert adapter.app is hello_asgi
    assert one.__rsgi_del__.__self__ is adapter  # type: ignore[attr-defined]


def test_repr_tells_what_is_inside() -> None:
    flask = Flask("shop")
    assert repr(Gateway(flask)) == "Gateway(<Flask 'shop'>, interface='wsgi')"
    assert repr(Gateway(flask, middleware=[TrustNobody()])).endswith("interface='wsgi', middleware=[TrustNobody()])")
    assert repr(Gateway(flask, engine="a2wsgi")) == "Gateway(<Flask 'shop'>, interface='wsgi', engine='a2wsgi')"


class Anything:
    def __call__(self, *args: Any) -> Any:
        return hello_wsgi(*args)


def test_an_unclear_application_is_refused_when_built_and_taken_when_told() -> None:
    with pytest.raises(ConfigurationError, match='interface="wsgi"'):
        Gateway(Anything())
    assert answer_as_asgi(Gateway(Anything(), "wsgi")) == (200, "hello /x")
    assert answer_as_asgi(as_asgi(Anything(), "wsgi")) == (200, "hello /x")
    assert answer_as_wsgi(as_wsgi(Anything(), interface="wsgi")) == (200, "hello /x")


async def rsgi(scope, protocol):
    raise AssertionError("not called")


@pytest.mark.parametrize("build", [Gateway, as_wsgi, as_asgi, wrap])
def test_an_rsgi_application_is_refused_with_who_can_serve_it(build: Any) -> None:
    with pytest.raises(ConfigurationError, match="only granian"):
        build(rsgi)


def _flow(request: Any) -> Any:
    yield


def test_a_wrong_option_is_refused_when_built() -> None:
    with pytest.raises(ConfigurationError, match="'builtin', 'a2wsgi', 'asgiref', got 'magic'"):
        Gateway(hello_wsgi, engine="magic")
    for wrong in (-1, "2", 1.5, True, None):
        with pytest.raises(ConfigurationError, match=f"must be a whole number, 0 or more, got {wrong!r}"):
            Gateway(hello_wsgi, max_adapters=wrong)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ConfigurationError, match="no adapter from 'wsgi' to 'rsgi'"):
        cross(hello_wsgi, "wsgi", "rsgi")
    with pytest.raises(ConfigurationError, match="got 'magic'"):
        cross(hello_wsgi, "wsgi", "asgi", engine="magic")


@pytest.mark.parametrize("build", [Gateway, wrap], ids=["Gateway", "wrap"])
@pytest.mark.parametrize(
    "given", ["request_id", b"x", None, as_middleware(_flow)()], ids=["text", "bytes", "none", "one"]
)
def test_a_chain_is_a_list_and_not_one_middleware(build: Any, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"middleware= must be a list .* got .*; write middleware=\[\.\.\.\]"):
        build(hello_wsgi, middleware=given)


@pytest.mark.parametrize("given", [[as_middleware(_flow)()], as_middleware(_flow)(), []], ids=["list", "one", "empty"])
def test_middleware_in_the_place_of_the_interface_is_refused_with_the_right_call(given: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"is interface=, such as 'wsgi'; got .*keyword: middleware=\[\.\.\.\]"
    ):
        Gateway(hello_wsgi, given)


@pytest.mark.parametrize("engine", ["a2wsgi", "asgiref"])
def test_another_engine_crosses_from_wsgi_to_asgi(engine: str) -> None:
    crossed = cross(hello_wsgi, "wsgi", "asgi", engine=engine)
    assert type(crossed).__module__.split(".")[0] == engine
    assert answer_as_asgi(crossed) == (200, "hello /x")


def test_another_engine_crosses_from_asgi_to_wsgi() -> None:
    one = Gateway(hello_asgi, engine="a2wsgi")
    assert type(one.wsgi).__module__.split(".")[0] == "a2wsgi"
    assert answer_as_wsgi(one) == (200, "hello /x")
    assert repr(one).endswith("engine='a2wsgi')")


def test_an_engine_that_lacks_the_adapter_says_so_when_built() -> None:
    with pytest.raises(ConfigurationError, match="can run WSGI applications under ASGI servers only"):
        Gateway(hello_asgi, engine="asgiref")


def test_a_missing_engine_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a2wsgi", None)
    for app in (hello_wsgi, hello_asgi):
        with pytest.raises(ConfigurationError, match=r'pip install "anytier\[engines\]"'):
            Gateway(app, engine="a2wsgi")


def test_an_engine_that_lacks_a_package_of_its_own_is_not_taken_for_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a2wsgi.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "a2wsgi", raising=False)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        cross(hello_wsgi, "wsgi", "asgi", engine="a2wsgi")


def test_a_gateway_stands_in_a_mount_of_starlette() -> None:
    site = Starlette(
        routes=[
            Route("/own", lambda request: PlainTextResponse("own")),
            Mount("/flask", Gateway(hello_wsgi)),
        ]
    )
    with Client(site) as client:
        assert client.get("/own").text == "own"
        assert client.get("/flask/x").text == "hello /x"


# --- wrap ------------------------------------------------------------------------------------------------------------


@wrap
def plain(environ, start_response):
    """Say hello plainly."""
    return hello_wsgi(environ, start_response)


@wrap(interface="wsgi")
def told(*args):
    """Say hello as told."""
    return hello_wsgi(*args)


@wrap()
def generator(environ, start_response):
    """Say hello in parts."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hello "
    yield environ["PATH_INFO"].encode()


@wrap
async def asynchronous(scope, receive, send):
    """Say hello asynchronously."""
    await hello_asgi(scope, receive, send)


@wrap(middleware=[])
class Double:
    """Say hello twice called."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await hello_asgi(self.scope, receive, send)


class Nested:
    @staticmethod
    def make() -> Any:
        return hello_wsgi

    inside = wrap(hello_asgi)


DECORATED = [
    pytest.param(plain, "plain", "Say hello plainly.", id="wsgi"),
    pytest.param(told, "told", "Say hello as told.", id="told"),
    pytest.param(generator, "generator", "Say hello in parts.", id="generator"),
    pytest.param(asynchronous, "asynchronous", "Say hello asynchronously.", id="asgi"),
    pytest.param(Double, "Double", "Say hello twice called.", id="asgi2"),
    pytest.param(wrap(Greeter().greet), "greet", "Greet.", id="bound-method"),
]


@pytest.mark.parametrize(("app", "name", "doc"), DECORATED)
def test_the_decorated_is_a_gateway_under_its_own_name(app: Any, name: str, doc: str) -> None:
    assert isinstance(app, Gateway)
    assert (app.__name__, app.__doc__, app.__module__) == (name, doc, __name__)
    assert app.__qualname__.split(".")[-1] == name
    assert app.__wrapped__ is app.app
    assert answer_as_wsgi(app) == answer_as_asgi(app) == (200, "hello /x")


@pytest.mark.parametrize(("app", "name", "doc"), DECORATED)
def test_the_decorated_still_looks_like_asgi_to_detectors(app: Any, name: str, doc: str) -> None:
    assert inspect.iscoroutinefunction(app.__call__)
    assert len(inspect.signature(app).parameters) == 3
    with pytest.raises(TypeError, match="must be called as"):
        app()


def test_a_wrapped_object_keeps_its_class_docstring_out() -> None:
    flask = Flask("table")
    one = wrap(flask)
    assert one.__wrapped__ is flask
    assert not hasattr(one, "__name__")
    assert one.__doc__ == Gateway.__doc__


def test_a_factory_stays_a_factory() -> None:
    @wrap
    def create_app(name: str = "shop") -> Flask:
        """Create the shop."""
        return Flask(name)

    assert create_app.__name__ == "create_app"
    assert create_app.__doc__ == "Create the shop."
    assert not isinstance(create_app, Gateway)
    made = create_app("bakery")
    assert isinstance(made, Gateway)
    assert made.app.name == "bakery"
    assert create_app() is not create_app()


def test_a_factory_gives_its_options_to_what_it_makes() -> None:
    @wrap(interface="wsgi", engine="a2wsgi", max_adapters=0)
    def create_app() -> Any:
        return Anything()

    assert create_app().engine == "a2wsgi"
    assert create_app().max_adapters == 0
    assert answer_as_wsgi(create_app()) == (200, "hello /x")


def test_wrap_refuses_where_the_decorator_stands() -> None:
    with pytest.raises(ConfigurationError, match="a view function is not an application"):

        @wrap
        def view(request):
            raise NotImplementedError


# --- hygiene ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app", [hello_wsgi, hello_asgi, HelloAsgiTwo])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda app: pickle.loads(pickle.dumps(app))])
def test_a_copy_is_one_of_its_own(app: Any, duplicate: Any) -> None:
    original = Gateway(app, engine="a2wsgi", max_adapters=1)
    other = duplicate(original)
    assert other is not original
    assert repr(other) == repr(original)
    assert other.max_adapters == 1
    assert other.__call__.__self__ is other
    assert answer_as_wsgi(other) == answer_as_asgi(other) == (200, "hello /x")


def test_a_deep_copy_has_a_copied_application() -> None:
    original = Gateway(Anything(), "wsgi")
    assert copy.copy(original).app is original.app
    deep = copy.deepcopy(original)
    assert deep.app is not original.app
    assert deep.asgi.app is deep.app  # type: ignore[attr-defined]


def test_what_a_decorator_made_is_pickled_by_name_as_a_function_is() -> None:
    assert pickle.loads(pickle.dumps(plain)) is plain
    assert pickle.loads(pickle.dumps(Double)) is Double
    assert copy.copy(plain) is plain

    def local(environ, start_response):
        raise NotImplementedError

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(wrap(local))
    assert pickle.loads(pickle.dumps(wrap(hello_wsgi))).app is hello_wsgi  # the name is the function's, not its own


def _answers(app: Any, results: Any) -> None:
    results.put((answer_as_wsgi(app), answer_as_asgi(app)))


def test_a_spawned_process_serves_it() -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_answers, args=(plain, results))
    process.start()
    try:
        assert results.get(timeout=120) == ((200, "hello /x"), (200, "hello /x"))
    finally:
        process.join(60)
        results.close()
        results.join_thread()
    assert process.exitcode == 0


def test_a_partial_of_an_application_is_one_too() -> None:
    def prefixed(prefix: str, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [prefix.encode()]

    one = wrap(functools.partial(prefixed, "hi"))
    assert answer_as_asgi(one) == (200, "hi")
    assert not hasattr(one, "__name__")


def test_what_an_application_raises_reaches_the_caller() -> None:
    @wrap
    def failing(environ, start_response):
        raise LookupError("broken")

    @wrap
    async def failing_asgi(scope, receive, send):
        raise LookupError("broken")

    for app in (failing, failing_asgi):
        with pytest.raises(LookupError, match="broken"):
            TestApp(app).get("/")
        with pytest.raises(LookupError, match="broken"), Client(app, interface="asgi", lifespan=False) as client:
            client.get("/")


def test_a_replaced_call_of_the_application_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentation replaces ``Flask.__call__`` and ``Starlette.__call__`` after applications were built."""
    one = Gateway(Starlette())

    async def instrumented(self, scope, receive, send):
        await hello_asgi(scope, receive, send)

    monkeypatch.setattr(Starlette, "__call__", instrumented)
    assert answer_as_asgi(one) == (200, "hello /x")


def test_the_public_names_are_the_modules_names() -> None:
    assert gateway.Gateway is Gateway
    assert gateway.wrap is wrap
    assert issubclass(Gateway, Dual)


def test_a_subclass_with_attributes_of_its_own_is_copied_whole() -> None:
    class Named(Gateway[Any]):
        def __init__(self, app: Any, name: str) -> None:
            self.name = name
            super().__init__(app)

    other = copy.copy(Named(hello_wsgi, "shop"))
    assert other.name == "shop"
    assert answer_as_asgi(other) == (200, "hello /x")


def test_the_event_loop_of_the_caller_runs_an_asgi_application() -> None:
    loops: list[object] = []

    async def app(scope, receive, send):
        loops.append(asyncio.get_running_loop())

    async def main() -> None:
        await Gateway(app)({"type": "http"}, None, None)
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(main())
