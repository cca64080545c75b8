"""Start what `gateway generate` wrote: the same files, with ports, folders and users of this machine.

A file is changed in the places that name the machine, and each place has to be there. Gunicorn gets its socket as a
systemd socket unit would give it: as descriptor 3, with ``LISTEN_FDS`` and ``LISTEN_PID``.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.deploy.generate import render
from tests.tiers.deployed_chain import HOST, MAX_BYTES

__all__ = [
    "Answer",
    "Deployed",
    "Process",
    "certificate",
    "changed",
    "client",
    "deployed",
    "haproxy",
    "missing",
    "nginx",
    "until",
]

ROOT = Path(__file__).resolve().parent.parent.parent
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=6.6.6.6;proto=gopher;host=evil.example",
    "X-Request-ID": "forged-by-a-client",
}


def missing(*programs: str) -> str | None:
    """Say which program is not here."""
    gone = [name for name in (*programs, "openssl") if shutil.which(name, path=PATH) is None]
    return f"not installed: {', '.join(gone)}" if gone else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.02)


class Process:
    """A process of this test, ended by its own id."""

    def __init__(self, argv: Sequence[str], log: Path, *, fd: int | None = None, **environment: str) -> None:
        self.log = log
        command = list(argv)
        if fd is not None:  # the small program becomes the server, so that LISTEN_PID is the server's
            program = (
                "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); "
                "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.argv[2], sys.argv[2:])"
            )
            command = [sys.executable, "-S", "-c", program, str(fd), *command]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                pass_fds=() if fd is None else (fd,),
            )

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Deployed:
    """A running deployment.

    Attributes:
        folder: Folder of its files, logs and notes.
        port: Port of the outermost proxy.
        tls: The port speaks TLS.
        servers: Its application servers, restarted by `restart`.
    """

    folder: Path
    port: int
    tls: bool = True
    servers: list[Process] = field(default_factory=list)
    start_server: Callable[[], Process] | None = None
    start_node: Callable[[int], Process] | None = None

    @contextmanager
    def connection(self, host: str = HOST) -> Iterator[http.client.HTTPConnection]:
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        connection = http.client.HTTPConnection(host)
        connection.sock = client(self.folder).wrap_socket(plain, server_hostname=HOST) if self.tls else plain
        try:
            yield connection
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        host: str = HOST,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        with self.connection(host) as connection:
            # A proxy that refuses a body may answer and close while it is sent: its answer is there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return file.read_text().splitlines() if file.exists() else []

    def restart(self, index: int = 0) -> None:
        """Restart a server: behind its held socket as systemd does, or a node after its drain."""
        self.servers[index].stop(seconds=60)
        if self.start_node is not None:
            self.servers[index] = self.start_node(index)
        else:
            assert self.start_server is not None
            self.servers[index] = self.start_server()


def client(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "certificate.pem"))


def changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", "key.pem", "-out", "certificate.pem", "-subj", f"/CN={HOST}", "-days", "2"),
            *("-addext", f"subjectAltName=DNS:{HOST}"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "both.pem").write_text((folder / "certificate.pem").read_text() + (folder / "key.pem").read_text())


def _values(app: str, folder: Path, **more: object) -> dict[str, object]:
    return {
        "application": f"tests.tiers.deployed_{app}",
        "name": "shop",
        "hosts": [HOST],
        "interface": "asgi" if "fastapi" in app else "wsgi",
        "max_bytes": MAX_BYTES,
        "drain": 10,
        "workers": 1,
        "longest_request": 10,
        "certificate": str(folder / "certificate.pem"),
        "key": str(folder / "key.pem"),
        **more,
    }


def _gunicorn(folder: Path, files: Mapping[str, str], **environment: str) -> tuple[list[str], dict[str, str]]:
    """Return Gunicorn's command, from the unit if there is one, and its environment."""
    conf = folder / "gunicorn.conf.py"
    conf.write_text(changed(files["gunicorn.conf.py"], {"/run/shop/": f"{folder}/"} if "shop.service" in files else {}))
    argv = [sys.executable, "-m", "gunicorn", "--config", str(conf)]
    if "shop.service" in files:
        unit = files["shop.service"]
        started = next(line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecStart="))
        words = shlex.split(started)
        assert words == ["/srv/shop/venv/bin/gunicorn", "--config", "/srv/shop/gunicorn.conf.py"]
        for line in unit.splitlines():
            if line.startswith("Environment="):
                name, _, value = line.removeprefix("Environment=").partition("=")
                environment[name] = value.replace("/run/shop-worker", str(folder / "worker"))
    return argv, {"DEPLOYED_FOLDER": str(folder), **environment}


def _reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """Hold the unix socket as the socket unit does."""
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(folder / "shop.sock"))
        (folder / "shop.sock").chmod(0o666)
        held.listen(512)
        yield held.fileno()


@contextmanager
def deployed(kind: str, app: str, folder: Path) -> Iterator[Deployed]:
    """Start a deployment: nginx, caddy, haproxy, haproxy-nginx or gunicorn, and end it."""
    certificate(folder)
    starting = {
        "nginx": _on_socket,
        "caddy": _on_socket,
        "haproxy": _balanced,
        "haproxy-nginx": _both,
        "gunicorn": _alone,
    }
    with starting[kind](kind, app, folder) as running:
        yield running


