"""HAProxy -> several NGINX -> several nodes of Gunicorn on one machine, from generated files.

Each machine has an address of its own on loopback: 127.0.1.x is an NGINX, 127.0.2.x is a node. Every change of the
numbers is made as an operator makes it: the files are generated again, and the program reloads them.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gateway.deploy.generate import render
from tests.tiers.deployed import PATH, Process, certificate, changed, client, free_port, until
from tests.tiers.deployed_chain import HOST, MAX_BYTES

__all__ = ["Machine", "Scaled", "scaled"]

WORKERS = 2


@dataclass
class Machine:
    """One machine: its address, its folder, its process, and the socket that its socket unit holds."""

    address: str
    folder: Path
    process: Process
    held: socket.socket | None = None

    def children(self) -> list[int]:
        """Return the processes of the workers."""
        pid = self.process.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        """End everything at once, as a machine without power: processes and the held socket."""
        children = self.children()
        for pid in (self.process.process.pid, *children):  # the parent first, so that it starts no new ones
            os.kill(pid, signal.SIGKILL)
        self.process.process.wait()
        if self.held is not None:
            self.held.close()
        until(lambda: not any(_alive(pid) for pid in children))


@dataclass
class Scaled:
    """A running deployment.

    Attributes:
        folder: Folder of its files.
        port: Port of HAProxy.
        redis: Address of the store of the limits; empty to count in each worker.
        workers: Workers of a node.
        threads: Threads of a worker.
    """

    folder: Path
    port: int
    redis: str = ""
    workers: int = WORKERS
    threads: int = 4
    inner_port: int = field(default_factory=free_port)
    nodes: list[Machine] = field(default_factory=list)
    proxies: list[Machine] = field(default_factory=list)
    dead: list[Machine] = field(default_factory=list)
    haproxy: Process | None = None

    @contextmanager
    def connection(self, source: str = "127.0.0.1") -> Iterator[http.client.HTTPConnection]:
        """Open a connection from one of this machine's addresses."""
        plain = socket.create_connection(("127.0.0.1", self.port), 60, (source, 0))
        connection = http.client.HTTPConnection(HOST)
        connection.sock = client(self.folder).wrap_socket(plain, server_hostname=HOST)
        try:
            yield connection
        finally:
            connection.close()

    def noted(self, name: str = "") -> Counter[str]:
        """Return how often each serial number that begins so was done, at all nodes that there were."""
        folders = [machine.folder for machine in (*self.nodes, *self.dead)]
        files = [folder / "notes" for folder in folders if (folder / "notes").exists()]
        lines = [line.removeprefix("done ") for file in files for line in file.read_text().splitlines()]
        return Counter(line for line in lines if line.startswith(name))

    # Nodes.
    def add_nodes(self, count: int = 1) -> None:
        """Start nodes, then tell every NGINX."""
        for _ in range(count):
            number = len(self.nodes) + sum(machine.held is not None for machine in self.dead) + 1
            address, folder = f"127.0.2.{number}", self.folder / f"node{number}"
            folder.mkdir()
            held = socket.create_server((address, self.inner_port), backlog=512)
            self.nodes.append(Machine(address, folder, self._gunicorn(address, folder, held), held))
        for node in self.nodes[-count:]:
            until(partial(self._responds, node.address))
        self.reload_proxies()

    def restart_node(self, node: Machine) -> None:
        """Restart the service of a node; its socket unit holds the socket."""
        node.process.stop()
        assert node.held is not None
        node.process = self._gunicorn(node.address, node.folder, node.held)

    def kill_node(self, node: Machine) -> None:
        """End a node at once; no NGINX is told."""
        self.nodes.remove(node)
        self.dead.append(node)
        node.kill()

    def _gunicorn(self, address: str, folder: Path, held: socket.socket) -> Process:
        conf = folder / "gunicorn.conf.py"
        addresses = {*(node.address for node in self.nodes), address}
        conf.write_text(self._files("nginx", sorted(addresses))["gunicorn.conf.py"])
        environment = {"DEPLOYED_FOLDER": str(folder), **({"REDIS": self.redis} if self.redis else {})}
        argv = [sys.executable, "-m", "gunicorn", "--config", str(conf)]
        return Process(argv, folder / "gunicorn.log", fd=held.fileno(), **environment)

    def _responds(self, address: str) -> bool:
        connection = http.client.HTTPConnection(address, self.inner_port, timeout=30)
        try:
            connection.request("GET", "/readyz", headers={"Host": HOST})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    # Proxies.
    def add_proxy(self) -> None:
        """Start an NGINX, then tell HAProxy."""
        number = len(self.proxies) + sum(machine.held is None for machine in self.dead) + 1
        address, folder = f"127.0.1.{number}", self.folder / f"proxy{number}"
        folder.mkdir()
        self._write_nginx(address, folder)
        argv = [str(shutil.which("nginx", path=PATH)), "-c", str(folder / "nginx.conf")]
        self.proxies.append(Machine(address, folder, Process(argv, folder / "nginx.log")))
        until(lambda: self._responds(address))
        self.reload_haproxy()

    def kill_proxy(self, proxy: Machine) -> None:
        """End an NGINX at once; HAProxy is not told."""
        self.proxies.remove(proxy)
        self.dead.append(proxy)
        proxy.kill()

    def reload_proxies(self) -> None:
        """Write nginx.conf with the nodes that there are, and reload each NGINX after its drain.

        A reload closes the idle connections of HAProxy, which may send a request into one at that moment.
        """
        for proxy in self.proxies:
            before = set(proxy.children())
            self._write_nginx(proxy.address, proxy.folder)
            drain = proxy.folder / "drain"
            drain.touch()
            until(partial(self._reports, proxy, "DOWN"))
            proxy.process.process.send_signal(signal.SIGHUP)
            until(partial(_replaced, proxy, before))
            drain.unlink()
            until(partial(self._reports, proxy, "UP"))

    def _reports(self, proxy: Machine, state: str) -> bool:
        """Whether the last that HAProxy logged about both backends of an NGINX is this state."""
        number = self.proxies.index(proxy) + 1
        lines = (self.folder / "haproxy.log").read_text().splitlines()
        said = [re.search(rf"Server (servers|streams)/node{number} is (UP|DOWN)", line) for line in lines]
        last = {found[1]: found[2] for found in said if found}
        return set(last.values()) == {state} and len(last) == 2

    def _write_nginx(self, address: str, folder: Path) -> None:
        changes = {"/run/nginx.pid": f"{folder}/nginx.pid", "/var/log/nginx/": f"{folder}/"}
        changes |= {"user www-data;": "daemon off;" + (" user root;" if os.geteuid() == 0 else "")}
        changes |= {"/run/shop-proxy.drain": str(folder / "drain")}
        changes |= {"listen 80": f"listen {address}:{self.inner_port}", "worker_processes auto": "worker_processes 2"}
        (folder / "nginx.conf").write_text(
            changed(self._files("nginx", self._addresses(self.nodes))["nginx.conf"], changes)
        )

    # HAProxy.
    def reload_haproxy(self) -> None:
        """Write haproxy.cfg with the NGINX that there are, and reload HAProxy if it runs."""
        if self.haproxy is not None:
            self._write_haproxy()
            begun = self._haproxy_started()
            self.haproxy.process.send_signal(signal.SIGUSR2)
            until(lambda: self._haproxy_started() > begun)

    def start_haproxy(self) -> None:
        self._write_haproxy()
        argv = [str(shutil.which("haproxy", path=PATH)), "-W", "-f", str(self.folder / "haproxy.cfg")]
        self.haproxy = Process(argv, self.folder / "haproxy.log")
        until(self._served)

    def _write_haproxy(self) -> None:
        changes = {"bind :443 ssl": f"bind 127.0.0.1:{self.port} ssl", "bind :80": f"bind 127.0.0.1:{free_port()}"}
        changes |= {"crt " + str(self.folder / "certificate.pem"): "crt " + str(self.folder / "both.pem")}
        (self.folder / "haproxy.cfg").write_text(
            changed(self._files("haproxy", self._addresses(self.proxies))["haproxy.cfg"], changes)
        )

    def _haproxy_started(self) -> int:
        return (self.folder / "haproxy.log").read_text().count("Loading success")

    def _served(self) -> bool:
        try:
            with self.connection() as connection:
                connection.request("GET", "/work")
                return connection.getresponse().status == 200
        except OSError:
            return False

    @staticmethod
    def _addresses(machines: list[Machine]) -> list[str]:
        return [machine.address for machine in machines]

    def _files(self, deployment: str, addresses: list[str]) -> dict[str, str]:
        values: dict[str, object] = {
            "application": "tests.tiers.scaled_app:app",
            "name": "shop",
            "hosts": [HOST],
            "max_bytes": MAX_BYTES,
            "longest_request": 10,
            "drain": 5,
            "workers": self.workers,
            "threads": self.threads,
            "certificate": str(self.folder / "certificate.pem"),
            "key": str(self.folder / "key.pem"),
            "nodes": [f"{address}:{self.inner_port}" for address in addresses],
        }
        if deployment == "haproxy":  # a server of HAProxy is an NGINX, with all nodes behind it
            values["workers"] = self.workers * max(1, len(self.nodes))
            values["compress"] = False
        else:
            values |= {"port": self.inner_port, "tls": False, "balancers": ["127.0.0.1/32"], "balancer_ids": True}
        return render(deployment, values)


@contextmanager
def scaled(folder: Path, proxies: int, nodes: int, *, redis: str = "", threads: int = 4) -> Iterator[Scaled]:
    """Start so many NGINX and nodes, and end them."""
    certificate(folder)
    running = Scaled(folder, free_port(), redis=redis, threads=threads)
    with ExitStack() as stack:
        stack.callback(_end, running)
        running.add_nodes(nodes)
        for _ in range(proxies):
            running.add_proxy()
        running.start_haproxy()
        yield running


def _end(running: Scaled) -> None:
    if running.haproxy is not None:
        running.haproxy.stop()
    machines = (*running.proxies, *running.nodes)
    for machine in machines:  # all at once
        machine.process.process.terminate()
    for machine in machines:
        machine.process.stop()
        if machine.held is not None:
            machine.held.close()


def _replaced(machine: Machine, before: set[int]) -> bool:
    return not before & set(machine.children())


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
