"""The page "Serve a Django project", followed step by step in a project that ``startproject`` makes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.servers import Bind, Launch, get, start
from tests.adapters.websocket_peer import SECONDS
from tests.gateway.django.test_project import connect_as
from tests.middleware.live import ask

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "django.md"
HOST = ("Host", "localhost")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


def blocks() -> list[tuple[str, str]]:
    """Return each block of the page that names its file: the file and the text."""
    return re.findall(
        r"^```text\n# (mysite/\w+\.py)[^\n]*\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_page_works_as_a_new_user_follows_it(tmp_path: Path) -> None:
    run(tmp_path, "-m", "django", "startproject", "mysite", ".")
    wsgi: list[str] = []
    settings = tmp_path / "mysite/settings.py"
    for file, text in blocks():
        if file == "mysite/settings.py":
            settings.write_text(settings.read_text() + text)
        elif file == "mysite/wsgi.py":
            wsgi.append(text)
        else:
            (tmp_path / file).write_text(text)
    run(tmp_path, "manage.py", "migrate")
    assert "post-processed" in run(tmp_path, "manage.py", "collectstatic", "--noinput")
    settings.write_text(settings.read_text() + "DEBUG = False\nALLOWED_HOSTS = ['localhost']\n")
    hashed = json.loads((tmp_path / "staticfiles/staticfiles.json").read_text())["paths"]["admin/css/base.css"]
    assert len(wsgi) == 4
    for text in wsgi:
        (tmp_path / "mysite/wsgi.py").write_text(text)
        launch = Launch(target="mysite.wsgi:application", bind=Bind(port=0), app_dir=str(tmp_path))
        with start(get("uvicorn"), launch) as running:
            login = ask(running.bind, "GET", "/admin/login/", (HOST,))
            assert login.status == 200
            assert hashed.encode() in login.body
            style = ask(running.bind, "GET", f"/static/{hashed}", (HOST, ("Accept-Encoding", "br")))
            headers = {name.lower(): value.strip() for name, value in style.headers}
            assert headers["content-encoding"] == "br"
            assert headers["cache-control"].endswith("immutable")
            with connect_as("localhost", running, "/ws/echo/") as client:
                client.send("hello")
                assert client.recv(SECONDS) == "hello"
    assert "mysite.settings" in run(tmp_path, "-m", "gateway", "run", "--dry-run")
