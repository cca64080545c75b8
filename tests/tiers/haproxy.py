"""HAProxy in front of one server, on a free port of loopback."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.servers import Bind

__all__ = ["haproxy", "missing"]

_CONFIGURATION = """
global
    maxconn 200
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend clients
    bind unix@{listen}
    default_backend servers
backend servers
    server one {upstream}
"""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


def missing() -> str | None:
    """Say which program is not here."""
    return None if shutil.which("haproxy") or shutil.which("haproxy", path=_PATH) else "haproxy is not installed"


@contextmanager
def haproxy(folder: Path, upstream: Bind) -> Iterator[Bind]:
    """Start HAProxy in front of a server, and end it."""
    bind = Bind(path=str(folder / "haproxy.sock"))
    configuration = folder / "haproxy.cfg"
    configuration.write_text(_CONFIGURATION.format(listen=bind.path, upstream=upstream.netloc))
    program = shutil.which("haproxy") or shutil.which("haproxy", path=_PATH)
    assert program is not None
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-f", str(configuration), "-db"], stdout=log, stderr=log)
        try:
            _await_listening(process, bind)
            yield bind
        finally:
            process.terminate()
            process.wait(20)


def _await_listening(process: subprocess.Popen[bytes], bind: Bind) -> None:
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        try:
            bind.connect(1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("HAProxy does not listen")
