"""A real Flask and a real FastAPI application under every server, with ``gateway run`` and no option but ``--server``.

Each server serves the home page, and then gets its stop signal while a request is in flight. The request ends under
every server that drains, and is cut under the others: the capabilities say which. Each also has a handler for SIGTERM,
so that it stops as process 1 of a container.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind
from tests.gateway.servers.suite import ALL, catches

SITE = """
import os, time
import anyio
from fastapi import FastAPI
from flask import Flask

go = os.path.join(os.path.dirname(__file__), "go")
flask_app, fastapi_app = Flask(__name__), FastAPI()

@flask_app.get("/")
def flask_home():
    return "hello from Flask"

@flask_app.get("/slow")
def flask_slow():
    open(go + "-begun", "w").close()
    until = time.monotonic() + 15
    while not os.path.exists(go) and time.monotonic() < until:
        time.sleep(0.02)
    return "ended"

@fastapi_app.get("/")
async def fastapi_home():
    return "hello from FastAPI"

@fastapi_app.get("/slow")
async def fastapi_slow():
    open(go + "-begun", "w").close()
    with anyio.move_on_after(15):
        while not os.path.exists(go):
            await anyio.sleep(0.02)
    return "ended"
"""
SECONDS = 30.0
#: Seconds after the stop signal: a longer time could only show more.
LATER = 0.7
CASES = [
    pytest.param(
        name, app, id=f"{name}-{app}", marks=[] if (name, app) == ("wsgiref", "flask_app") else pytest.mark.slow
    )
    for name in ALL
    for app in ("flask_app", "fastapi_app")
    if app == "flask_app" or servers.get(name).capabilities.serves_asgi
]


@contextmanager
def started(name: str, app: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Bind]]:
    with Bind(port=0).listen() as listener:
        bind = Bind(port=0).at(listener)
    # The port of the file is no option: every server would take 8000 otherwise, and tests run beside each other.
    (folder / "gateway.toml").write_text(f'application = "sv_site:{app}"\n[server]\nbind = "{bind}"\n')
    command = [sys.executable, "-m", "gateway", "run", "--server", name]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)})
    try:
        yield process, bind
    finally:
        process.kill()
        process.wait(20)


def ask(bind: Bind, path: str) -> socket.socket:
    connection = bind.connect(SECONDS if path == "/slow" else 5.0)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return connection


def home(process: subprocess.Popen[bytes], bind: Bind, log: Path) -> bytes:
    deadline = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with ask(bind, "/") as connection:
                if answer := b"".join(iter(lambda: connection.recv(65536), b"")):
                    return answer
        except OSError:
            time.sleep(0.02)


@pytest.mark.parametrize(("name", "app"), CASES)
def test_an_application_is_served_and_its_last_request_ends_as_documented(name: str, app: str, tmp_path: Path) -> None:
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)  # it names the package that is not installed
    (tmp_path / "sv_site.py").write_text(SITE)
    with started(name, app, tmp_path) as (process, bind):
        answer = home(process, bind, tmp_path / "log")
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
        assert (b"hello from Flask" if app == "flask_app" else b"hello from FastAPI") in answer
        with ask(bind, "/slow") as connection:
            deadline = time.monotonic() + SECONDS
            while not (tmp_path / "go-begun").exists():
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.02)
            if sys.platform == "linux":
                assert catches(process.pid, signal.SIGTERM)
            process.send_signal(server.stop_signal)
            if server.capabilities.drains:
                time.sleep(LATER)
                (tmp_path / "go").touch()
            received = b""
            try:
                received = b"".join(iter(lambda: connection.recv(65536), b""))
            except ConnectionResetError:
                assert not server.capabilities.drains
        (tmp_path / "go").touch()
        assert (b"ended" in received) is server.capabilities.drains, (tmp_path / "log").read_text()
        process.wait(SECONDS)
