"""Apache with mod_wsgi does what its description says, under a user that may read Python.

Apache never serves as root. The package compiles against Apache, so the extra ``test`` does not have it;
``.ci/run`` installs both.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, mod_wsgi
from tests.gateway.servers.test_stop_signals import APPLICATION, LATER

ROOT = Path(__file__).resolve().parents[3]
GATEWAY = (sys.executable, "-m", "gateway")
SERVER = servers.get("mod-wsgi")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may read; pytest's own is for one user."""
    name = tempfile.mkdtemp(prefix="mw-")
    try:
        Path(name).chmod(0o755)
        yield Path(name)
    finally:
        shutil.rmtree(name)


@pytest.fixture
def reader(folder: Path) -> list[str]:
    """The command that runs its arguments as a user who can start the server, and writes into the folder."""
    reason = SERVER.missing()
    if reason is None:
        return ["env", f"TMPDIR={folder}"]
    if "serves as the user" not in reason or (setpriv := shutil.which("setpriv")) is None:
        pytest.skip(reason)
    user, group = mod_wsgi._account()
    shutil.chown(folder, user, group)
    return [
        *(setpriv, f"--reuid={user}", f"--regid={group}", "--clear-groups"),
        # Python may be in root's home folder.
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
        *("env", f"HOME={folder}", f"TMPDIR={folder}"),
    ]


@pytest.mark.slow
def test_its_capabilities_and_its_quirks_are_those_that_are_measured(reader: list[str]) -> None:
    commands = [
        [*GATEWAY, "measure", "mod-wsgi"],
        *(
            [*GATEWAY, "matrix", f"tests.gateway.matrix.site:{app}", "--only=mod-wsgi", "--format=json"]
            for app in ("flask_app", "fastapi_app")
        ),
    ]

    def call(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*reader, *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    with ThreadPoolExecutor(len(commands)) as pool:
        measured, *matrices = pool.map(call, commands)
    assert measured.returncode == 0, measured.stdout + measured.stderr
    for each in matrices:
        assert each.returncode == 0, each.stdout + each.stderr
        found = json.loads(each.stdout)
        assert (found["unknown"], found["stale"]) == (0, [])
        assert found["configurations"][0]["requests"] >= 40


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGWINCH", "SIGTERM"])
def test_a_request_in_flight_ends_on_the_graceful_signal_only(name: str, reader: list[str], folder: Path) -> None:
    (folder / "sv_stop.py").write_text(APPLICATION)
    with Bind(port=0).listen() as listener:
        bind = Bind(port=0).at(listener)
    command = [*reader, *GATEWAY, "run", "sv_stop:app", "--server=mod-wsgi", f"--bind={bind}", f"--app-dir={folder}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with _connected(process, bind) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            received = b""
            while b"begun" not in received:
                received += connection.recv(65536)
            process.send_signal(signal.Signals[name])
            if name == "SIGWINCH":
                time.sleep(LATER)
                (folder / "go").touch()
            received += b"".join(iter(lambda: connection.recv(65536), b""))
        (folder / "go").touch()
        assert (b"ended" in received) is (name == "SIGWINCH")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(20)


def _connected(process: subprocess.Popen[bytes], bind: Bind) -> socket.socket:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None
        try:
            return bind.connect(20.0)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_root_is_told_that_apache_cannot_read_its_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "python").mkdir(parents=True)
    home.chmod(0o700)
    monkeypatch.setattr(sys, "base_prefix", str(home / "python"))
    monkeypatch.setattr(sys, "prefix", str(home / "python"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    reason = mod_wsgi._unreadable()
    assert reason is not None
    assert f"cannot read Python in {home / 'python'}" in reason
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert mod_wsgi._unreadable() is None


@pytest.mark.parametrize("uid", [0, 1000])
def test_only_root_names_a_user_to_serve_as(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    argv = SERVER.command(Launch(target="shop:app", bind=Bind(port=8001), workers=2, threads=3, keep_alive=75)).argv
    assert ("--user" in argv) is (uid == 0)
    if uid == 0:
        assert pwd.getpwnam(argv[argv.index("--user") + 1]).pw_uid > 0
    assert argv[-5:] == ("--application-type", "module", "--callable-object", "app", "shop")
    assert argv[argv.index("--keep-alive-timeout") + 1] == "75"
