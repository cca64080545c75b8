"""Options of the adapters that a ``Gateway`` builds: where they arrive, and what is refused."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import gateway.adapters.asgi_to_wsgi
import gateway.adapters.wsgi_to_asgi
from gateway import AdapterOptions, ConfigurationError, Gateway, Mount, asgi_only, wrap, wsgi_only
from gateway.adapters import AsgiToWsgi, WsgiToAsgi
from gateway.adapters._options import ADAPTERS
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.chain import ChainWarning
from gateway.config import load, read
from gateway.protocols import ASGIApplication, ASGIReceive, ASGISend, Environ, Scope, StartResponse, WSGIApplication
from gateway.testing.clients import Client
from tests.gateway.chain_parts import Counting, asgi_app, asgi_mark

HERE = "tests.gateway.test_adapter_options"
Made = list[tuple[str, dict[str, Any]]]


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Tell whether the application runs in several threads."""
    start_response("200 OK", [("x-threads", "many" if environ["wsgi.multithread"] else "one")])
    return []


def telling(app: WSGIApplication) -> WSGIApplication:
    """A third party's WSGI middleware that tells the same."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            threads = "many" if environ["wsgi.multithread"] else "one"
            return start_response(status, [*headers, ("x-threads", threads)], *exc_info)

        return app(environ, start)

    return middleware


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "this chain has", ChainWarning)
        yield
    close_all()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Note each adapter that is built, and its options."""
    found: Made = []

    class Into(WsgiToAsgi):
        def __init__(self, app: WSGIApplication, **options: Any) -> None:
            found.append(("WsgiToAsgi", options))
            super().__init__(app, **options)

    class OutOf(AsgiToWsgi):
        def __init__(self, app: ASGIApplication, **options: Any) -> None:
            found.append(("AsgiToWsgi", options))
            super().__init__(app, **options)

    monkeypatch.setattr(gateway.adapters.wsgi_to_asgi, "WsgiToAsgi", Into)
    monkeypatch.setattr(gateway.adapters.asgi_to_wsgi, "AsgiToWsgi", OutOf)
    return found


def threads_of(app: Any, interface: Literal["wsgi", "asgi"] = "asgi") -> str:
    with Client(app, interface=interface) as client:
        threads: str = client.get("/").headers["x-threads"]
    return threads


@pytest.mark.parametrize("adapter", [WsgiToAsgi, AsgiToWsgi], ids=lambda adapter: adapter.__name__)
def test_the_options_and_their_defaults_are_those_of_the_adapters(adapter: Any) -> None:
    [names] = [names for name, names in ADAPTERS.values() if name == adapter.__name__]
    parameters = dict(inspect.signature(adapter).parameters)
    assert names == parameters.keys() - {"app", "websockets"}  # a Gateway has these two itself
    fields = {each.name: each.default for each in dataclasses.fields(AdapterOptions)}
    assert {name: fields[name] for name in names - {"threads"}} == {
        name: parameters[name].default for name in names - {"threads"}
    }


def test_the_number_of_threads_of_a_wsgi_application_can_be_set() -> None:
    assert threads_of(Gateway(wsgi_app)) == "many"
    assert threads_of(Gateway(wsgi_app, threads=1)) == "one"
    assert threads_of(Gateway(wsgi_app, threads=2)) == "many"
    assert threads_of(copy.copy(Gateway(wsgi_app, threads=1))) == "one"
    assert threads_of(wrap(threads=1)(wsgi_app)) == "one"


def test_each_adapter_gets_its_own_options(made: Made) -> None:
    options = AdapterOptions(queue=3, buffer_bytes=1024, coalesce=False, drain_timeout=1, lifespan="on")
    Gateway(
        asgi_app, middleware=[wsgi_only(telling, safe_to_skip=True), asgi_only(asgi_mark)], threads=7, adapter=options
    )
    into = {"threads": 7, "queue": 3, "buffer_bytes": 1024, "coalesce": False}
    out_of = {"coalesce": False, "drain_timeout": 1, "lifespan": "on"}
    assert ("WsgiToAsgi", into) in made
    assert ("AsgiToWsgi", out_of) in made
    # The server runs the lifespan of an application that is behind an adapter back to ASGI.
    assert ("AsgiToWsgi", {**out_of, "lifespan": "off"}) in made
    assert {name for name, _ in made} == {"WsgiToAsgi", "AsgiToWsgi"}


def test_an_option_with_its_default_is_not_given_to_an_adapter(made: Made) -> None:
    Gateway(wsgi_app, adapter=AdapterOptions(queue=None, drain_timeout=10.0))
    Gateway(asgi_app, adapter=AdapterOptions())
    assert made == [("WsgiToAsgi", {}), ("AsgiToWsgi", {})]


