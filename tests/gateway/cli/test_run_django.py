"""``gateway run`` in the folder of a Django project, as ``django-admin startproject`` makes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway._load import Target
from gateway.cli._manage import django_project
from gateway.errors import ConfigurationError
from gateway.servers import Bind, Launch, get, start
from tests.middleware.live import ask

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
SETTINGS = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n"


def _run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    made = _run(folder, "django", "startproject", "mysite", ".")
    assert made.returncode == 0, made.stderr
    return folder


def test_the_project_is_found_and_served(project: Path) -> None:
    done = _run(project, "gateway", "run", "--dry-run", "--server", "waitress")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("GATEWAY_APP='gateway.django:get_application(\"mysite.settings\")' ")
    launch = Launch(
        target="gateway.servers._target:application",
        bind=Bind(port=0),
        app_dir=str(project),
        environment={"GATEWAY_APP": 'gateway.django:get_application("mysite.settings")'},
    )
    with start(get("uvicorn"), launch) as running:
        host = ("Host", "localhost")
        assert b"The install worked successfully" in ask(running.bind, "GET", "/", (host,)).body
        # The admin's files come from its app, because a new project has DEBUG on.
        assert ask(running.bind, "GET", "/static/admin/css/base.css", (host,)).status == 200


def test_a_project_with_websockets_gets_an_asgi_server(project: Path) -> None:
    (project / "with_channels.py").write_text(
        "from mysite.settings import *\nASGI_APPLICATION = 'sockets.application'\n"
    )
    (project / "sockets.py").write_text("async def application(scope, receive, send):\n    raise RuntimeError\n")
    variable = {"DJANGO_SETTINGS_MODULE": "with_channels"}
    plain = _run(project, "gateway", "run", "--dry-run", "--server", "gunicorn")
    channels = _run(project, "gateway", "run", "--dry-run", "--server", "gunicorn", **variable)
    assert "--worker-class asgi" not in plain.stdout
    assert "--worker-class asgi" in channels.stdout
    assert "with_channels" in channels.stdout


def test_inspect_finds_the_project_too(project: Path) -> None:
    done = _run(project, "gateway", "inspect")
    assert done.returncode == 0, done.stderr
    assert "WSGIHandler" in done.stdout or "StaticFilesHandler" in done.stdout


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"import os\ndef main():\n    {SETTINGS}", 'get_application("mysite.settings")'),
        ("from flask_script import Manager\n", None),
        ("import os\nos.environ.setdefault('OTHER', 'x')\n", None),
    ],
    ids=["django", "another-program", "another-variable"],
)
def test_manage_py_is_read_and_not_run(
    text: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    (tmp_path / "manage.py").write_text(text + "raise SystemExit('it was run')\n")
    target = django_project(tmp_path)
    assert (target and target.text) == found
    assert isinstance(target, Target | None)


def test_the_environment_goes_before_manage_py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manage.py").write_text(f"import os\n{SETTINGS}")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.production")
    target = django_project(tmp_path)
    assert target is not None
    assert target.arguments == ("mysite.production",)


def test_a_manage_py_that_is_not_python_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text("print 'Python 2'\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        django_project(tmp_path)
    assert django_project(tmp_path / "none") is None
