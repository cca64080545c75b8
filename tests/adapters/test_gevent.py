"""gevent's servers refuse ASGI applications when they start; WSGI applications and middleware work there."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway import servers
from gateway.adapters import AsgiToWsgi
from gateway.errors import ConfigurationError
from gateway.servers import Bind, Launch, StartError, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn runs on POSIX systems only")

#: Each name is an application that needs an adapter from ASGI when a WSGI server calls it.
REFUSED = {
    "gateway": "Gateway(asgi)",
    "adapter": "AsgiToWsgi(asgi)",
    "as_wsgi": "as_wsgi(asgi)",
    "mount": "Mount({'/api': Gateway(asgi), '/': wsgi})",
    "chain": "Gateway(wsgi, middleware=[asgi_only(AsgiMiddleware)])",
    "nested": "Mount({'/': Gateway(wsgi, middleware=[asgi_only(AsgiMiddleware)])})",
    "websockets": "Gateway(asgi, websockets=True)",
    "a2wsgi": "Gateway(asgi, engine='a2wsgi')",
}
SERVED = {
    "plain": "wsgi",
    "chain": "Gateway(wsgi, middleware=[AccessLog(), wsgi_only(WsgiMiddleware), RequestId()])",
    "mount": "Mount({'/': Gateway(wsgi, middleware=[RequestId()])})",
}
MODULE = """
import warnings
warnings.simplefilter("ignore")
from gateway import Gateway, Mount, as_wsgi, asgi_only, wsgi_only
from gateway.adapters import AsgiToWsgi
from gateway.middleware import AccessLog, RequestId

async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asgi"})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]

class AsgiMiddleware:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)

class WsgiMiddleware:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)
"""
SENTENCE = (
    "ConfigurationError: ASGI applications and ASGI middleware need real threads, which gevent and eventlet replace "
    "with greenlets: run gunicorn with --worker-class gthread or --worker-class asgi instead"
)
HOOKS = ("--config", "python:gateway.servers.gunicorn_hooks")


def launch(folder: Path, expression: str, arguments: Iterable[str] = ()) -> Launch:
    (folder / "greens.py").write_text(f"{MODULE}\napp = {expression}\n")
    return Launch(target="greens:app", bind=Bind(port=0), app_dir=str(folder), arguments=tuple(arguments))


@pytest.mark.parametrize(
    ("expression", "arguments"),
    [
        ("gateway", ()),
        pytest.param("gateway", ("--preload",), marks=pytest.mark.slow),
        pytest.param("gateway", HOOKS, marks=pytest.mark.slow),
        ("gateway", ("--preload", *HOOKS)),
        pytest.param("mount", (), marks=pytest.mark.slow),
        pytest.param("chain", ("--preload",), marks=pytest.mark.slow),
        pytest.param("gateway", ("--worker-class", "gevent_pywsgi"), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_gunicorns_gevent_worker_does_not_boot_with_an_asgi_application(
    folder: Path, expression: str, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(StartError) as caught:
        start(servers.get("gunicorn-gevent"), launch(folder, REFUSED[expression], arguments))
    assert SENTENCE in str(caught.value)
    # 3 is gunicorn's status for a worker that cannot boot, 1 that of a preloaded application.
    assert f"ended with status {1 if '--preload' in arguments else 3}" in str(caught.value)


def test_gevents_own_server_does_not_start_with_an_asgi_application(folder: Path) -> None:
    with pytest.raises(StartError) as caught:
        start(servers.get("gevent"), launch(folder, REFUSED["gateway"]))
    assert SENTENCE in str(caught.value)
    assert "ended with status 2" in str(caught.value)


@pytest.mark.parametrize("loaded", ["import gunicorn.workers.ggevent", "monkey.patch_all(); import gevent.pywsgi"])
def test_everything_that_needs_an_adapter_from_asgi_is_refused_when_it_is_built(folder: Path, loaded: str) -> None:
    builds = "\n".join(f"attempt({name!r}, lambda: {expression})" for name, expression in REFUSED.items())
    program = f"""
from gevent import monkey
{loaded}
{MODULE}
from gateway.errors import ConfigurationError
def attempt(name, build):
    try:
        build()
    except ConfigurationError as error:
        print(name, type(error).__name__ + ": " + str(error))
    else:
        print(name, "was built")
{builds}
{"; ".join(SERVED.values())}
"""
    assert ran(program, folder).splitlines() == [f"{name} {SENTENCE}" for name in REFUSED]


@pytest.mark.parametrize("server", ["gunicorn.workers.geventlet", "eventlet.wsgi"])
def test_eventlet_is_refused_too(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """gunicorn 27 has no eventlet worker; older ones have it."""
    patcher = types.ModuleType("eventlet.patcher")
    monkeypatch.setattr(patcher, "is_monkey_patched", lambda module: module == "thread", raising=False)
    monkeypatch.setitem(sys.modules, server, types.ModuleType(server))
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("it is not called")

    with pytest.raises(ConfigurationError, match="--worker-class gthread or --worker-class asgi"):
        AsgiToWsgi(app)


def test_a_process_that_patches_threads_later_is_refused_at_the_first_request_and_by_the_hooks(folder: Path) -> None:
    program = f"""
{MODULE}
app = Gateway(asgi)
from gevent import monkey
monkey.patch_all()
from gateway.errors import ConfigurationError
from gateway.adapters.asgi_to_wsgi import start_all
from wsgiref.util import setup_testing_defaults
environ = {{}}
setup_testing_defaults(environ)
for call in (lambda: app(environ, lambda *a: None), start_all):
    try:
        call()
    except ConfigurationError as error:
        print(type(error).__name__ + ": " + str(error))
"""
    assert ran(program, folder).splitlines() == [SENTENCE, SENTENCE]


def test_a_patched_process_that_is_not_a_server_builds_and_imports_everything(folder: Path) -> None:
    """A Celery or Locust process may import the module of the application, which it never serves."""
    program = f"from gevent import monkey; monkey.patch_all()\n{MODULE}\n{'; '.join(REFUSED.values())}\nprint('built')"
    assert ran(program, folder) == "built\n"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("gunicorn-gevent", ()),
        pytest.param("gunicorn-gevent", ("--preload", *HOOKS), marks=pytest.mark.slow),
        pytest.param("gevent", (), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "expression", ["chain", *(pytest.param(name, marks=pytest.mark.slow) for name in ("plain", "mount"))]
)
def test_wsgi_applications_and_middleware_work_under_gevent(
    folder: Path, name: str, arguments: tuple[str, ...], expression: str
) -> None:
    with start(servers.get(name), launch(folder, SERVED[expression], arguments)) as running:
        with running.bind.connect(20.0) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"wsgi" in response.partition(b"\r\n\r\n")[2]
    assert (b"x-request-id" in response.lower()) is (expression != "plain")


def ran(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if reason := servers.get("gunicorn-gevent").missing():
        pytest.skip(reason)
    return tmp_path
