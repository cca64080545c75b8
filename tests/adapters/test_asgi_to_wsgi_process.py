"""An ASGI application in the life of a WSGI server's process: fork, exit, hooks, greenlets. Real servers throughout."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, Running, StartError, start
from tests.adapters.asgi_under_wsgi import MODES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork and gunicorn are POSIX's")

APPLICATION = """
import asyncio, os, sys, threading, time
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi, close_all, start_all

LOG = os.environ["A2W_LOG"]
def log(line):
    with open(LOG, "a") as file:
        file.write(f"{line} {os.getpid()}\\n")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.environ.get("A2W_FAIL"):
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        log("startup")
        scope["state"]["pid"] = os.getpid()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.sleep(0)
        log("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    if path == "/sleep":
        await asyncio.sleep(0.3)
    elif path == "/thread":
        await asyncio.to_thread(time.sleep, 0.05)
    elif path == "/executor":
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, time.sleep, 0.05)
    elif path == "/block":
        time.sleep(0.2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if path == "/stream":
        for number in range(5):
            await send({"type": "http.response.body", "body": b"%d," % number, "more_body": True})
            await asyncio.sleep(0.01)
    body = b""
    if scope["method"] == "POST":
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
    await send({"type": "http.response.body", "body": b"%d %d" % (scope["state"]["pid"] == os.getpid(), len(body))})

application = AsgiToWsgi(app, loop=os.environ.get("A2W_LOOP", "auto"))
if os.environ.get("A2W_USE_EARLY"):
    from wsgiref.util import setup_testing_defaults
    environ = {}
    setup_testing_defaults(environ)
    assert list(application(environ, lambda *a: None)) == [b"1 0"]
"""

HOOKS = """
from gateway.adapters.asgi_to_wsgi import close_all, start_all

def post_worker_init(worker):
    start_all()

def worker_exit(server, worker):
    close_all()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a2w_app.py").write_text(APPLICATION)
    (tmp_path / "a2w_conf.py").write_text(HOOKS)
    return tmp_path


def events(folder: Path) -> list[tuple[str, int]]:
    lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines]


@contextmanager
def serve(
    folder: Path, name: str, *arguments: str, workers: int | None = None, threads: int | None = None, **environment: str
) -> Iterator[Running]:
    launch = Launch(
        target="a2w_app:application",
        bind=Bind(port=0),
        app_dir=str(folder),
        workers=workers,
        threads=threads,
        arguments=arguments,
        environment={"A2W_LOG": str(folder / "log"), **environment},
    )
    with start(servers.get(name), launch) as running:
        yield running


def get(running: Running, path: str = "/", body: bytes | None = None) -> bytes:
    with running.bind.connect(20.0) as connection:
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + b"\r\n" + (body or b""))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ", 2)[1] == b"200", answer
    return answer.partition(b"\r\n\r\n")[2]


# gunicorn


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("preload", [True, False], ids=["preload", "import"])
def test_b31_an_adapter_made_before_the_fork_serves_in_the_workers(folder: Path, mode: str, preload: bool) -> None:
    options = ["--preload"] if preload else []
    with serve(folder, "gunicorn-gthread", *options, workers=2, A2W_LOOP=mode) as running:
        assert all(b"1 0" in get(running) for _ in range(6))
    started = [pid for event, pid in events(folder) if event == "startup"]
    assert len(started) == len(set(started))
    assert running.pid not in started


