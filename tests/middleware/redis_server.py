"""A real Redis of the suite's own: on a unix socket, without files, ended by its process."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis


@contextlib.contextmanager
def running_redis() -> Iterator[str]:
    """Start a server and give its address, ``redis+unix:///path``.

    Raises:
        FileNotFoundError: redis-server is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, redis_in(folder) as address:
        yield address


@contextlib.contextmanager
def redis_in(folder: str) -> Iterator[str]:
    """Start a server in a folder; started again in the same one, it has the same address and no data.

    Raises:
        FileNotFoundError: redis-server is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("redis-server is not installed: apt-get install redis-server")
    path = Path(folder) / "redis.sock"  # a unix socket's path must be short
    argv = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", folder]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(path, server)
        yield f"redis+unix://{path}"
    finally:
        server.terminate()
        server.wait(10)


def _wait(path: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(redis.ConnectionError):
            with redis.Redis(unix_socket_path=str(path)) as client:
                client.ping()
            return
        time.sleep(0.02)
    raise RuntimeError("redis-server did not answer within 20 seconds")
