"""Rolling restarts under load: every node is drained, stopped and started, and no request is lost or done twice.

Half of the requests are POSTs with serial numbers, which the node notes when it has done the work.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.tiers.deployed import Deployed, deployed, missing, until
from tests.tiers.load import Load

CLIENTS = 6
REQUESTS = 3000


def roll(kind: str, app: str, folder: Path, rolls: Callable[[Deployed, Load], None]) -> None:
    with deployed(kind, app, folder) as running:
        with Load(running.connection, CLIENTS) as load:
            rolls(running, load)
            until(partial(load.reached, REQUESTS), 300)
        noted = Counter(line.removeprefix("done ") for line in running.notes() if line.startswith("done "))
        assert load.failed == {}
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
