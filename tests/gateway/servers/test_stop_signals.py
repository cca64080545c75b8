"""Stop signals under every server that ``gateway run`` starts, as process 1 of a container gets them.

The kernel drops a signal for process 1 that has no handler (pid_namespaces(7)), so a server without one is killed after
the grace period, with the requests in flight. The server runs as process 1 of a namespace where the tests may make one;
elsewhere the mask of its handlers is the same fact.
"""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind
from tests.gateway.servers.suite import DETAILED, catches

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces and /proc belong to Linux")

APPLICATION = """
import os, time
from gateway import Gateway

go = os.path.join(os.path.dirname(__file__), "go")

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return slow() if environ["PATH_INFO"] == "/slow" else [b"hello"]

def slow():
    yield b"begun\\n"
    until = time.monotonic() + 15
    while not os.path.exists(go) and time.monotonic() < until:
        time.sleep(0.02)
    yield b"ended\\n"

app = Gateway(wsgi)
"""
#: So many seconds after the signal, a request that is to end may do so: a longer time could only show more. One that is
#: to be cut may not, and the test waits until it is.
LATER = 0.7
#: Servers whose requests in flight end on each signal; the others cut them. No server ignores either signal.
ENDS = {
    "SIGTERM": set(DETAILED) - {"daphne"},
    "SIGINT": set(DETAILED) - {"daphne", "gunicorn-asgi", "gunicorn-gevent", "gunicorn-sync", "pyuwsgi"},
}
QUICK = {("waitress", "SIGTERM"), ("cheroot", "SIGTERM"), ("uvicorn", "SIGINT")}
NAMESPACES = (
    ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
    ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"),
)


@functools.cache
def namespace() -> tuple[str, ...]:
    """The command that makes its arguments process 1; empty where this process may not make a namespace."""
    for command in NAMESPACES:
        try:
            if subprocess.run([*command, "true"], capture_output=True, timeout=20, check=False).returncode == 0:
                return command
        except OSError:
            break
    return ()


@dataclass(frozen=True)
class Started:
    process: subprocess.Popen[bytes]
    bind: Bind

    @property
    def server(self) -> int:
        """Process id of the server, seen from here."""
        if not namespace():
            return self.process.pid
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@contextmanager
def started(name: str, folder: Path) -> Iterator[Started]:
    with Bind(port=0).listen() as listener:
        bind = Bind(port=0).at(listener)
    command = [sys.executable, "-m", "gateway", "run", "sv_stop:app", "--server", name, "--bind", str(bind)]
    process = subprocess.Popen(
        [*namespace(), *command], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None, f"{name} ended with status {process.returncode}"
            assert time.monotonic() < deadline, f"{name} did not respond"
            try:
                with bind.connect(5.0) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                    if connection.recv(64):
                        break
            except OSError:
                time.sleep(0.02)
        yield Started(process, bind)
    finally:
        process.kill()  # unshare takes process 1 along, and that its namespace
        process.wait(20)


@pytest.mark.parametrize(
    ("name", "signal_name"),
    [
        pytest.param(name, signal_name, marks=[] if (name, signal_name) in QUICK else [pytest.mark.slow])
        for name in DETAILED
        for signal_name in ENDS
    ],
)
def test_a_server_as_process_1_stops_on_sigterm_and_sigint(name: str, signal_name: str, tmp_path: Path) -> None:
    if reason := servers.get(name).missing():
        pytest.skip(reason)
    (tmp_path / "sv_stop.py").write_text(APPLICATION)
    signum = signal.Signals[signal_name]
    with started(name, tmp_path) as run, run.bind.connect(20.0) as connection:
        assert catches(run.server, signum)
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        received = b""
        while b"begun" not in received:
            received += connection.recv(65536)
        subprocess.run(["kill", f"-{signum}", str(run.server)], check=True)
        if name in ENDS[signal_name]:
            time.sleep(LATER)
            (tmp_path / "go").touch()
        try:
            received += b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            received += b""
        (tmp_path / "go").touch()
        assert (b"ended" in received) is (name in ENDS[signal_name])
        # uvicorn drains and raises the signal again; as process 1 that has no effect.
        assert run.process.wait(20) in (0, -signum)


def test_the_table_agrees_with_the_descriptions_of_the_servers() -> None:
    for name in DETAILED:
        server = servers.get(name)
        assert (name in ENDS[server.stop_signal.name]) is server.capabilities.drains
