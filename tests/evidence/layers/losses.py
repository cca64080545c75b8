"""Failed requests of a restart: each server behind HAProxy, one machine behind NGINX, and servers without a proxy.

Half of the requests are POSTs with serial numbers, and no request is sent again. Behind HAProxy, two nodes are stopped
and started one after the other. HAProxy takes a node out after two failed checks.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from gateway import servers
from gateway.deploy.generate import render
from gateway.servers import Bind, Launch, Running
from tests.tiers.deployed import ROOT, Deployed, Process, certificate, deployed, free_port, haproxy, until
from tests.tiers.deployed_chain import HOST, MAX_BYTES
from tests.tiers.load import Load

__all__ = ["KILLED", "ONE_MACHINE", "SEATS", "WAYS", "measure"]

CLIENTS = 8
#: Seconds of a drain: two checks, one second apart, that wait for one second each, and the reaction of HAProxy.
DRAIN = 5
WAYS = ("no drain", "SIGTERM held", "drain file", "SIGUSR1")

#: Server and number of workers, and the ways of a restart; ``+hooks`` is Gunicorn with this package's hooks.
SEATS: Mapping[tuple[str, int | None], tuple[str, ...]] = {
    ("gunicorn-sync+hooks", 2): ("no drain", "SIGTERM held", "drain file"),
    ("gunicorn-gthread+hooks", 2): WAYS,
    ("gunicorn-asgi+hooks", 2): WAYS,
    ("uvicorn", 1): WAYS,
    ("uvicorn", 2): ("no drain", "SIGTERM held", "drain file"),
    ("granian-asgi", 1): ("no drain", "SIGTERM held", "drain file"),
    ("granian-wsgi", 1): ("no drain", "drain file"),
    ("hypercorn-asyncio", 1): ("no drain", "drain file"),
    ("hypercorn-asyncio", 2): ("no drain", "drain file"),
    ("waitress", None): ("no drain", "drain file"),
    ("cheroot", None): ("no drain", "drain file"),
    ("daphne", None): ("no drain", "drain file"),
    ("pyuwsgi", 2): ("no drain", "drain file"),
}
#: One machine: NGINX -> unix socket -> Gunicorn, by the kind of the application.
ONE_MACHINE = ("stop and start, Gunicorn's own socket", "HUP twice", "stop and start, socket held by systemd")
#: Without a proxy: one of two workers is killed, or workers are replaced.
KILLED = ("`kill -9` of a worker", "`HUP`", "`--max-requests 100`")
WORKERS = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-asgi")

Row = dict[str, int]


def _counts(load: Load, noted: Counter[str]) -> Row:
    return {
        "sent": load.sent.total(),
        "failed": len(load.failed),
        "undone": len(set(load.done) - set(noted)),
        "twice": sum(times > 1 for times in noted.values()),
    }


def _noted(folder: Path) -> Counter[str]:
    lines = (folder / "notes").read_text().splitlines()
    return Counter(line.removeprefix("done ") for line in lines if line.startswith("done "))


class Nodes:
    """Two nodes of one kind, and HAProxy in front of them."""

    def __init__(self, seat: tuple[str, int | None], way: str, folder: Path) -> None:
        self.name, self.workers = seat
        self.way, self.folder = way, folder
        self.ports = [free_port(), free_port()]
        self.nodes: list[Running] = []

    def start(self, index: int) -> Running:
        server = servers.get(self.name.removesuffix("+hooks"))
        environment = {"DEPLOYED_FOLDER": str(self.folder)}
        environment["FRAMEWORK"] = "fastapi" if server.interface == "asgi" else "flask"
        if self.way == "SIGTERM held":
            environment["DRAIN_SECONDS"] = str(DRAIN)
        elif self.way == "drain file":
            environment["DRAIN_FILE"] = str(self.file(index))
        elif self.way == "SIGUSR1":
            environment["DRAIN_SIGNAL"] = "yes"
        launch = Launch(
            target="tests.evidence.layers.losses_app:app",
            bind=Bind(port=self.ports[index]),
            workers=self.workers if (self.workers or 1) > 1 else None,
            app_dir=str(ROOT),
            hooks="+hooks" in self.name,
            environment=environment,
            believes_proxies=False,
        )
        return servers.start(server, launch, ready="/readyz", timeout=60)

    def file(self, index: int) -> Path:
        return self.folder / f"drain{index}"

    def restart(self, index: int) -> None:
        node = self.nodes[index]
        if self.way == "drain file":
            self.file(index).touch()
            time.sleep(DRAIN)
        elif self.way == "SIGUSR1":
            node.process.send_signal(signal.SIGUSR1)
            time.sleep(DRAIN)
        node.stop(timeout=60)
        self.file(index).unlink(missing_ok=True)
        self.nodes[index] = self.start(index)
        time.sleep(2)  # HAProxy's next check takes it in again

    @contextmanager
    def balanced(self) -> Iterator[Deployed]:
        certificate(self.folder)
        with ExitStack() as stack:
            stack.callback(lambda: [node.stop() for node in self.nodes])
            self.nodes += [self.start(0), self.start(1)]
            files = render(
                "haproxy",
                {
                    "application": "shop:app",
                    "name": "shop",
                    "hosts": [HOST],
                    "max_bytes": MAX_BYTES,
                    "drain": DRAIN,
                    "nodes": [f"127.0.0.1:{port}" for port in self.ports],
                    "certificate": str(self.folder / "certificate.pem"),
                },
            )
            running = Deployed(self.folder, free_port())
            front = haproxy(self.folder, files["haproxy.cfg"], running.port)
            stack.callback(front.stop)
            until(lambda: _responds(running))
            yield running


def _responds(running: Deployed) -> bool:
    try:
        return running.ask("GET", "/facts").status == 200
    except OSError:
        return False


def _rolled(seat: tuple[str, int | None], way: str) -> Row:
    with tempfile.TemporaryDirectory(prefix="roll-") as folder:
        nodes = Nodes(seat, way, Path(folder))
        with nodes.balanced() as running:
            with Load(running.connection, CLIENTS) as load:
                until(partial(load.reached, 100))
                for index in range(2):
                    nodes.restart(index)
            return _counts(load, _noted(Path(folder)))


def _one_machine(way: str, app: str) -> Row:
    with tempfile.TemporaryDirectory(prefix="one-") as name, deployed("nginx", f"{app}:proxied_app", Path(name)) as it:
        folder = Path(name)
        if "own" in way:  # the same command without the held socket
            command = [*it.servers[0].process.args[5:]]  # type: ignore[index]  # a list: `Process` starts it so
            it.restart()
            it.servers[0].stop()
            (folder / "shop.sock").unlink()

            def start() -> Process:
                return Process(command, folder / "gunicorn.log", DEPLOYED_FOLDER=name)

            it.start_server = start
            it.servers[0] = start()
        until(lambda: _responds(it))
        log = folder / "gunicorn.log"
        with Load(it.connection, CLIENTS) as load:
            for part in (1, 2):
                until(partial(load.reached, part * 400), 120)
                if way.startswith("HUP"):
                    booted = log.read_text().count("Booting worker")
                    it.servers[0].process.send_signal(signal.SIGHUP)
                    until(lambda booted=booted: log.read_text().count("Booting worker") > booted)  # type: ignore[misc]  # bound here
                elif part == 1:
                    it.restart()
            until(partial(load.reached, 1200), 120)
        return _counts(load, _noted(folder))


def _killed(way: str, name: str) -> Row:
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        server = servers.get(name)
        launch = Launch(
            target="tests.evidence.layers.losses_app:app",
            bind=Bind(port=0),
            workers=2,
            app_dir=str(ROOT),
            hooks=True,
            arguments=("--max-requests", "100") if "max" in way else (),
            environment={
                "DEPLOYED_FOLDER": folder,
                "FRAMEWORK": "fastapi" if server.interface == "asgi" else "flask",
            },
        )
        with servers.start(server, launch, ready="/readyz", timeout=60) as running:
            alone = Deployed(Path(folder), running.bind.port or 0, tls=False)
            with Load(alone.connection, CLIENTS) as load:
                until(partial(load.reached, 150))
                pid = running.process.pid
                if "kill" in way:
                    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                    os.kill(int(workers[0]), signal.SIGKILL)
                elif "HUP" in way:
                    os.kill(pid, signal.SIGHUP)
                until(partial(load.reached, 600), 120)
        return _counts(load, _noted(Path(folder)))


def measure() -> dict[str, dict[str, dict[str, Row]]]:
    """Measure every way of every server: rows by their name, each with its ways."""

    def row(name: str, ways: Mapping[str, Callable[[], Row]]) -> dict[str, Row]:
        found = {way: measured() for way, measured in ways.items()}
        print(f"{name}: {found}", flush=True)
        return found

    nodes: dict[str, dict[str, Row]] = {}
    for seat, ways in SEATS.items():
        name = f"{seat[0].removesuffix('+hooks')}, {seat[1]} workers" if (seat[1] or 1) > 1 else seat[0]
        nodes[name] = row(name, {way: partial(_rolled, seat, way) for way in ways})
    machine: dict[str, dict[str, Row]] = {}
    for way in ONE_MACHINE:
        apps = {"gthread": "flask", "asgi": "fastapi"}
        machine[way] = row(way, {kind: partial(_one_machine, way, app) for kind, app in apps.items()})
    killed: dict[str, dict[str, Row]] = {}
    for way in KILLED:
        killed[way] = row(way, {name.removeprefix("gunicorn-"): partial(_killed, way, name) for name in WORKERS})
    return {"nodes": nodes, "machine": machine, "killed": killed}
