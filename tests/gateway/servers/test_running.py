"""Servers as child processes: they come up, say why when they do not, and end by their own process id."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import servers
from gateway.errors import ConfigurationError
from gateway.servers import Bind, Launch, Running, Server, StartError, start

APPLICATION = """
import os, sys, threading, time
print("imported in", os.getpid(), flush=True)

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/slow":
        def body():
            yield b"begun\\n"
            time.sleep(0.5)
            yield b"ended\\n"
        return body()
    if environ["PATH_INFO"] == "/multithread":
        return [repr(environ["wsgi.multithread"]).encode()]
    return [b"%d %s" % (os.getpid(), environ["PATH_INFO"].encode("latin-1"))]

def broken(environ, start_response):
    raise RuntimeError
"""


IGNORES = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal = print
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "sv_app.py").write_text(APPLICATION)
    (tmp_path / "sv_raises.py").write_text("raise RuntimeError('no database')")
    return str(tmp_path)


def get(running: Running, path: str = "/") -> bytes:
    with running.bind.connect(10.0) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def wsgiref() -> Server:
    return servers.get("wsgiref")


def test_a_server_answers_on_a_free_port_and_ends_on_its_signal(folder: str) -> None:
    with start(wsgiref(), Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder)) as running:
        assert running.bind.port > 0
        assert running.bind.fd is None
        answer = get(running, "/x")
        assert answer.endswith(b"%d /x" % running.pid)
        assert f"imported in {running.pid}" in running.output()
        assert running.stop() == 0
    with pytest.raises(OSError):
        get(running)
    assert running.output() == ""


def test_a_server_answers_on_a_unix_socket(folder: str, tmp_path: Path) -> None:
    bind = Bind(path=str(tmp_path / "sock"))
    with start(wsgiref(), Launch(target="sv_app:app", bind=bind, app_dir=folder)) as running:
        assert b"200 OK" in get(running)


def test_an_error_status_is_an_answer_too(folder: str) -> None:
    with start(wsgiref(), Launch(target="sv_app:broken", bind=Bind(port=0), app_dir=folder)) as running:
        assert b" 500 " in get(running)


def test_a_port_is_looked_up_where_no_socket_can_be_inherited(folder: str) -> None:
    server = servers.get("waitress")
    assert not server.capabilities.inherited_socket
    with start(server, Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder)) as running:
        assert f"--listen=127.0.0.1:{running.bind.port}" in running.command.argv
        assert b"200 OK" in get(running)


def test_a_start_that_lost_its_port_to_another_process_is_tried_again(folder: str) -> None:
    with Bind(port=0).listen() as taken:
        port = taken.getsockname()[1]
        tried: list[int] = []

        def arguments(launch: Launch) -> list[str]:
            tried.append(launch.bind.port)
            bind = launch.bind if len(tried) > 2 else Bind(port=port)
            return list(wsgiref().arguments(replace(launch, bind=bind)))

        server = replace(
            wsgiref(), arguments=arguments, capabilities=replace(wsgiref().capabilities, inherited_socket=False)
        )
        with start(server, Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder)) as running:
            assert len(tried) == 3
            assert running.bind.port == tried[-1]
        with pytest.raises(StartError, match=r"(?i)address already in use"):
            start(wsgiref(), Launch(target="sv_app:app", bind=Bind(port=port), app_dir=folder))


def test_what_a_server_said_before_it_failed_is_in_the_error(folder: str) -> None:
    with pytest.raises(StartError, match=r"wsgiref ended with status 2(?s:.*)no database"):
        start(wsgiref(), Launch(target="sv_raises:app", bind=Bind(port=0), app_dir=folder))


def test_a_server_that_never_answers_is_ended(folder: str) -> None:
    (Path(folder) / "sv_hangs.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    said = ""
    for timeout in (2, 10, 30):  # in which a slow machine may not come to the application
        with pytest.raises(StartError, match=f"did not answer within {timeout} seconds") as caught:
            start(wsgiref(), Launch(target="sv_hangs:app", bind=Bind(port=0), app_dir=folder), timeout=timeout)
        said = str(caught.value).split()[-1]
        if said.isdecimal():
            break
    with pytest.raises(ProcessLookupError):
        os.kill(int(said), 0)


def test_a_server_that_ignores_its_signal_is_killed_with_its_workers(folder: str) -> None:
    (Path(folder) / "sv_stays.py").write_text(APPLICATION + IGNORES)
    with start(wsgiref(), Launch(target="sv_stays:app", bind=Bind(port=0), app_dir=folder)) as running:
        assert running.stop(timeout=0.2) == -signal.SIGKILL


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"  # a zombie has ended
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="/proc belongs to Linux")
def test_a_worker_that_outlives_its_server_is_ended(folder: str) -> None:
    left = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('child', child.pid, flush=True)\n"
        "import runpy\nrunpy.run_module('gateway.servers._run_wsgiref', run_name='__main__')\n"
    )

    def arguments(launch: Launch) -> list[str]:
        return ["-c", left, f"--bind={launch.bind}", launch.target]

    server = replace(servers.get("wsgiref"), arguments=arguments)
    with start(server, Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder)) as running:
        (child,) = [int(line.split()[1]) for line in running.output().splitlines() if line.startswith("child ")]
        os.kill(child, 0)
    deadline = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_missing_package_or_capability_is_said_before_anything_starts(folder: str) -> None:
    launch = Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder)
    with pytest.raises(ConfigurationError, match="no_such_package"):
        start(replace(wsgiref(), module="no_such_package"), launch)
    with pytest.raises(ConfigurationError, match="cannot start several workers"):
        start(wsgiref(), replace(launch, workers=2))


def test_wsgiref_refuses_a_chunked_body_instead_of_losing_it(folder: str) -> None:
    with start(wsgiref(), Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder)) as running:
        with running.bind.connect(10.0) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            assert (
                connection.recv(65536).split(b"\r\n")[0].endswith(b"501 Transfer-Encoding is not supported by wsgiref")
            )


@pytest.mark.parametrize(("threads", "said"), [(None, b"True"), (1, b"False")])
def test_wsgiref_says_whether_it_has_threads(folder: str, threads: int | None, said: bytes) -> None:
    launch = Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder, threads=threads)
    with start(wsgiref(), launch) as running:
        assert get(running, "/multithread").endswith(said)


@pytest.mark.parametrize("threads", [None, 1])
def test_a_request_in_flight_ends_before_the_server_does(folder: str, threads: int | None) -> None:
    server = wsgiref()
    launch = Launch(target="sv_app:app", bind=Bind(port=0), app_dir=folder, threads=threads)
    with start(server, launch) as running, running.bind.connect(10.0) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"begun" not in answer:
            answer += connection.recv(65536)
        running.process.send_signal(server.stop_signal)
        assert b"ended" in answer + b"".join(iter(lambda: connection.recv(65536), b""))
        assert running.process.wait(20) == 0