def test_an_adapter_inside_a_chain_has_the_threads() -> None:
    chain = [asgi_only(asgi_mark), wsgi_only(telling, safe_to_skip=True)]
    assert threads_of(Gateway(asgi_app, middleware=chain, max_adapters=4)) == "many"
    assert threads_of(Gateway(asgi_app, middleware=chain, max_adapters=4, threads=1)) == "one"


def test_an_asgi_application_can_do_without_its_lifespan() -> None:
    started: list[str] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        started.append(scope["type"])
        await asgi_app(scope, receive, send)

    with Client(Gateway(app, adapter=AdapterOptions(lifespan="off")), interface="wsgi") as client:
        client.get("/")
    assert started == ["http"]


def test_an_asgi_application_runs_on_the_loop_that_is_given() -> None:
    found: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        found.append(asyncio.get_running_loop())
        await asgi_app(scope, receive, send)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        wsgi = Gateway(app, adapter=AdapterOptions(loop=loop, lifespan="off")).wsgi

        def request() -> None:
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "80"}
            environ |= {"wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1"}
            b"".join(wsgi(environ, lambda status, headers, exc_info=None: lambda data: None))

        await asyncio.to_thread(request)
        assert found == [loop]

    asyncio.run(serve())


def test_the_outer_gateway_wins_and_has_the_inner_ones_options_otherwise(made: Made) -> None:
    inner = Gateway(wsgi_app, threads=3, adapter=AdapterOptions(queue=5))
    Gateway(inner)
    Gateway(inner, threads=4)
    Gateway(inner, adapter=AdapterOptions(inline=True))
    assert [options for _, options in made] == [
        {"threads": 3, "queue": 5},
        {"threads": 3, "queue": 5},
        {"threads": 4, "queue": 5},
        {"threads": 3, "inline": True},
    ]


def test_each_application_of_a_mount_has_its_own_threads() -> None:
    mount = Mount({"/one": Gateway(wsgi_app, threads=1), "/many": wsgi_app})
    with Client(mount, interface="asgi") as client:
        assert [client.get(path).headers["x-threads"] for path in ("/one", "/many")] == ["one", "many"]
    with pytest.raises(ConfigurationError, match=r"threads=1 has no effect.*set it on the Gateway of each application"):
        Gateway(mount, threads=1)
    around = Gateway(Mount({"/live": asgi_app}), middleware=[wsgi_only(telling, safe_to_skip=True)], threads=1)
    with Client(around, interface="asgi") as client:
        assert client.get("/live/").headers["x-threads"] == "one"


NO_EFFECT = [
    pytest.param(asgi_app, {"threads": 9}, r"threads=9 has no effect: .*WsgiToAsgi.*remove it$", id="threads"),
    pytest.param(
        asgi_app, {"adapter": AdapterOptions(queue=1)}, r"adapter=AdapterOptions\(queue=1\) has no effect", id="queue"
    ),
    pytest.param(
        wsgi_app, {"adapter": AdapterOptions(loop="lend")}, r"\(loop='lend'\) has no effect: .*AsgiToWsgi", id="loop"
    ),
    pytest.param(WsgiToAsgi(wsgi_app), {"threads": 9}, "threads=9 has no effect", id="an-adapter"),
    pytest.param(
        Mount({"/": wsgi_app}),
        {"adapter": AdapterOptions(coalesce=False)},
        "has no effect: it configures WsgiToAsgi and AsgiToWsgi",
        id="both",
    ),
]


@pytest.mark.parametrize(("app", "options", "message"), NO_EFFECT)
def test_an_option_without_an_effect_is_refused(app: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Gateway(app, **options)


@pytest.mark.parametrize("engine", ["a2wsgi", Counting()], ids=["a2wsgi", "an-object"])
def test_another_engine_does_not_take_the_options(engine: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^threads=2 needs engine='builtin', .* got '(a2wsgi|Counting)'"):
        Gateway(wsgi_app, engine=engine, threads=2)
    with pytest.raises(ConfigurationError, match=r"^adapter=AdapterOptions\(queue=2\) needs engine='builtin'"):
        Gateway(wsgi_app, engine=engine, adapter=AdapterOptions(queue=2))
    with pytest.raises(ConfigurationError, match=r"^threads=2 needs engine='builtin'"):
        Gateway(Gateway(wsgi_app, threads=2), engine=engine)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"queue": -1}, r"AdapterOptions\(queue=\.\.\.\) must be a whole number, 0 or more, got -1"),
    ({"queue": True}, "whole number"),
    ({"prefetch_bytes": -1}, "0 or more, got -1"),
    ({"buffer_bytes": 0}, "1 or more, got 0"),
    ({"buffer_bytes": 1.5}, "got 1.5"),
    ({"inline": 1}, r"AdapterOptions\(inline=\.\.\.\) must be True or False, got 1"),
    ({"coalesce": None}, "must be True or False, got None"),
    ({"inline": True, "thread_sensitive": True}, "remove one of them"),
    ({"loop": "thread"}, "must be an event loop or one of 'auto', 'shared', 'lend', got 'thread'"),
    ({"loop": None}, "got None"),
    ({"lifespan": "maybe"}, "must be one of 'auto', 'on', 'off', got 'maybe'"),
    ({"drain_timeout": -1}, "must be seconds, 0 or more, got -1"),
    ({"drain_timeout": None}, "got None"),
    ({"startup_timeout": 0}, "must be seconds, above 0, got 0"),
    ({"shutdown_timeout": "5"}, "got '5'"),
    ({"startup_timeout": float("nan")}, "got nan"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda value: str(value)[:24])
