"""docs/how-to/fastapi-under-gunicorn.md as a reader would follow it, with each worker that it names."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from tests.guests.pages import SECONDS, Site, serving, write

PAGE = "fastapi-under-gunicorn"
HOOKS = "python:gateway.servers.gunicorn_hooks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(PAGE, tmp_path_factory.mktemp("gunicorn"))


def started(site: Site) -> list[str]:
    return sorted(re.findall(r"started in (\d+)", site.said))


def stopped(site: Site) -> list[str]:
    return sorted(re.findall(r"stopped in (\d+)", site.said))


@pytest.fixture(
    scope="module",
    params=[
        "gunicorn-gthread",
        pytest.param("gunicorn-sync", marks=pytest.mark.slow),
        pytest.param("gunicorn-asgi", marks=pytest.mark.slow),
    ],
)
def site(request: pytest.FixtureRequest, folder: Path) -> Iterator[Site]:
    with serving(folder, "orders:app", request.param, workers=2) as site:
        yield site
    assert len(set(started(site))) == 2
    assert started(site) == stopped(site)


def test_requests_have_the_state_of_the_lifespan(site: Site) -> None:
    assert httpx2.get(f"{site.url}/stock/tea", trust_env=False).json() == 7


@pytest.mark.slow
def test_a_background_task_runs_after_its_response(folder: Path) -> None:
    with serving(folder, "orders:app", "gunicorn-gthread") as site:
        assert httpx2.post(f"{site.url}/orders", trust_env=False).status_code == 202
    assert "the order is sent" in site.said


def test_a_websocket_is_served_by_the_workers_that_can(site: Site) -> None:
    if site.server == "gunicorn-sync":  # it has one thread
        with httpx2.Client(base_url=site.url, trust_env=False) as client:
            handshake = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
            refused = client.get("/live", headers={**handshake, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="})
        assert refused.status_code == 501
        return
    with connect(site.url.replace("http", "ws") + "/live") as websocket:
        assert websocket.recv(SECONDS) == '{"tea":7}'


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["gthread", "sync", "asgi"])
def test_a_failed_startup_stops_gunicorn_with_status_3(folder: Path, worker: str) -> None:
    command = [sys.executable, "-m", "gunicorn", "--worker-class", worker, "--bind", "127.0.0.1:0", "--config", HOOKS]
    done = subprocess.run(
        [*command, "--no-control-socket", "orders:app"],
        cwd=folder,
        env={"PATH": "", "NO_DATABASE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "the database is down" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["gthread", "sync"])
def test_a_worker_that_has_served_its_requests_stops_and_another_starts(folder: Path, worker: str) -> None:
    with serving(folder, "orders:app", f"gunicorn-{worker}", arguments=("--max-requests", "3")) as site:
        with httpx2.Client(base_url=site.url, trust_env=False, timeout=SECONDS) as client:
            for _ in range(8):
                assert client.get("/stock/tea", headers={"connection": "close"}).json() == 7
    assert len(started(site)) >= 3
    assert started(site) == stopped(site)