def nginx(folder: Path, text: str, port: int, *, tls: bool) -> Process:
    plain = free_port()
    changes = {"/run/nginx.pid": f"{folder}/nginx.pid", "/var/log/nginx/": f"{folder}/", "/run/shop/": f"{folder}/"}
    changes |= {"user www-data;": "daemon off;" + (" user root;" if os.geteuid() == 0 else "")}
    changes |= {"listen 80": f"listen 127.0.0.1:{plain if tls else port}"}
    if tls:
        changes |= {"listen 443": f"listen 127.0.0.1:{port}"}
    (folder / "nginx.conf").write_text(changed(text, changes))
    return Process([str(shutil.which("nginx", path=PATH)), "-c", str(folder / "nginx.conf")], folder / "nginx.log")


@contextmanager
def _on_socket(kind: str, app: str, folder: Path, **more: object) -> Iterator[Deployed]:
    files = render("caddy" if kind == "caddy" else "nginx", _values(app, folder, **more))
    port = free_port()
    argv, environment = _gunicorn(folder, files)
    with _held(folder) as fd:
        running = Deployed(folder, port, tls=more.get("tls", True) is True)

        def start() -> Process:
            return Process(argv, folder / "gunicorn.log", fd=fd, **environment)

        running.start_server = start
        running.servers.append(start())
        front = (
            _caddy(folder, files["Caddyfile"], port)
            if kind == "caddy"
            else nginx(folder, files["nginx.conf"], port, tls=running.tls)
        )
        try:
            until(lambda: _reachable(port))
            yield running
        finally:
            front.stop()
            for server in running.servers:
                server.stop()


def _caddy(folder: Path, text: str, port: int) -> Process:
    changes = {
        "/run/shop/": f"{folder}/",
        f"{HOST} {{": f"https://{HOST}:{port} {{\n\ttls {folder}/certificate.pem {folder}/key.pem",
    }
    changes |= {"\tgrace_period": "\tadmin off\n\tauto_https disable_redirects\n\tgrace_period"}
    (folder / "Caddyfile").write_text(changed(text, changes))
    return Process(
        [str(shutil.which("caddy", path=PATH)), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"],
        folder / "caddy.log",
        XDG_DATA_HOME=str(folder),
        XDG_CONFIG_HOME=str(folder),
        HOME=str(folder),
    )


def haproxy(folder: Path, text: str, port: int) -> Process:
    changes = {"bind :443 ssl": f"bind 127.0.0.1:{port} ssl", "bind :80": f"bind 127.0.0.1:{free_port()}"}
    changes |= {"crt " + str(folder / "certificate.pem"): "crt " + str(folder / "both.pem")}
    (folder / "haproxy.cfg").write_text(changed(text, changes))
    program = str(shutil.which("haproxy", path=PATH))
    return Process([program, "-db", "-f", str(folder / "haproxy.cfg")], folder / "haproxy.log")


@contextmanager
def _balanced(kind: str, app: str, folder: Path) -> Iterator[Deployed]:
    ports = [free_port(), free_port()]
    files = render("haproxy", _values(app, folder, nodes=[f"127.0.0.1:{port}" for port in ports]))
    argv, environment = _gunicorn(folder, files)
    running = Deployed(folder, free_port())
    started: list[Process] = []

    def ready(index: int) -> bool:
        node = Deployed(folder, ports[index], tls=False)
        return _reachable(ports[index]) and node.ask("GET", "/readyz").status == 200

    def start(index: int) -> Process:
        bind = f"127.0.0.1:{ports[index]}"
        node = Process(argv, folder / f"gunicorn-{index}.log", BIND=bind, DRAIN="10", **environment)
        until(lambda: ready(index))
        return node

    running.start_node = start
    try:
        running.servers += [start(0), start(1)]
        started.append(haproxy(folder, files["haproxy.cfg"], running.port))
        until(lambda: _reachable(running.port) and running.ask("GET", "/facts").status == 200)
        yield running
    finally:
        for process in [*started, *running.servers]:
            process.stop()


@contextmanager
def _both(kind: str, app: str, folder: Path) -> Iterator[Deployed]:
    """HAProxy ends TLS, NGINX is behind it, Gunicorn behind a unix socket."""
    with _on_socket("nginx", app, folder, tls=False, balancers=["127.0.0.1/32"], balancer_ids=True) as inside:
        nodes = [f"127.0.0.1:{inside.port}"]
        files = render("haproxy", _values(app, folder, nodes=nodes, compress=False))
        port = free_port()
        until(lambda: inside.ask("GET", "/readyz").status == 200)  # HAProxy would count a slow start as a failure
        front = haproxy(folder, files["haproxy.cfg"], port)
        try:
            outside = Deployed(folder, port, servers=inside.servers, start_server=inside.start_server)
            until(lambda: _reachable(port) and outside.ask("GET", "/facts").status == 200)
            yield outside
        finally:
            front.stop()


@contextmanager
def _alone(kind: str, app: str, folder: Path) -> Iterator[Deployed]:
    """Gunicorn alone, on a port."""
    files = render("gunicorn", _values(app, folder))
    argv, environment = _gunicorn(folder, files)
    port = free_port()
    running = Deployed(folder, port, tls=False)
    running.servers.append(Process(argv, folder / "gunicorn.log", BIND=f"127.0.0.1:{port}", **environment))
    try:
        until(lambda: _reachable(port))
        yield running
    finally:
        running.servers[0].stop()
