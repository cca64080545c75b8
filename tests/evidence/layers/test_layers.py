"""The programs behind the page about the layers, in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evidence.layers import isolation, losses, scaling
from tests.tiers.deployed import missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing("nginx", "haproxy") is not None, reason="needs NGINX, HAProxy and openssl"),
]


def test_a_killed_worker_does_nothing_twice() -> None:
    row = losses._killed("`kill -9` of a worker", "gunicorn-gthread")
    assert row["sent"] >= 600
    assert row["failed"] <= losses.CLIENTS
    assert (row["undone"], row["twice"]) == (0, 0)


@pytest.mark.parametrize("behind_nginx", [False, True])
def test_a_server_is_measured_alone_and_behind_nginx(behind_nginx: bool, tmp_path: Path) -> None:
    with isolation._served("waitress, 4 threads", tmp_path, behind_nginx=behind_nginx) as running:
        milliseconds = isolation._p99(running, 3)
    assert milliseconds is not None
    assert milliseconds > 0


def test_a_size_is_measured() -> None:
    row = scaling._size(1, 1, seconds=1.0)
    assert row["per_second"] > 0
    assert (row["failed"], row["undone"], row["twice"]) == (0, 0, 0)
