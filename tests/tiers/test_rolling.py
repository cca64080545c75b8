"""Rolling restarts under load: every node is drained, stopped and started, and no request is lost or done twice.

Half of the requests are POSTs with serial numbers, which the node notes when it has done the work.
"""

from __future__ import annotations

import http.client
import signal
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.tiers.deployed import Deployed, deployed, missing, until

CLIENTS = 6
REQUESTS = 3000


class Load:
    """Clients that send until they are told to stop: kept connections, GET and POST in turn."""

    def __init__(self, running: Deployed) -> None:
        self.running = running
        self.sent: Counter[str] = Counter()
        self.failed: list[str] = []
        self.done: list[str] = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def reached(self, requests: int) -> bool:
        """Whether so many requests were sent."""
        return self.sent.total() >= requests

    def _client(self, number: int) -> None:
        serial = 0
        while not self.stop.is_set():
            try:
                with self.running.connection() as connection:
                    while not self.stop.is_set():
                        serial += 1
                        self._one(connection, f"{number}-{serial}", serial % 2 == 0)
            except (OSError, http.client.HTTPException) as error:
                # A proxy may close an idle connection, and a client must not send again what it has sent.
                self.failed.append(f"{number}-{serial}: {error!r}")

    def _one(self, connection: http.client.HTTPConnection, serial: str, post: bool) -> None:
        self.sent["POST" if post else "GET"] += 1
        if post:
            connection.request("POST", "/slow?seconds=0.01", body=serial.encode())
        else:
            connection.request("GET", "/facts")
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            self.failed.append(f"{serial}: {response.status}")
        elif post:
            self.done.append(serial)


def roll(kind: str, app: str, folder: Path, rolls: Callable[[Deployed, Load], None]) -> None:
    with deployed(kind, app, folder) as running:
        with Load(running) as load:
            rolls(running, load)
            until(partial(load.reached, REQUESTS), 300)
        noted = Counter(line.removeprefix("done ") for line in running.notes() if line.startswith("done "))
        assert load.failed == []
        assert {serial for serial, times in noted.items() if times > 1} == set()  # nothing is done twice
        assert set(load.done) == set(noted)  # everything that was answered was done, and the other way round
        assert load.sent.total() >= REQUESTS


def every_node(running: Deployed, load: Load) -> None:
    for index in range(len(running.servers)):
        running.restart(index)


@pytest.mark.slow
@pytest.mark.parametrize("app", ["flask:balanced_app", "fastapi:balanced_app"])
def test_nodes_behind_haproxy_are_rolled_without_a_loss(app: str, tmp_path: Path) -> None:
    if reason := missing("haproxy"):
        pytest.skip(reason)
    roll("haproxy", app, tmp_path, every_node)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nginx", "caddy"])
@pytest.mark.parametrize("app", ["flask:proxied_app", "fastapi:proxied_app"])
def test_a_restart_behind_a_held_socket_loses_nothing(kind: str, app: str, tmp_path: Path) -> None:
    if reason := missing(kind):
        pytest.skip(reason)

    def twice(running: Deployed, load: Load) -> None:
        for part in (1, 2):
            until(partial(load.reached, part * REQUESTS // 3), 120)
            running.restart()

    roll(kind, app, tmp_path, twice)


@pytest.mark.slow
def test_a_reload_by_hup_loses_nothing(tmp_path: Path) -> None:
    if reason := missing("nginx"):
        pytest.skip(reason)

    def reload(running: Deployed, load: Load) -> None:
        log = running.folder / "gunicorn.log"
        for part in (1, 2):
            until(partial(load.reached, part * REQUESTS // 3), 120)
            running.servers[0].process.send_signal(signal.SIGHUP)  # ExecReload= of the generated unit
            until(partial(_booted, log, part + 1))

    roll("nginx", "flask:proxied_app", tmp_path, reload)


def _booted(log: Path, workers: int) -> bool:
    return log.read_text().count("Booting worker") >= workers
