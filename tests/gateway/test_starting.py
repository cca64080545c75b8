"""A hook starts what the served object reaches, and a probe waits for the same; nothing else of the process."""

from __future__ import annotations

import asyncio
import functools
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from gateway import Gateway, asgi_only, wsgi_only
from gateway._starting import lazy_parts
from gateway.adapters import AsgiToWsgi, WsgiToAsgi
from gateway.adapters.asgi_to_wsgi import close_all, start_all
from gateway.contract import Middleware, Process
from gateway.lifespan import Lifespan, LifespanFailed
from gateway.middleware.health import Health
from gateway.mount import Mount
from gateway.testing import Client


class Application:
    """An ASGI application that counts its starts, waits for leave to complete them, or refuses."""

    def __init__(self, *, fails: bool = False, waits: bool = False) -> None:
        self.started = self.ended = 0
        self.fails = fails
        self.leave = threading.Event()
        if not waits:
            self.leave.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.started += 1
            while not self.leave.is_set():  # noqa: ASYNC110  # a thread sets it
                await asyncio.sleep(0.005)
            if self.fails:
                await send({"type": "lifespan.startup.failed", "message": "no database"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.ended += 1
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})


def page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"page"]


@pytest.fixture(autouse=True)
def own_services() -> Iterator[None]:
    yield
    close_all()


def in_function(adapter: AsgiToWsgi) -> Any:
    """An application that is a plain function of a module, which uses a global name of it."""
    module = types.ModuleType("site")
    code = "def application(environ, start_response): return api(environ, start_response)"
    vars(module).update(api=adapter, other=Gateway(Application(fails=True)))
    exec(code, vars(module))  # a module of its own
    return vars(module)["application"]


def in_module(adapter: AsgiToWsgi) -> Any:
    package = types.ModuleType("package")
    vars(package).update(api=adapter, other=Gateway(Application(fails=True)))
    module = types.ModuleType("site")
    vars(module).update(package=package)
    exec("def application(environ, start_response): return package.api(environ, start_response)", vars(module))
    return vars(module)["application"]


def in_flask(adapter: AsgiToWsgi) -> Any:
    flask = Flask("site")
    flask.wsgi_app = DispatcherMiddleware(flask.wsgi_app, {"/api": adapter})  # type: ignore[method-assign]
    return flask


class Holder:
    def __init__(self, app: object) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        raise NotImplementedError


