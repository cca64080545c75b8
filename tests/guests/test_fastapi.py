"""docs/how-to/fastapi-inside-a-site.md as a reader would follow it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.guests.pages import HOW_TO, KEPT, SECONDS, TARGETS, Site, pairs, serving, write

PAGE = "fastapi-inside-a-site"
FAST = {"flask": "waitress", "django": "gunicorn-gthread"}
OPENED, CLOSED = "the pool is open", "the pool is closed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(PAGE, tmp_path_factory.mktemp("fastapi"))


@pytest.fixture(scope="module", params=pairs(FAST))
def site(request: pytest.FixtureRequest, folder: Path) -> Iterator[Site]:
    kind, server = request.param
    with serving(folder, TARGETS[kind], server) as site:
        yield site
    assert (site.said.count(OPENED), site.said.count(CLOSED)) == (1, 1)


@pytest.fixture
def client(site: Site) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site.url, trust_env=False, timeout=SECONDS) as client:
        yield client


def test_urls_have_the_prefix_and_the_state_is_that_of_the_lifespan(client: httpx2.Client, site: Site) -> None:
    orders = client.get("/api/orders/").json()
    assert orders == [
        {"name": "tea", "url": f"{site.url}/api/orders/1"},
        {"name": "coffee", "url": f"{site.url}/api/orders/2"},
    ]
    assert client.get(orders[1]["url"]).json() == {"name": "coffee"}


def test_a_redirect_to_the_final_slash_stays_below_the_prefix(client: httpx2.Client, site: Site) -> None:
    redirect = client.get("/api/orders?x=1")
    assert (redirect.status_code, redirect.headers["location"]) == (307, f"{site.url}/api/orders/?x=1")


def test_the_openapi_page_loads_its_schema_from_below_the_prefix(client: httpx2.Client) -> None:
    [schema] = re.findall(r"url: '([^']+)'", client.get("/api/docs").text)
    assert schema == "/api/openapi.json"
    described = client.get(schema).json()
    assert described["servers"] == [{"url": "/api"}]
    assert "/orders/" in described["paths"]


def test_events_arrive_at_once(client: httpx2.Client) -> None:
    with client.stream("GET", "/api/progress") as response:
        lines = response.iter_lines()
        assert next(lines) == "data: 0"
        first = time.monotonic()
        rest = [line for line in lines if line]
    assert rest[-1] == "data: 100"
    assert time.monotonic() - first > 0.25  # half a second, unless the events came together


def test_the_site_and_the_api_keep_their_paths_and_cookies_apart(client: httpx2.Client, site: Site) -> None:
    assert client.get("/api/orders/99x").status_code == 422
    assert client.get("/apix").status_code == 404
    assert client.get("/apix").headers["content-type"].startswith("text/html")  # the page of the site
    assert client.get("/api/login").json() == {"logged": "in"}
    assert [(cookie.name, cookie.path) for cookie in client.cookies.jar] == [("api_token", "/api")]
    assert "api_token" not in client.get("/").text


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_lifespan_runs_once_in_each_process_of_a_preloaded_site(folder: Path, workers: int) -> None:
    with serving(folder, TARGETS["flask"], "gunicorn-gthread", workers=workers, arguments=("--preload",)) as site:
        for _ in range(20):
            assert httpx2.get(f"{site.url}/api/orders/1", trust_env=False).json() == {"name": "tea"}
    assert site.said.count(OPENED) == site.said.count(CLOSED) == workers


def test_the_page_shows_how_to_keep_the_target() -> None:
    page = (HOW_TO / f"{PAGE}.md").read_text(encoding="utf-8")
    assert f"`{KEPT.splitlines()[-1]}`" in page
