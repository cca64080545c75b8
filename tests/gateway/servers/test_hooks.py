"""An ASGI application under a WSGI server starts before the first request and ends with its worker, once each."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.servers import Bind, Launch, StartError, get, start

APPLICATION = """
import asyncio, os
from gateway import Gateway

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.path.exists("/" + os.environ.get("SV_FAIL", "absent")):
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        print("startup", os.getpid(), flush=True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shutdown", os.getpid(), flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("request", os.getpid(), flush=True)
    if scope["path"] == "/slow":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.sleep(1.5)
        await send({"type": "http.response.body", "body": b"ended"})
        return
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})

app = Gateway(asgi)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sv_life.py").write_text(APPLICATION)
    return tmp_path


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(("startup", "request", "shutdown"))]


@pytest.mark.parametrize(
    "name",
    [
        "gunicorn-sync",
        "pyuwsgi",
        "wsgiref",
        "waitress",
        "gunicorn-asgi",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("gunicorn-gthread", "granian-wsgi", "cheroot", "werkzeug")
        ),
    ],
)
def test_lifespan_runs_once_around_the_requests_of_a_worker(folder: Path, name: str) -> None:
    server = get(name)
    if reason := server.missing():
        pytest.skip(reason)
    launch = Launch(target="sv_life:app", bind=Bind(port=0), app_dir=str(folder), hooks=True)
    with start(server, launch) as running:
        running.process.send_signal(server.stop_signal)
        running.process.wait(20)
        seen = lines(running.output())
    (pid,) = {line.split()[1] for line in seen}
    assert seen == [f"startup {pid}", f"request {pid}", f"shutdown {pid}"]


@pytest.mark.parametrize("how", ["option", "import in a configuration"])
def test_a_startup_that_fails_keeps_gunicorns_worker_from_serving(
    folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = get("gunicorn-sync")
    if reason := server.missing():
        pytest.skip(reason)
    (folder / "fail").touch()
    monkeypatch.setenv("SV_FAIL", str(folder / "fail").lstrip("/"))
    arguments: tuple[str, ...] = ()
    if how != "option":
        (folder / "mine.py").write_text("from gateway.servers.gunicorn_hooks import *\n")
        arguments = ("--config", str(folder / "mine.py"))
    launch = Launch(target="sv_life:app", bind=Bind(port=0), app_dir=str(folder), hooks=True, arguments=arguments)
    with pytest.raises(StartError, match=r"ended with status 3(?s:.*)no database"):
        start(server, launch)


#: With an open connection, Gunicorn's asgi worker waits that long, and then ends without lifespan.shutdown.
GRACEFUL_SECONDS = 15.0
KEPT = ("--keep-alive", "75", "--graceful-timeout", f"{GRACEFUL_SECONDS:g}")


@pytest.mark.parametrize("how", ["option", pytest.param("import in a configuration", marks=pytest.mark.slow)])
def test_gunicorns_asgi_worker_stops_at_once_although_connections_are_kept(folder: Path, how: str) -> None:
    arguments = KEPT
    if how != "option":
        (folder / "mine.py").write_text("from gateway.servers.gunicorn_hooks import *\n")
        arguments = ("--config", str(folder / "mine.py"), *KEPT)
    launch = Launch(target="sv_life:app", bind=Bind(port=0), app_dir=str(folder), hooks=True, arguments=arguments)
    with (
        start(get("gunicorn-asgi"), launch) as running,
        running.bind.connect(20.0) as kept,
        running.bind.connect(20.0) as unused,
        running.bind.connect(20.0) as busy,
    ):
        kept.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 204")
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        seen = b""
        while b"begun" not in seen:
            seen += busy.recv(65536)
        began = time.monotonic()
        running.process.terminate()
        assert kept.recv(65536) == unused.recv(65536) == b"", "closed"
        while more := busy.recv(65536):
            seen += more
        assert seen.endswith(b"begunended"), "a request under way is answered whole"
        running.process.wait(2 * GRACEFUL_SECONDS)
        took = time.monotonic() - began
        output = lines(running.output())
    assert [line.split()[0] for line in output] == ["startup", "request", "request", "request", "shutdown"]
    assert took < GRACEFUL_SECONDS


@pytest.mark.slow
def test_the_hooks_start_an_application_once_under_gunicorns_asgi_worker(folder: Path) -> None:
    (folder / "mine.py").write_text("from gateway.servers.gunicorn_hooks import *\n")
    arguments = ("--config", str(folder / "mine.py"))
    launch = Launch(target="sv_life:app", bind=Bind(port=0), app_dir=str(folder), hooks=True, arguments=arguments)
    with start(get("gunicorn-asgi"), launch) as running:
        running.process.terminate()
        running.process.wait(20)
        seen = [line.split()[0] for line in lines(running.output())]
    assert seen == ["startup", "request", "shutdown"]


PLAIN = """
from gateway import Gateway

def wsgi(environ, start_response):
    start_response("204 No Content", [])
    return []

app = Gateway(wsgi)
"""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: te"], ids=["nothing", "half a request"])
@pytest.mark.parametrize(
    "name", ["wsgiref", *(pytest.param(name, marks=pytest.mark.slow) for name in ("werkzeug", "gevent"))]
)
def test_a_client_without_a_request_does_not_hold_up_the_stop(tmp_path: Path, name: str, sent: bytes) -> None:
    (tmp_path / "sv_plain.py").write_text(PLAIN)
    server = get(name)
    with (
        start(server, Launch(target="sv_plain:app", bind=Bind(port=0), app_dir=str(tmp_path))) as running,
        running.bind.connect(20.0) as silent,
        running.bind.connect(20.0) as after,
    ):
        silent.sendall(sent)
        after.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        # Answered, so the connection before it has been accepted too.
        assert b" 204 " in b"".join(iter(lambda: after.recv(65536), b""))
        running.process.send_signal(server.stop_signal)
        assert running.process.wait(8) == 0


@pytest.mark.slow
def test_a_kept_connection_does_not_hold_up_the_stop_of_gevent(tmp_path: Path) -> None:
    (tmp_path / "sv_plain.py").write_text(PLAIN)
    with (
        start(get("gevent"), Launch(target="sv_plain:app", bind=Bind(port=0), app_dir=str(tmp_path))) as running,
        running.bind.connect(20.0) as kept,
    ):
        for _ in range(2):
            kept.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert kept.recv(65536).startswith(b"HTTP/1.1 204")
        running.process.terminate()
        assert running.process.wait(8) == 0
