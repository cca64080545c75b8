"""docs/how-to/admin-inside-a-site.md as a reader would follow it, with a client that keeps cookies like a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.guests.pages import SECONDS, TARGETS, Site, pairs, serving, write

PAGE = "admin-inside-a-site"
FAST = {"flask": "uvicorn", "django": "gunicorn-sync"}
PREFIX = "/back-office"


@pytest.fixture(scope="module", params=pairs(FAST))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served site, with a database of its own."""
    kind, server = request.param
    folder = write(PAGE, tmp_path_factory.mktemp("admin"))
    module = folder / "back_office.py"
    database = f"sqlite:///{folder}/shop.db"  # the page has it in the current folder
    module.write_text(module.read_text("utf-8").replace("sqlite:///shop.db", database), encoding="utf-8")
    with serving(folder, TARGETS[kind], server) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site.url, trust_env=False, timeout=SECONDS) as client:
        yield client


def token(page: str) -> str:
    """Return the CSRF token of the form on a page."""
    [found] = set(re.findall(r'name="csrftoken"[^>]*value="([^"]+)"', page))
    return str(found)


def log_in(browser: httpx2.Client) -> httpx2.Response:
    page = browser.get(f"{PREFIX}/login").text
    fields = {"username": "ada", "password": "change this", "csrftoken": token(page)}
    return browser.post(f"{PREFIX}/login", data=fields)


def test_redirects_and_static_files_stay_below_the_prefix(site: Site, browser: httpx2.Client) -> None:
    slash = browser.get(PREFIX)
    assert (slash.status_code, slash.headers["location"]) == (307, f"{site.url}{PREFIX}/")
    login = browser.get(slash.headers["location"])
    assert login.status_code == 303
    assert login.headers["location"].startswith(f"{site.url}{PREFIX}/login")
    page = browser.get(login.headers["location"])
    links = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
    static = [link for link in links if "/static/" in link]
    assert len(static) > 3
    for link in static:
        assert link.startswith(f"{site.url}{PREFIX}/static/")
    sheet = browser.get(static[0])
    assert (sheet.status_code, sheet.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert len(sheet.content) == int(sheet.headers["content-length"])
    again = browser.get(static[0], headers={"if-none-match": sheet.headers["etag"]})
    assert again.status_code == 304


def test_a_row_is_made_and_listed_after_a_login(site: Site, browser: httpx2.Client) -> None:
    logged_in = log_in(browser)
    assert (logged_in.status_code, logged_in.headers["location"]) == (303, f"{site.url}{PREFIX}/")
    form = browser.get(f"{PREFIX}/product/create")
    assert form.status_code == 200
    made = browser.post(
        f"{PREFIX}/product/create", data={"name": "Grüner Tee", "csrftoken": token(form.text)}, files={"none": b""}
    )
    assert (made.status_code, made.headers["location"]) == (303, f"{site.url}{PREFIX}/product/list")
    assert "Grüner Tee" in browser.get(f"{PREFIX}/product/list").text


def test_a_form_without_its_token_is_refused(site: Site, browser: httpx2.Client) -> None:
    browser.get(f"{PREFIX}/login")
    assert browser.post(f"{PREFIX}/login", data={"username": "ada", "password": "change this"}).status_code == 403


def test_the_sessions_of_site_and_admin_do_not_end_each_other(site: Site, browser: httpx2.Client) -> None:
    before = browser.get("/").text
    log_in(browser)
    after = browser.get("/").text
    assert browser.get(f"{PREFIX}/").status_code == 200  # logged in
    assert {(cookie.name, cookie.path) for cookie in browser.cookies.jar} >= {("back_office", PREFIX)}
    if before.startswith("visit"):  # the page of Flask
        assert (before, after) == ("visit 1", "visit 2")