def test_a_wrong_option_is_refused_when_the_options_are_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AdapterOptions(**options)
    # The adapter that takes the options refuses them with the same words.
    adapter: type[Any] = WsgiToAsgi if options.keys() <= ADAPTERS["wsgi_to_asgi"][1] else AsgiToWsgi
    app: Any = wsgi_app if adapter is WsgiToAsgi else asgi_app
    with pytest.raises(ConfigurationError, match=message.replace("AdapterOptions", adapter.__name__)):
        adapter(app, **options)


@pytest.mark.parametrize(
    "options",
    [{"queue": 0}, {"prefetch_bytes": 0}, {"drain_timeout": 0}, {"startup_timeout": None}, {"shutdown_timeout": None}],
    ids=str,
)
def test_the_least_of_an_option_is_taken(options: dict[str, Any]) -> None:
    adapter: type[Any] = WsgiToAsgi if options.keys() & {"queue", "prefetch_bytes"} else AsgiToWsgi
    app: Any = wsgi_app if adapter is WsgiToAsgi else asgi_app
    AdapterOptions(**options)
    adapter(app, **options)


def test_a_gateway_refuses_wrong_threads_and_options_in_a_dict() -> None:
    for wrong in (0, -1, "4", 1.5, True):
        with pytest.raises(ConfigurationError, match=f"threads= must be a whole number, 1 or more, got {wrong!r}"):
            Gateway(wsgi_app, threads=wrong)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ConfigurationError, match=r"adapter= must be .* write adapter=AdapterOptions\(queue=100\)"):
        Gateway(wsgi_app, adapter={"queue": 1})  # type: ignore[arg-type]  # wrong on purpose


def test_a_gateway_shows_its_options() -> None:
    options = AdapterOptions(queue=1)
    one = Gateway(wsgi_app, threads=2, adapter=options)
    assert (one.threads, one.adapter) == (2, options)
    assert repr(one).endswith(f"threads=2, adapter={options!r})")


# --- from a file


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gateway.toml"
    file.write_text(f'application = "{HERE}:wsgi_app"\n{text}', encoding="utf-8")
    return file


def test_a_file_has_threads_and_a_table_of_the_other_options(tmp_path: Path, made: Made) -> None:
    file = write(tmp_path, "threads = 1\n[adapter]\nqueue = 4\nprefetch_bytes = 0\n")
    config = read(file)
    assert (config.threads, config.adapter) == (1, AdapterOptions(queue=4, prefetch_bytes=0))
    assert threads_of(load(file)) == "one"
    assert made[0] == ("WsgiToAsgi", {"threads": 1, "queue": 4, "prefetch_bytes": 0})


def test_a_file_can_hold_every_option(tmp_path: Path) -> None:
    names = {each.name for each in dataclasses.fields(AdapterOptions)}
    with pytest.raises(ConfigurationError, match=r"unknown key adapter\.x;") as caught:
        read(write(tmp_path, "adapter = { x = 1 }"))
    assert set(str(caught.value).partition("possible keys: ")[2].split(", ")) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threads = 0", "threads must be 1 or more, found 0"),
        ("threads = '4'", "threads must be a whole number, found '4'"),
        ("adapter = 3", "adapter must be a table, found 3"),
        ("adapter = { queu = 3 }", r"unknown key adapter.queu \(did you mean 'queue'\?\)"),
        ("adapter = { queue = 'x' }", "adapter.queue must be a whole number, found 'x'"),
        ("adapter = { buffer_bytes = 0 }", r"adapter: AdapterOptions\(buffer_bytes=\.\.\.\) must be .* got 0"),
    ],
)
def test_a_wrong_option_of_a_file_is_refused_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"gateway.toml: {message}"):
        read(write(tmp_path, text))


def test_an_option_of_a_file_without_an_effect_is_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"gateway.toml: adapter=AdapterOptions\(loop='shared'\) has no effect"
    ):
        load(write(tmp_path, 'adapter = { loop = "shared" }'))
