"""NGINX, HAProxy and Caddy in front of a server, each with a small configuration that changes nothing on purpose.

Each listens on a free port of loopback, logs nothing, and runs until the block ends. A proxy starts in a folder of its
own, and writes nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError
from gateway.servers import Bind

__all__ = ["PROXIES", "Proxy", "ProxyError", "installed"]

_START_SECONDS = 15.0

_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
    access_log off; client_max_body_size 8m;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
        }}
    }}
}}
"""
_HAPROXY = """
global
    maxconn 64
defaults
    mode http
    option http-no-delay
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one {upstream}
"""


class ProxyError(GatewayError):
    """A proxy did not start; the message holds its output."""


@dataclass(frozen=True)
class Proxy:
    """A program that stands in front of a server.

    Attributes:
        name: Its name.
        program: The program to run.
        prepare: Function that writes its configuration into a folder, for a port and an upstream address, and returns
            the arguments.
    """

    name: str
    program: str
    prepare: Callable[[Path, int, str], list[str]]

    def path(self) -> str | None:
        """Return the path of the program, or None if it is not installed."""
        return shutil.which(self.program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))

    def version(self) -> str:
        """Return the version that the program prints."""
        flag = "version" if self.name == "caddy" else "-v"
        done = subprocess.run([self.path() or self.program, flag], capture_output=True, text=True, check=False)
        found = re.search(r"\b\d+(\.\d+)+", done.stdout + done.stderr)
        return found.group() if found else "0"

    @contextmanager
    def running(self, upstream: Bind) -> Generator[Bind]:
        """Start it in front of a server, and yield its address.

        Raises:
            ProxyError: It did not start.
        """
        with Bind(port=0).listen() as listener:
            bind = Bind(port=0).at(listener)
        with tempfile.TemporaryDirectory(prefix="proxy-") as name:
            folder = Path(name)
            arguments = self.prepare(folder, bind.port, upstream.netloc)
            log = folder / "log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [self.path() or self.program, *arguments],
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    env={**os.environ, "HOME": name, "XDG_DATA_HOME": name, "XDG_CONFIG_HOME": name},
                )
            try:
                self._await(process, bind, log)
                yield bind
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _await(self, process: subprocess.Popen[bytes], bind: Bind, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                bind.connect(1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise ProxyError(f"{self.name} did not start: {log.read_text('utf-8', 'replace').strip()}")


def _nginx(folder: Path, port: int, upstream: str) -> list[str]:
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, upstream=upstream))
    return ["-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def _haproxy(folder: Path, port: int, upstream: str) -> list[str]:
    (folder / "haproxy.cfg").write_text(_HAPROXY.format(port=port, upstream=upstream))
    return ["-f", str(folder / "haproxy.cfg")]


def _caddy(folder: Path, port: int, upstream: str) -> list[str]:
    handler = {"handler": "reverse_proxy", "upstreams": [{"dial": upstream}], "flush_interval": -1}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [handler]}],
    }
    configuration = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"grace_period": "1s", "servers": {"front": server}}},
    }
    (folder / "caddy.json").write_text(json.dumps(configuration))
    return ["run", "--config", str(folder / "caddy.json")]


PROXIES = (Proxy("nginx", "nginx", _nginx), Proxy("haproxy", "haproxy", _haproxy), Proxy("caddy", "caddy", _caddy))


def installed() -> tuple[Proxy, ...]:
    """The proxies whose programs are on this machine."""
    return tuple(proxy for proxy in PROXIES if proxy.path() is not None)