class Base:
    """An application whose class has the adapter in a global name, and whose subclass is served."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return named[-1](environ, start_response)


class Inherited(Base):
    """It has no ``__call__`` of its own."""


named: list[AsgiToWsgi] = []


def in_a_class(adapter: AsgiToWsgi) -> Any:
    named[:] = [adapter]
    return Inherited()


SERVED = {
    "the adapter": lambda adapter: adapter,
    "an object": Holder,
    "a bound method": lambda adapter: Holder(adapter).__call__,
    "a partial": lambda adapter: functools.partial(adapter, {}),
    "a class's __call__": in_a_class,
    "a closure": lambda adapter: lambda environ, start_response: adapter(environ, start_response),
    "a function's global": in_function,
    "a module's name": in_module,
    "Flask's wsgi_app": in_flask,
    "a Gateway": Gateway,
    "a Gateway with middleware": lambda adapter: Gateway(adapter, middleware=[Health(), wsgi_only(Holder)]),
    "a Mount": lambda adapter: Mount({"/a": page, "api.example/b": adapter}),
    "a Mount's default": lambda adapter: Mount({"/a": page}, default=adapter),
}


@pytest.mark.parametrize("where", SERVED)
def test_start_all_starts_what_the_served_object_reaches(where: str) -> None:
    app, other = Application(), Application(fails=True)
    unserved = Gateway(other)
    start_all(SERVED[where](AsgiToWsgi(app)))
    assert (app.started, other.started) == (1, 0)
    assert unserved.interface == "asgi"


@pytest.mark.parametrize("times", [2, 3])
def test_a_gateway_around_a_gateway_is_started_once(times: int) -> None:
    app = Application()
    served: Any = app
    for _ in range(times):
        served = Gateway(served)
    start_all(served)
    assert app.started == 1
    close_all()
    assert app.ended == 1


def test_an_application_at_several_places_starts_and_ends_once_in_either_interface() -> None:
    app = Application()
    site = Mount({"/a": app, "/b": Gateway(Gateway(app)), "/c": Gateway(app, middleware=[Health()])})
    start_all(site)
    with Client(site, interface="wsgi", lifespan=False) as client:
        assert [client.get(path).text for path in ("/a", "/b", "/c")] == ["served"] * 3
    assert (app.started, app.ended) == (1, 0)
    close_all()
    assert (app.started, app.ended) == (1, 1)
    with Client(site, interface="asgi") as client:
        assert [client.get(path).text for path in ("/a", "/b", "/c")] == ["served"] * 3
    assert (app.started, app.ended) == (2, 2)


def test_a_wsgi_and_an_asgi_server_of_one_process_start_an_application_each() -> None:
    app = Application()
    site = Gateway(app, middleware=[Health()])
    with Client(site, interface="wsgi", lifespan=False) as wsgi, Client(site, interface="asgi") as asgi:
        assert [client.get("/readyz").status_code for client in (wsgi, asgi)] == [200, 200]
    assert app.started == 2
    close_all()
    assert app.ended == 2


def test_an_adapter_that_closes_leaves_the_application_to_the_other() -> None:
    app = Application()
    first, second = AsgiToWsgi(app), AsgiToWsgi(app)
    first.start()
    second.start()
    first.close()
    first.close()
    assert app.ended == 0
    second.close()
    assert (app.started, app.ended) == (1, 1)


def test_after_a_failed_start_a_new_adapter_tries_again() -> None:
    app = Application(fails=True)
    first = AsgiToWsgi(app)
    with pytest.raises(LifespanFailed):
        first.start()
    app.fails = False
    AsgiToWsgi(app).start()
    with pytest.raises(LifespanFailed):
        first.start()


def test_an_asgi_server_runs_the_lifespan_and_the_hook_leaves_it_alone() -> None:
    app = Application()
    start_all(Gateway(app, middleware=[Health()]), interface="asgi")
    assert app.started == 0


def test_a_wsgi_part_below_an_asgi_one_starts_with_the_hook() -> None:
    app = Application()
    start_all(WsgiToAsgi(AsgiToWsgi(app)), interface="asgi")
    assert app.started == 1


def test_a_hook_runs_on_start_of_the_served_middleware() -> None:
    seen: list[str] = []

    class Starting(Middleware):
        def on_start(self, process: Process) -> None:
            seen.append(process.interface)

    served = Gateway(page, middleware=[Starting()])
    other = Gateway(page, middleware=[Starting()])
    start_all(served)
    start_all(served)
    assert seen == ["wsgi"]
    with Client(served, interface="wsgi", lifespan=False) as client:
        assert client.get("/").status_code == 200
    assert seen == ["wsgi"]
    del other


def test_a_middleware_that_fails_to_start_is_raised_by_the_hook() -> None:
    class Failing(Middleware):
        def on_start(self, process: Process) -> None:
            raise OSError("no folder")

    with pytest.raises(OSError, match="no folder"):
        start_all(Gateway(page, middleware=[Failing()]))


def test_a_walk_ends_in_cycles_and_takes_each_part_once() -> None:
    adapter = AsgiToWsgi(Application())
    holder = Holder([adapter, adapter])
    holder.app = [holder, adapter, {"again": adapter}]
    assert lazy_parts(holder, "wsgi") == (adapter,)


def test_a_walk_wakes_no_lazy_object() -> None:
    woken: list[str] = []

    class Lazy:
        """As Django's SimpleLazyObject: a look at its class makes the object that it stands for."""

        @property
        def __class__(self) -> Any:
            woken.append("class")
            return object

        @__class__.setter
        def __class__(self, value: Any) -> None: ...

        def __getattr__(self, name: str) -> Any:
            woken.append(name)
            raise AttributeError(name)

    lazy = Lazy()
    adapter = AsgiToWsgi(Application())

    def application(environ: Any, start_response: Any) -> Any:
        return lazy.anything, adapter(environ, start_response)

    assert lazy_parts(Holder([lazy, application]), "wsgi") == (adapter,)
    assert not woken


