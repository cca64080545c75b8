"""``gateway run`` without arguments serves what the configuration file of the folder names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli._group import group
from tests.gateway.cli.test_run import answer, running

CONFIG = """
[tool.gateway]
application = "configured_site:app"
app_dir = "src"
server = { name = "waitress", bind = "127.0.0.1:9123", threads = 3 }

[[tool.gateway.middleware]]
use = "configured_site:Stamp"
options = { text = "stamped one" }
"""

SITE = """
from dataclasses import dataclass
from flask import Flask
from gateway.contract import Middleware

app = Flask(__name__)

@app.get("/")
def home():
    return "home"

@dataclass(frozen=True, kw_only=True)
class Stamp(Middleware):
    text: str

    def on_response(self, request, response):
        response.headers.append("x-stamp", f"{self.text} in {request.interface}")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a configuration, as the current one."""
    (tmp_path / "pyproject.toml").write_text(CONFIG)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "configured_site.py").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    sys.modules.pop("configured_site", None)


def dry(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["run", "--dry-run", *arguments])


def test_the_file_says_what_is_started_and_how(site: Path) -> None:
    result = dry()
    assert result.exit_code == 0, result.output
    assert f"gateway.config:load('{site / 'pyproject.toml'}')" in result.output.replace("'\"'\"'", "'")
    assert "waitress" in result.output
    assert "127.0.0.1:9123" in result.output
    assert "--threads=3" in result.output.replace("--threads 3", "--threads=3")


def test_what_is_said_on_the_command_line_goes_first(site: Path) -> None:
    result = dry("--bind", "127.0.0.1:9124", "--server", "uvicorn", "--workers", "2")
    assert result.exit_code == 2  # uvicorn has no threads, and the file asks for three
    assert "threads" in result.output
    (site / "pyproject.toml").write_text(CONFIG.replace(", threads = 3", ""))
    result = dry("--bind", "127.0.0.1:9124", "--server", "uvicorn", "--workers", "2")
    assert result.exit_code == 0, result.output
    assert "uvicorn" in result.output
    assert "9124" in result.output
    assert "--workers" in result.output


def test_arguments_of_the_file_reach_the_server(site: Path) -> None:
    (site / "pyproject.toml").write_text(CONFIG.replace("threads = 3", 'arguments = ["--asyncore-use-poll"]'))
    assert "--asyncore-use-poll" in dry().output


def test_a_folder_without_a_configuration_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = dry()
    assert result.exit_code == 2
    assert "no application given: run `gateway run MODULE:APP`, or add gateway.toml" in result.output


def test_a_wrong_file_is_one_line_and_status_2(site: Path) -> None:
    (site / "gateway.toml").write_text('application = "configured_site:app"\nengin = "x"\n')
    result = dry()
    assert result.exit_code == 2
    assert "gateway.toml: there is no key engin (did you mean 'engine'?)" in result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "stamp"),
    [((), "wsgi"), (("--server", "uvicorn"), "asgi"), (("--server", "gunicorn", "--workers", "2"), "wsgi")],
    ids=["as-configured", "uvicorn", "gunicorn-2-workers"],
)
def test_the_configured_chain_is_served(site: Path, options: tuple[str, ...], stamp: str) -> None:
    (site / "pyproject.toml").write_text(CONFIG.replace(", threads = 3", ""))
    with running(site, *options) as (bind, process):
        answered = answer(bind, process, site / "log", "home")
    assert f"x-stamp: stamped one in {stamp}" in answered.lower()