@pytest.mark.parametrize("mode", MODES)
def test_b32_an_adapter_used_before_the_fork_serves_in_the_workers(folder: Path, mode: str) -> None:
    with serve(folder, "gunicorn-gthread", "--preload", workers=2, A2W_USE_EARLY="1", A2W_LOOP=mode) as running:
        assert all(b"1 0" in get(running) for _ in range(6))
        supervisor = running.pid
    found = events(folder)
    assert ("startup", supervisor) in found
    assert {pid for event, pid in found if event == "startup"} > {supervisor}


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread"])
def test_b27_the_hooks_start_each_worker_before_its_first_request_and_stop_it_after_its_last(
    folder: Path, name: str
) -> None:
    with serve(folder, name, "--config", str(folder / "a2w_conf.py"), workers=2) as running:
        assert b"1 0" in get(running)
        deadline = time.monotonic() + 20
        while len(events(folder)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        workers = {pid for event, pid in events(folder) if event == "startup"}
        assert len(workers) == 2
    found = events(folder)
    assert sorted(found) == sorted([("startup", pid) for pid in workers] + [("shutdown", pid) for pid in workers])


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread"])
def test_b27_without_hooks_the_lifespan_ends_with_the_worker(folder: Path, name: str) -> None:
    with serve(folder, name) as running:
        assert b"1 0" in get(running)
    assert [event for event, _ in events(folder)] == ["startup", "shutdown"]


def test_b27_a_failed_startup_stops_gunicorn_with_its_boot_error(folder: Path) -> None:
    with pytest.raises(StartError, match="no database") as caught:
        with serve(folder, "gunicorn-gthread", "--config", str(folder / "a2w_conf.py"), A2W_FAIL="1"):
            raise AssertionError("it serves")
    assert "status 3" in str(caught.value)


@pytest.mark.parametrize("name", ["gunicorn-gthread", "gunicorn-sync", "waitress", "wsgiref", "cheroot", "werkzeug"])
@pytest.mark.parametrize("mode", MODES)
def test_threads_streams_and_uploads_work_under_a_real_server(folder: Path, name: str, mode: str) -> None:
    with serve(folder, name, A2W_LOOP=mode) as running:
        for path in ("/thread", "/executor", "/sleep"):
            assert b"1 0" in get(running, path)
        assert b"0," in get(running, "/stream")
        assert b"1 300000" in get(running, "/", b"x" * 300_000)


# gevent


GEVENT = """
import sys
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
import asyncio, threading, time
import gevent
import gevent.pywsgi

seen = set()
async def app(scope, receive, send):
    seen.add(threading.get_ident())
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})

wsgi = AsgiToWsgi(app, loop=sys.argv[1])
from wsgiref.util import setup_testing_defaults
def one():
    environ = {}
    setup_testing_defaults(environ)
    return b"".join(wsgi(environ, lambda *a: None))
ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.02)
ticking = gevent.spawn(tick)
begun = time.monotonic()
jobs = [gevent.spawn(one) for _ in range(20)]
gevent.joinall(jobs, timeout=20)
took = time.monotonic() - begun
ticking.kill()
assert [job.value for job in jobs] == [b"ok"] * 20, [job.exception for job in jobs]
assert took < 3, took
assert len(ticks) > 5, ticks
assert seen and threading.get_ident() not in seen, "the loop ran in the hub's thread"
wsgi.close()
print("done")
"""


@pytest.mark.parametrize("mode", ["auto", "shared"])  # greenlets share one thread: a lent loop would hold them all
def test_requests_park_their_greenlets_only_under_a_gevent_server_that_patches_nothing(folder: Path, mode: str) -> None:
    (folder / "a2w_gevent.py").write_text(GEVENT)
    assert run(folder, "a2w_gevent.py", mode) == "done\n"


# fork and exit, without a server


def run(folder: Path, *arguments: str, timeout: float = 30.0, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, "A2W_LOG": str(folder / "log"), "PYTHONPATH": os.pathsep.join([*sys.path, str(folder)])},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, ""), done.stderr
    return done.stdout


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads, which this is about
sys.path.insert(0, ".")
from wsgiref.util import setup_testing_defaults
import a2w_app
def one():
    environ = {}
    setup_testing_defaults(environ)
    return b"".join(a2w_app.application(environ, lambda *a: None))
assert one() == b"1 0"
child = os.fork()
if child == 0:
    code = 1
    try:
        assert one() == b"1 0"
        assert one() == b"1 0"
        a2w_app.close_all()
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
assert one() == b"1 0"
print("done")
"""


@pytest.mark.parametrize("mode", MODES)
def test_b32_a_fork_leaves_the_parents_loop_to_the_parent(
    folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A2W_LOOP", mode)
    (folder / "a2w_fork.py").write_text(FORK)
    assert run(folder, "a2w_fork.py") == "done\n"
    kinds = [event for event, _ in events(folder)]
    pids = [pid for _, pid in events(folder)]
    assert kinds == ["startup", "startup", "shutdown", "shutdown"]
    assert pids[0] == pids[3] != pids[1] == pids[2]


EXIT = """
import sys, time
sys.path.insert(0, ".")
from wsgiref.util import setup_testing_defaults
import a2w_app
environ = {}
setup_testing_defaults(environ)
body = a2w_app.application(dict(environ, PATH_INFO=sys.argv[1]), lambda *a: None)
if sys.argv[2] == "unfinished":
    print(next(iter(body)))
elif sys.argv[2] == "thread":
    import threading
    threading.Thread(target=lambda: b"".join(body)).start()
else:
    assert b"".join(body)
print("end")
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("path", "how"), [("/", "whole"), ("/stream", "unfinished"), ("/stream", "thread")])
def test_b33_the_interpreter_exits_cleanly_and_the_lifespan_is_shut_down(
    folder: Path, mode: str, path: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A2W_LOOP", mode)
    (folder / "a2w_exit.py").write_text(EXIT)
    assert run(folder, "a2w_exit.py", path, how).endswith("end\n")
    assert [event for event, _ in events(folder)] == ["startup", "shutdown"]


def test_nothing_starts_at_import(folder: Path) -> None:
    program = textwrap.dedent(
        """
        import sys, threading
        sys.path.insert(0, ".")
        import a2w_app
        assert threading.active_count() == 1
        assert a2w_app.application._service is None
        """
    )
    run(folder, "-c", program)
    assert events(folder) == []


@pytest.mark.parametrize("mode", MODES)
def test_b42_an_application_that_blocks_the_loop_delays_the_others_and_loses_none(folder: Path, mode: str) -> None:
    """The informative row: on one loop this cannot be otherwise, and it must not be worse."""
    with serve(folder, "gunicorn-gthread", threads=4, A2W_LOOP=mode) as running:
        quick: list[bytes] = []
        other = threading.Thread(target=lambda: quick.append(get(running)))
        blocking = threading.Thread(target=lambda: quick.append(get(running, "/block")))
        blocking.start()
        other.start()
        blocking.join(20)
        other.join(20)
    assert len(quick) == 2