def test_a_walk_does_not_go_through_data() -> None:
    adapter = AsgiToWsgi(Application())
    cache: dict[int, object] = {number: object() for number in range(20_000)}
    cache[-1] = AsgiToWsgi(Application())
    assert lazy_parts(Holder([cache, adapter]), "wsgi") == (adapter,)


# probes


@pytest.mark.parametrize("path", ["/readyz", "/startupz"])
def test_a_wsgi_probe_starts_the_application_and_waits_for_it(path: str) -> None:
    app = Application(waits=True)
    site = Gateway(app, middleware=[Health(timeout=0.05, cache=0.0)])
    with Client(site, interface="wsgi", lifespan=False) as client:
        assert (client.get(path).status_code, client.get(path).text) == (503, "starting\n")
        assert client.get("/livez").status_code == 200
        app.leave.set()
        deadline = 200
        while client.get(path).status_code != 200:
            deadline -= 1
            assert deadline
        assert app.started == 1


def test_a_wsgi_probe_of_a_fast_application_is_ready_at_once() -> None:
    app = Application()
    with Client(Gateway(app, middleware=[Health()]), interface="wsgi", lifespan=False) as client:
        assert client.get("/readyz").status_code == 200
    assert app.started == 1


def test_liveness_starts_nothing() -> None:
    app = Application()
    with Client(Gateway(app, middleware=[Health()]), interface="wsgi", lifespan=False) as client:
        assert client.get("/livez").status_code == 200
    assert app.started == 0


@pytest.mark.parametrize("detail", [False, True])
def test_a_failed_start_is_not_ready_under_wsgi(detail: bool) -> None:
    app = Application(fails=True)
    site = Gateway(Mount({"/a": page, "/b": app}), middleware=[Health(cache=0.0, detail=detail)])
    with Client(site, interface="wsgi", lifespan=False) as client:
        for path in ("/readyz", "/startupz", "/readyz"):
            response = client.get(path)
            assert response.status_code == 503
            assert "failed" in response.text
        assert client.get("/livez").status_code == 200
    if detail:
        assert response.json()["checks"]["application"]["status"] == "failed"
    assert app.started == 1


def test_readiness_covers_a_part_behind_a_third_partys_middleware() -> None:
    class Through:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    app = Application(fails=True)
    site = Gateway(app, middleware=[Health(), asgi_only(Through)])
    with Client(site, interface="wsgi", lifespan=False) as client:
        assert client.get("/readyz").status_code == 503


async def ask(site: Gateway[Any], path: str) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "asgi": {}}
    await site.asgi(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent)


def test_an_asgi_probe_says_starting_until_the_lifespan_completes() -> None:
    app = Application(waits=True)
    site = Gateway(app, middleware=[Health(cache=0.0)])

    async def main() -> None:
        assert await ask(site, "/readyz") == (200, b"ok\n")  # no server has shown a lifespan
        lifespan = Lifespan(site.asgi)
        starting = asyncio.create_task(lifespan.startup())
        while not app.started:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert await ask(site, "/readyz") == (503, b"starting\n")
        assert await ask(site, "/startupz") == (503, b"starting\n")
        app.leave.set()
        await starting
        assert await ask(site, "/readyz") == (200, b"ok\n")
        await lifespan.shutdown()

    asyncio.run(main())


def test_an_asgi_probe_is_not_ready_after_a_failed_lifespan() -> None:
    site = Gateway(Application(fails=True), middleware=[Health(cache=0.0)])

    async def main() -> None:
        with pytest.raises(LifespanFailed):
            await Lifespan(site.asgi).startup()
        assert await ask(site, "/readyz") == (503, b"failed\n")
        assert await ask(site, "/startupz") == (503, b"failed\n")
        assert await ask(site, "/livez") == (200, b"ok\n")

    asyncio.run(main())


def test_an_asgi_application_without_a_lifespan_is_ready() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError

    site = Gateway(app, middleware=[Health(cache=0.0)])

    async def main() -> None:
        async with Lifespan(site.asgi):
            assert await ask(site, "/readyz") == (200, b"ok\n")

    asyncio.run(main())
