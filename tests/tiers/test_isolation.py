"""Performance isolation: 200 clients that send one byte now and then, with and without a proxy in front.

Gunicorn's threads wait for slow bodies, so that no other client gets a response. Behind NGINX or HAProxy, the proxy
waits and the threads are free. A server with an event loop needs no proxy for that.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.tiers.deployed import deployed, missing
from tests.tiers.slow_clients import PATIENCE, normal_requests, slow_clients


@pytest.mark.slow
def test_slow_bodies_stop_gunicorns_threads_without_a_proxy(tmp_path: Path) -> None:
    with deployed("gunicorn", "flask:proxied_app", tmp_path) as running:
        assert running.ask("GET", "/facts").status == 200  # it has started
        assert len(normal_requests(running, 5)) == 5
        with slow_clients(running):
            assert normal_requests(running, 1) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "app"),
    [("nginx", "flask:proxied_app"), ("haproxy", "flask:balanced_app"), ("gunicorn", "fastapi:proxied_app")],
)
def test_slow_bodies_do_not_matter_behind_a_proxy_or_under_a_loop(kind: str, app: str, tmp_path: Path) -> None:
    if reason := missing(*({"nginx", "haproxy"} & {kind})):
        pytest.skip(reason)
    with deployed(kind, app, tmp_path) as running:
        assert running.ask("GET", "/facts").status == 200  # it has started
        assert len(normal_requests(running, 5)) == 5
        with slow_clients(running):
            seconds = normal_requests(running, 50)
        assert len(seconds) == 50
        assert statistics.median(seconds) < PATIENCE / 5
