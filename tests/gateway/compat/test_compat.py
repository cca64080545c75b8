"""Changing the import of an adapter is the whole migration: names, parameters, results, and warnings."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import a2wsgi
import asgiref.wsgi
import httpx
import pytest
import uvicorn.middleware.wsgi
from asgiref.sync import sync_to_async
from werkzeug.test import Client as WerkzeugClient

import gateway.compat.a2wsgi
import gateway.compat.asgiref
import gateway.compat.starlette
import gateway.compat.uvicorn
from gateway import ConfigurationError, Gateway, as_asgi, as_wsgi
from gateway.adapters import AsgiToWsgi, WsgiToAsgi
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.compat import CompatWarning
from gateway.testing import Client
from tests.django_site import serving
from tests.gateway.compat.examples import EXAMPLES, Example

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the import is deprecated
    import starlette.middleware.wsgi

PEERS: dict[Any, Any] = {
    gateway.compat.a2wsgi.WSGIMiddleware: a2wsgi.WSGIMiddleware,
    gateway.compat.a2wsgi.ASGIMiddleware: a2wsgi.ASGIMiddleware,
    gateway.compat.starlette.WSGIMiddleware: starlette.middleware.wsgi.WSGIMiddleware,
    gateway.compat.asgiref.WsgiToAsgi: asgiref.wsgi.WsgiToAsgi,
    gateway.compat.asgiref.WsgiToAsgiInstance: asgiref.wsgi.WsgiToAsgiInstance,
    gateway.compat.uvicorn.WSGIMiddleware: uvicorn.middleware.wsgi.WSGIMiddleware,
}
WSGI_CLASSES = [ours for ours in PEERS if issubclass(ours, WsgiToAsgi)]

each_class = pytest.mark.parametrize("ours", PEERS, ids=lambda each: f"{each.__module__}.{each.__name__}")
each_wsgi_class = pytest.mark.parametrize("ours", WSGI_CLASSES, ids=lambda each: f"{each.__module__}.{each.__name__}")
each_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    yield
    close_all()


def page(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("asgi.scope", {}).get("path", "no scope").encode()]


async def api(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    text = f"{scope['wsgi_environ']['PATH_INFO']} {id(asyncio.get_running_loop())}"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


def app_for(ours: type[Any]) -> Any:
    return page if issubclass(ours, WsgiToAsgi) else api


def parameters(call: Any) -> list[tuple[str, object, object]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(call).parameters.values()]


def post(app: Any, example: Example) -> str:
    if example.interface == "wsgi":
        return WerkzeugClient(app).post(example.path, data="hello").text

    async def call() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return (await client.post(example.path, content=b"hello")).text

    return asyncio.run(call())


@each_example
def test_a_documented_example_runs_with_only_its_import_changed(example: Example) -> None:
    with serving("tests.gateway.compat.urls"):
        assert post(example.run(example.old), example) == example.expected
        app = example.run(example.new)
        assert post(app, example) == example.expected
        with Client(app, interface=example.interface) as client:
            assert client.post(example.path, content=b"hello").text == example.expected
            client.assert_clean()


def test_other_routes_stay_beside_a_mounted_application() -> None:
    example = EXAMPLES["starlette-in-fastapi"]
    with Client(example.run(example.new)) as client:
        assert client.get("/v2").json() == {"message": "Hello World"}


@each_class
def test_the_parameters_are_those_of_the_peer(ours: Any) -> None:
    assert parameters(ours) == parameters(PEERS[ours])


def test_the_parameters_of_uvicorn_without_a2wsgi_are_accepted() -> None:
    own = parameters(uvicorn.middleware.wsgi._WSGIMiddleware)
    assert parameters(gateway.compat.uvicorn.WSGIMiddleware)[: len(own)] == own


@each_class
def test_a_wrong_call_is_a_type_error_as_with_the_peer(ours: Any) -> None:
    for each in (ours, PEERS[ours]):
        with pytest.raises(TypeError):
            each()
        with pytest.raises(TypeError):
            each(app_for(ours), threads=5)


@each_class
def test_an_application_of_the_other_interface_is_refused(ours: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"wraps an? (WSGI|ASGI) application"):
        ours(api if app_for(ours) is page else page)


def test_an_error_names_the_option_of_the_peer() -> None:
    with pytest.raises(ConfigurationError, match=r"WSGIMiddleware\(workers=...\) must be a whole number, 1 or more"):
        gateway.compat.a2wsgi.WSGIMiddleware(page, workers=0)


@pytest.mark.parametrize(
    ("make", "warning"),
    [
        (
            lambda: gateway.compat.a2wsgi.WSGIMiddleware(page, send_queue_size=20),
            r"WSGIMiddleware\(send_queue_size=20\) has no effect: .* limited in bytes",
        ),
        (
            lambda: gateway.compat.a2wsgi.ASGIMiddleware(api, 5.0),
            r"ASGIMiddleware\(wait_time=5.0\) has no effect: a response ends with its last byte",
        ),
        (
            lambda: gateway.compat.asgiref.WsgiToAsgi(page, 5),
            r"WsgiToAsgi\(duplicate_header_limit=5\) has no effect: headers of the same name are joined once",
        ),
        (
            lambda: gateway.compat.asgiref.WsgiToAsgiInstance(page, 5),
            r"WsgiToAsgiInstance\(duplicate_header_limit=5\) has no effect",
        ),
    ],
    ids=["send_queue_size", "wait_time", "duplicate_header_limit", "instance"],
)
def test_an_option_without_effect_warns_once_with_the_reason(make: Callable[[], Any], warning: str) -> None:
    with pytest.warns(CompatWarning, match=warning) as caught:
        app = make()
    assert [each.filename for each in caught] == [__file__]
    client: Client
    with Client(app, interface="wsgi" if isinstance(app, AsgiToWsgi) else "asgi") as client:
        assert client.get("/").status_code == 200  # a second warning would be an error here


@pytest.mark.parametrize("limit", [100, 0, None])
def test_no_limit_of_duplicate_headers_gives_no_warning(limit: int | None) -> None:
    assert gateway.compat.asgiref.WsgiToAsgi(page, limit).duplicate_header_limit == limit


@each_class
def test_the_classes_are_adapters_with_the_application_in_app(ours: Any) -> None:
    app = app_for(ours)
    adapter = ours(app)
    assert isinstance(adapter, WsgiToAsgi | AsgiToWsgi)
    assert adapter.app is app
    assert repr(adapter).startswith(f"{ours.__name__}(")


@each_class
def test_a_gateway_calls_the_application_inside_without_a_second_adapter(ours: Any) -> None:
    app = app_for(ours)
    if app is page:
        assert as_wsgi(ours(app)) is Gateway(ours(app)).wsgi is page
    else:
        assert as_asgi(ours(app)) is Gateway(ours(app)).asgi is api


def test_the_attributes_of_the_peers_stay() -> None:
    assert gateway.compat.a2wsgi.WSGIMiddleware(page).send_queue_size == 10
    assert gateway.compat.a2wsgi.ASGIMiddleware(api).wait_time is None
    assert gateway.compat.asgiref.WsgiToAsgi(page).wsgi_application is page


def test_a2wsgi_users_find_the_original_scope_in_the_environ() -> None:
    with Client(gateway.compat.a2wsgi.WSGIMiddleware(page)) as client:
        assert client.get("/here").text == "/here"


def test_a2wsgi_users_find_the_original_environ_in_the_scope_and_the_loop_in_an_attribute() -> None:
    adapter = gateway.compat.a2wsgi.ASGIMiddleware(api)
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "done"), adapter.loop).result(5) == "done"
    with Client(adapter) as client:
        assert client.get("/here").text == f"/here {id(adapter.loop)}"


def test_a_loop_of_the_user_runs_the_application() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        adapter = gateway.compat.a2wsgi.ASGIMiddleware(api, loop=loop)
        with Client(adapter) as client:
            assert client.get("/here").text == f"/here {id(loop)}"
        assert adapter.loop is loop
        adapter.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_workers_is_the_number_of_requests_that_run_at_once() -> None:
    together = threading.Barrier(3)

    def waiting(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        together.wait(10)
        return page(environ, start_response)

    app = gateway.compat.a2wsgi.WSGIMiddleware(waiting, workers=3)

    async def main() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return [each.status_code for each in await asyncio.gather(*(client.get("/") for _ in range(3)))]

    assert asyncio.run(main()) == [200, 200, 200]


def test_asgiref_users_keep_the_one_thread_of_thread_sensitive_code() -> None:
    seen: list[int] = []

    def noting(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        seen.append(threading.get_ident())
        return page(environ, start_response)

    app = gateway.compat.asgiref.WsgiToAsgi(noting)

    async def main() -> None:
        seen.append(await sync_to_async(threading.get_ident)())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await asyncio.gather(*(client.get("/") for _ in range(5)))

    asyncio.run(main())
    assert len(seen) == 6
    assert len(set(seen)) == 1


def test_a_body_of_up_to_1_mib_does_not_hold_the_one_thread_while_it_arrives() -> None:
    started: list[bool] = []
    parts = [b"a" * 512 * 1024, b"b" * 512 * 1024]

    def reading(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        started.append(True)
        assert environ["wsgi.input"].read() == b"".join(parts)
        return page(environ, start_response)

    async def main() -> None:
        waiting = list(parts)
        sent: list[Any] = []

        async def receive() -> Any:
            # The thread is free for other code, so the application has not started.
            await asyncio.wait_for(sync_to_async(lambda: None)(), 5)
            assert not started
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-length", b"1048576")]
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/", "headers": headers}
        await gateway.compat.asgiref.WsgiToAsgi(reading)(scope, receive, send)
        assert sent[0]["status"] == 200

    asyncio.run(main())
    assert started == [True]


def test_asgiref_users_whose_override_would_never_be_called_get_an_error() -> None:
    class Steps:
        def build_environ(self) -> None: ...

    with pytest.raises(ConfigurationError, match="Own overrides build_environ, which is never called here"):

        class Own(Steps, gateway.compat.asgiref.WsgiToAsgiInstance):
            pass

    class Other(gateway.compat.asgiref.WsgiToAsgiInstance):
        pass

    assert Other(page).app is page


@each_wsgi_class
@pytest.mark.parametrize("root_path", ["", "/v1", "/v1/é"])
def test_the_mount_point_of_the_scope_is_script_name(ours: Any, root_path: str) -> None:
    seen: list[tuple[str, str]] = []

    def noting(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        seen.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        return page(environ, start_response)

    async def main() -> None:
        transport = httpx.ASGITransport(ours(noting), root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get(f"{root_path}/a/b")

    asyncio.run(main())
    assert seen == [(root_path.encode().decode("latin-1"), "/a/b")]


PROGRAM = """
import sys
import gateway.compat.{name}
loaded = {{each for each in ("a2wsgi", "starlette", "asgiref.wsgi", "uvicorn") if each in sys.modules}}
assert not loaded, loaded
"""


def test_the_import_of_a_module_imports_no_peer() -> None:
    def imported(name: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", PROGRAM.format(name=name)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    with ThreadPoolExecutor() as pool:
        for done in pool.map(imported, ["a2wsgi", "asgiref", "starlette", "uvicorn"]):
            assert done.returncode == 0, done.stderr
