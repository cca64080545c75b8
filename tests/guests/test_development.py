"""The pages say that the servers for development serve the same object: ``flask run`` and ``manage.py runserver``."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from gateway.servers import Capabilities, Launch, Server
from tests.guests.pages import KEPT, TARGETS, serving, write

pytestmark = pytest.mark.slow


def flask(launch: Launch) -> Iterator[str]:
    yield from ("-m", "flask", "--app", launch.target, "run")
    yield from ("--host", launch.bind.host, "--port", str(launch.bind.port))


def runserver(launch: Launch) -> Iterator[str]:
    yield from ("-m", "django", "runserver", "--noreload", "--settings=mysite.settings", launch.bind.netloc)


_development = partial(
    Server, family="development", interface="wsgi", capabilities=Capabilities(), stop_signal=signal.SIGINT
)
FLASK = _development(name="flask", module="flask", requirement="flask", arguments=flask)
DJANGO = _development(name="django", module="django", requirement="django", arguments=runserver)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write("fastapi-inside-a-site", tmp_path)
    (tmp_path / "kept.py").write_text(KEPT, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("server", "target"), [(FLASK, "kept:shop"), (DJANGO, TARGETS["django"])], ids=["flask", "django"]
)
def test_a_server_for_development_serves_the_site_and_its_guest(server: Server, target: str, folder: Path) -> None:
    with serving(folder, target, server) as site:
        with httpx2.Client(base_url=site.url, trust_env=False) as client:
            assert client.get("/").status_code == 200
            assert client.get("/api/orders/1").json() == {"name": "tea"}
            with client.stream("GET", "/api/progress") as events:
                assert next(events.iter_lines()) == "data: 0"
    assert site.said.count("the pool is open") == 1
