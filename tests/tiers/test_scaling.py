"""Each layer scales by itself: HAProxy -> two NGINX -> three nodes with two workers each, changed under constant load.

Half of the requests are POSTs with serial numbers, which are counted at the nodes. A change that an operator makes
loses nothing. A `kill -9` loses at most the requests in flight there: one of each client. NGINX sends a
GET to another node then, and never a POST.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from tests.middleware.redis_server import redis_in
from tests.tiers.deployed import missing, until
from tests.tiers.load import Load
from tests.tiers.scaled import WORKERS, Scaled, scaled
from tests.tiers.scaled_app import LIMIT

pytestmark = pytest.mark.slow

CLIENTS = 6


@dataclass
class Redis:
    """The store of the limits: it can fail and come back, without its data."""

    folder: str
    stack: ExitStack

    def start(self) -> str:
        return self.stack.enter_context(redis_in(self.folder))

    def stop(self) -> None:
        self.stack.close()


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, ExitStack() as stack:
        yield Redis(folder, stack)


@pytest.fixture(scope="module")
def running(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scaled]:
    if reason := missing("haproxy", "nginx", "redis-server"):
        pytest.skip(reason)
    with scaled(tmp_path_factory.mktemp("scaled"), proxies=2, nodes=3, redis=redis.start()) as found:
        yield found


def counted(running: Scaled, source: str, requests: int = 50, at_once: int = 5) -> tuple[Counter[int], set[str]]:
    """Send requests of one client to a limited page: how often which status, and the workers that counted."""

    def some(_: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        with running.connection(source) as connection:
            for _ in range(requests // at_once):
                connection.request("GET", "/limited")
                response = connection.getresponse()
                body = response.read().decode()
                found.append(
                    (response.status, body if response.status == 200 and "RateLimit" in response.headers else "")
                )
        return found

    with ThreadPoolExecutor(at_once) as threads:
        every = [each for part in threads.map(some, range(at_once)) for each in part]
    return Counter(status for status, _ in every), {worker for _, worker in every if worker}


def test_a_limit_in_redis_is_exact_across_the_nodes_and_again_after_an_outage(running: Scaled, redis: Redis) -> None:
    within = Counter({200: LIMIT, 429: 50 - LIMIT})
    assert counted(running, "127.0.3.1")[0] == within
    redis.stop()
    assert counted(running, "127.0.3.2")[0] == Counter({200: 50})  # on_store_error="open"
    redis.start()
    workers: set[str] = set()
    other_clients = (f"127.0.4.{number}" for number in range(1, 255))

    def every_worker_counts() -> bool:
        workers.update(counted(running, next(other_clients), LIMIT, LIMIT)[1])
        return len(workers) == WORKERS * len(running.nodes)

    until(every_worker_counts)
    assert counted(running, "127.0.3.3")[0] == within


def changed_under_load(running: Scaled, name: str, change: Callable[[], object]) -> tuple[Load, Counter[str]]:
    """Change the deployment between requests, and return the load and the notes of the nodes."""
    with Load(running.connection, CLIENTS, get="/work", post="/work", name=f"{name} ") as load:
        until(partial(load.reached, 100))
        change()
        until(partial(load.reached, load.sent.total() + 100))
    noted = running.noted(load.name)
    assert [serial for serial, times in noted.items() if times > 1] == []  # nothing is done twice
    assert set(load.done) - set(noted) == set()  # everything that was answered was done
    assert abs(load.sent["GET"] - load.sent["POST"]) <= CLIENTS
    return load, noted


def nothing_is_lost(load: Load, noted: Counter[str]) -> None:
    assert load.failed == {}
    assert set(noted) == set(load.done)


def test_every_node_is_rolled_without_a_loss(running: Scaled) -> None:
    nothing_is_lost(
        *changed_under_load(running, "roll", lambda: [running.restart_node(node) for node in running.nodes])
    )


def test_a_new_nginx_and_a_new_node_are_added_without_a_loss(running: Scaled) -> None:
    def add() -> None:
        running.add_nodes()
        running.add_proxy()

    nothing_is_lost(*changed_under_load(running, "add", add))
    assert (len(running.proxies), len(running.nodes)) == (3, 4)
    assert (running.nodes[-1].folder / "notes").exists()  # it gets its share
    assert (running.proxies[-1].folder / "access.log").read_text().count('"uri":"/work"') > 10


def test_a_killed_worker_and_a_killed_node_lose_at_most_their_posts(running: Scaled) -> None:
    def worker() -> None:
        os.kill(running.nodes[0].children()[0], signal.SIGKILL)

    for name, change in (("worker", worker), ("node", lambda: running.kill_node(running.nodes[1]))):
        load, noted = changed_under_load(running, name, change)
        assert len(load.failed) <= CLIENTS, load.failed
        assert [reason for reason in load.failed.values() if not reason.startswith("POST")] == []
        assert set(noted) - set(load.done) <= set(load.failed)


def test_a_killed_nginx_loses_at_most_the_requests_in_it(running: Scaled) -> None:
    load, noted = changed_under_load(running, "kill", lambda: running.kill_proxy(running.proxies[0]))
    assert len(load.failed) <= CLIENTS, load.failed
    assert set(noted) - set(load.done) <= set(load.failed)
    assert load.reached(200)
