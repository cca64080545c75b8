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


@pytest.mark.parametrize(
    "arguments",
    [
        ("--config", "deploy/site.toml"),
        ('gateway.config:load("deploy/site.toml")',),
        ('gateway.config:load(file="deploy/site.toml")',),
    ],
    ids=["option", "import-string", "import-string-by-keyword"],
)
def test_a_file_of_another_name_says_what_is_started_and_how(site: Path, arguments: tuple[str, ...]) -> None:
    (site / "pyproject.toml").unlink()
    (site / "deploy").mkdir()
    text = CONFIG.replace("[tool.gateway]", "").replace("tool.gateway.", "").replace('"src"', '"../src"')
    (site / "deploy" / "site.toml").write_text(text)
    result = dry(*arguments)
    assert result.exit_code == 0, result.output
    assert f"gateway.config:load('{site / 'deploy' / 'site.toml'}')" in result.output.replace("'\"'\"'", "'")
    assert "_drain_on_sigterm waitress" in result.output
    assert "127.0.0.1:9123" in result.output
    assert "--threads=3" in result.output
    assert f"PYTHONPATH={site / 'src'}" in result.output


def test_a_file_that_is_not_there_is_one_line_and_status_2(site: Path) -> None:
    result = dry("--config", "absent.toml")
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {site / 'absent.toml'}: cannot be read: FileNotFoundError")


def test_an_import_string_without_a_file_takes_the_one_of_the_folder(site: Path) -> None:
    assert "--threads=3" in dry("gateway.config:load()").output
    (site / "pyproject.toml").unlink()
    result = dry("gateway.config:load()")
    assert result.exit_code == 2
    assert f"gateway.config:load() needs a file: {site} has neither gateway.toml nor" in result.output


@pytest.mark.parametrize(
    ("arguments", "left_out"),
    [
        (("configured_site:app",), "the application configured_site:app"),
        (("--app-dir", "src"), "--app-dir"),
        (("--factory",), "--factory"),
        (("configured_site:app", "--factory"), "the application configured_site:app and --factory"),
    ],
    ids=["target", "app-dir", "factory", "two"],
)
@pytest.mark.parametrize("command", ["run", "check", "inspect"])
def test_a_file_and_another_name_for_the_application_are_refused(
    site: Path, command: str, arguments: tuple[str, ...], left_out: str
) -> None:
    result = CliRunner().invoke(group, [command, "--config", "pyproject.toml", *arguments])
    assert result.exit_code == 2
    assert f"--config already names the application and its folder; remove {left_out}" in result.output


@pytest.mark.parametrize("arguments", [(), ("--config", "pyproject.toml")], ids=["found", "named"])
def test_check_takes_the_application_of_the_file(site: Path, arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(group, ["check", *arguments])
    assert result.exit_code == 0, result.output
    assert result.output == f"{site / 'pyproject.toml'}: 0 errors, 0 warnings\n"


@pytest.mark.parametrize("arguments", [(), ("--config", "pyproject.toml")], ids=["found", "named"])
def test_inspect_takes_the_application_of_the_file(site: Path, arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(group, ["inspect", "--format", "text", *arguments])
    assert result.exit_code == 0, result.output
    assert "wsgi  Stamp (one wrapper)" in result.output


def test_an_error_of_the_applications_code_names_the_file_and_the_place(site: Path) -> None:
    (site / "src" / "configured_site.py").write_text("1 / 0\n")
    result = dry()
    assert result.exit_code == 2
    assert result.output == (
        f"Error: {site / 'pyproject.toml'}: application: importing raised ZeroDivisionError: division by zero "
        f"({site / 'src' / 'configured_site.py'}, line 1); fix the error there; --traceback shows the whole "
        "traceback\n"
    )


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
    assert "gateway.toml: unknown key engin (did you mean 'engine'?)" in result.output


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
