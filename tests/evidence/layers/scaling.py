"""HAProxy -> NGINX -> Gunicorn in three sizes, and every change of the largest one under constant load.

A request waits 20 ms, as for a database, and a worker has one thread. So the nodes are the limit, and not the machine.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import quantiles

from tests.tiers.deployed import until
from tests.tiers.load import Load
from tests.tiers.scaled import Scaled, scaled

__all__ = ["CHANGES", "SIZES", "measure"]

#: Number of NGINX and of nodes.
SIZES = ((1, 1), (1, 3), (2, 3))
CLIENTS = 12

Row = dict[str, float]


def _load(running: Scaled, name: str) -> Load:
    return Load(running.connection, CLIENTS, get="/work", post="/work", name=f"{name} ")


def _counts(running: Scaled, load: Load) -> Row:
    noted = running.noted(load.name)
    return {
        "sent": load.sent.total(),
        "failed": len(load.failed),
        "failed_gets": sum(reason.startswith("GET") for reason in load.failed.values()),
        "undone": len(set(load.done) - set(noted)),
        "twice": sum(times > 1 for times in noted.values()),
    }


def _size(proxies: int, nodes: int, seconds: float) -> Row:
    with tempfile.TemporaryDirectory(prefix="scaled-") as folder, scaled(Path(folder), proxies, nodes, threads=1) as it:
        with _load(it, "warm"):
            time.sleep(2)
        with _load(it, "size") as load:
            begin = time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - begin
        p99 = quantiles(load.seconds, n=100)[98]
        return {**_counts(it, load), "per_second": len(load.seconds) / took, "p99_ms": p99 * 1000}


def _roll(running: Scaled) -> None:
    for node in running.nodes:
        running.restart_node(node)


CHANGES: dict[str, Callable[[Scaled], object]] = {
    "every node is restarted, one after the other": _roll,
    "a node is added": Scaled.add_nodes,
    "an NGINX is added": Scaled.add_proxy,
    "a worker is killed (`kill -9`)": lambda it: os.kill(it.nodes[0].children()[0], signal.SIGKILL),
    "a node is killed (`kill -9`)": lambda it: it.kill_node(it.nodes[1]),
    "an NGINX is killed (`kill -9`)": lambda it: it.kill_proxy(it.proxies[0]),
}


def measure(seconds: float, requests: int) -> dict[str, dict[str, Row]]:
    """Measure each size for some seconds, and each change within so many requests."""
    sizes: dict[str, Row] = {}
    for proxies, nodes in SIZES:
        sizes[f"{proxies} × {nodes}"] = _size(proxies, nodes, seconds)
        print(f"{proxies} NGINX, {nodes} nodes: {sizes[f'{proxies} × {nodes}']}", flush=True)
    changes: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="scaled-") as folder, scaled(Path(folder), 2, 3) as it:
        for number, (name, change) in enumerate(CHANGES.items()):
            with _load(it, f"change{number}") as load:
                until(partial(load.reached, requests // 3))
                change(it)
                until(partial(load.reached, max(requests, load.sent.total() + requests // 3)), 120)
            changes[name] = _counts(it, load)
            print(f"{name}: {changes[name]}", flush=True)
    return {"sizes": sizes, "changes": changes}
