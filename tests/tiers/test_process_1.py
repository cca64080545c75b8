"""The container's command as process 1 of a PID namespace: it gets the stop signal, and finishes its request."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.deploy.generate import render
from tests.tiers.deployed import Deployed, Process, _values, free_port, until


def namespaces() -> str | None:
    """Say why a PID namespace cannot be made here."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    done = subprocess.run(["unshare", "--pid", "--fork", "--kill-child", "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "this machine gives no PID namespace"


def test_the_containers_command_drains_as_process_1(tmp_path: Path) -> None:
    if reason := namespaces():
        pytest.skip(reason)
    files = render("docker", _values("flask:proxied_app", tmp_path))
    (tmp_path / "gunicorn.conf.py").write_text(files["gunicorn.conf.py"])
    [command] = re.findall(r"^CMD (\[.*\])$", files["Dockerfile"], re.MULTILINE)
    words = json.loads(command)
    assert words[0] == "gunicorn"
    port = free_port()
    words[words.index("/srv/shop/gunicorn.conf.py")] = str(tmp_path / "gunicorn.conf.py")
    words[words.index("0.0.0.0:8000")] = f"127.0.0.1:{port}"
    argv = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-m", *words]
    server = Process(argv, tmp_path / "gunicorn.log", DEPLOYED_FOLDER=str(tmp_path))
    running = Deployed(tmp_path, port, tls=False)
    try:
        until(lambda: (tmp_path / "gunicorn.log").read_text().count("Booting worker") > 0)
        until(lambda: _ready(running))
        found: list[int] = []
        asked = threading.Thread(target=lambda: found.append(running.ask("POST", "/slow?seconds=0.5", b"one").status))
        asked.start()
        until(lambda: "begun one" in running.notes())
        child = int(Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()[0])
        status = Path(f"/proc/{child}/status").read_text()
        assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE)  # it is process 1 of its namespace
        os.kill(child, signal.SIGTERM)
        asked.join(30)
        assert found == [200]
        assert server.process.wait(30) == 0
    finally:
        server.stop()


def _ready(running: Deployed) -> bool:
    try:
        return running.ask("GET", "/readyz").status == 200
    except OSError:
        return False
