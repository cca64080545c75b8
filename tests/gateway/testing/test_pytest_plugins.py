"""Our pytest plugin beside others: each row of the table in the reference is a project whose tests run with both."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import gateway

pytest_plugins = ["pytester"]

PAGE = Path(gateway.__file__).parents[1] / "docs" / "reference" / "testing.md"

STARLETTE = """
import contextlib
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"word": "started"}

async def home(request):
    return PlainTextResponse(request.state.word)

app = Starlette(routes=[Route("/", home)], lifespan=lifespan)
"""

#: The body of an asynchronous test that every plugin for such tests must run.
ASYNCHRONOUS = """
@pytest.mark.tiers("direct", "adapted", "roundtrip")
async def test_in_a_block(aweb):
    async with aweb(app) as client:
        assert (await client.get("/")).text == "started"

async def test_without_a_block(aweb):
    assert (await aweb(app).get("/")).text == "started"

async def test_of_the_synchronous_client(web):
    assert web(app).get("/").text == "started"

@pytest.mark.tiers("uvicorn")
async def test_under_a_server(aweb):
    async with aweb(app) as client:
        assert (await client.get("/")).text == "started"
"""

SYNCHRONOUS = """
@pytest.mark.tiers("direct", "adapted", "roundtrip")
@pytest.mark.parametrize("number", range(2))
def test_in_process(web, number):
    assert web(app).get("/").text == "started"

@pytest.fixture
def made():
    return Starlette(routes=[Route("/", home)], lifespan=lifespan)

@pytest.mark.tiers("uvicorn")
@pytest.mark.parametrize("number", range(2))
def test_under_a_server(web, made, number):
    assert web(made if number else app).get("/").text == "started"
"""

FLASK = """
import httpx2
import pytest
from flask import Flask, current_app, request, url_for

@pytest.fixture
def app():
    app = Flask("site")

    @app.get("/")
    def home():
        return f"{request.args.get('name', 'nobody')} {current_app.name}"

    return app

def test_of_its_client(client):
    assert client.get("/?name=ada").text == "ada site"

@pytest.mark.tiers("direct", "adapted", "roundtrip", "waitress")
def test_of_ours(web, app):
    assert web(app).get("/", params={"name": "ada"}).text == "ada site"

def test_of_both(web, app, client):
    assert web(app).get(url_for("home")).text == client.get("/").text

def test_of_its_live_server(live_server):
    assert httpx2.get(live_server.url("/"), trust_env=False).text == "nobody site"
"""

DJANGO_SETTINGS = """
SECRET_KEY = "tests"
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
ROOT_URLCONF = "site_urls"
STATIC_URL = "/static/"
"""

DJANGO_URLS = """
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import path

def users(request):
    return HttpResponse(",".join(User.objects.order_by("id").values_list("username", flat=True)))

urlpatterns = [path("", users)]
"""

DJANGO = """
import httpx2
import pytest
from django.contrib.auth.models import User
from gateway.django import get_application

application = get_application()

def test_of_its_client(db, client):
    User.objects.create(username="ada")
    assert client.get("/").text == "ada"

@pytest.mark.tiers("direct")
def test_in_a_transaction(db, web):
    User.objects.create(username="ada")
    assert web(application, interface="wsgi").get("/").text == "ada"

@pytest.mark.tiers("waitress", copy=True)
def test_under_a_server(transactional_db, web):
    User.objects.create(username="bob")
    assert web(application).get("/").text == "bob"

def test_of_its_live_server(live_server):
    User.objects.create(username="eve")
    assert httpx2.get(live_server.url, trust_env=False).text == "eve"
"""


@dataclass(frozen=True)
class Row:
    """One plugin: its module, the tests to run, and the row of the page."""

    module: str
    tests: str
    passed: int
    note: str
    arguments: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict[str, str])
    ini: str = ""


ASYNCIO_SCOPE = "asyncio_default_fixture_loop_scope = function\n"
ROWS = {
    "pytest-asyncio": Row(
        "pytest_asyncio.plugin",
        f"{STARLETTE}\npytestmark = pytest.mark.asyncio\n{ASYNCHRONOUS}",
        6,
        "`aweb` runs in the loop of the test",
        ini=ASYNCIO_SCOPE,
    ),
    "anyio": Row(
        "anyio.pytest_plugin",
        f"{STARLETTE}\npytestmark = pytest.mark.anyio\n{ASYNCHRONOUS}",
        12,
        "`aweb` runs in the loop of the test, on asyncio and trio",
    ),
    "pytest-trio": Row(
        "pytest_trio.plugin",
        f"{STARLETTE}\npytestmark = pytest.mark.trio\n{ASYNCHRONOUS}",
        6,
        "`aweb` runs in the loop of the test",
    ),
    "pytest-xdist": Row(
        "xdist.plugin",
        STARLETTE + SYNCHRONOUS,
        8,
        "each worker process starts the servers of its own tests; `--dist loadfile` starts fewer",
        arguments=("-n", "2"),
    ),
    "pytest-randomly": Row(
        "pytest_randomly",
        STARLETTE + SYNCHRONOUS,
        8,
        "tests of a module run in any order, and share its servers",
    ),
    "pytest-flask": Row(
        "pytest_flask.plugin",
        FLASK,
        7,
        "its fixture `app` goes to `web(app)`, also under servers; `client` and `live_server` work beside it",
        ini="live_server_scope = function\n",
    ),
    "pytest-django": Row(
        "pytest_django.plugin",
        DJANGO,
        4,
        'in-process tests see the transaction of `db` with `interface="wsgi"`; under a server use '
        "`transactional_db` and `copy=True`",
        files={"site_settings": DJANGO_SETTINGS, "site_urls": DJANGO_URLS},
        ini="DJANGO_SETTINGS_MODULE = site_settings\npythonpath = .\n",
    ),
}


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, row: Row, *more: str) -> pytest.RunResult:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest('pytest_plugins = ["gateway.testing.pytest_plugin"]')
    pytester.makeini(f"[pytest]\naddopts = -p no:cacheprovider --import-mode=importlib --strict-markers\n{row.ini}")
    pytester.makepyfile(test_project=row.tests, **row.files)
    return pytester.runpytest_subprocess("-p", row.module, *row.arguments, *more, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_our_plugin_works_beside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    result = run(pytester, monkeypatch, ROWS[name])
    result.assert_outcomes(passed=ROWS[name].passed)


def test_the_page_has_each_plugin_that_was_tried() -> None:
    table = PAGE.read_text("utf-8").partition("| beside | |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| (\S+) \| (.+) \|$", table, re.M))
    assert rows == {name: row.note for name, row in ROWS.items()}
