"""docs/how-to/flask-factory.md as a reader would follow it: each command of its table, its tests, Flask's command."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from gateway.servers import Capabilities, Launch, Server
from tests.guests.pages import HOW_TO, serving, write

PAGE = "flask-factory"
FAST = ("gunicorn", "uvicorn")
#: How each program of the table is told where to listen.
BINDS = {
    "gateway": "--bind={netloc}",
    "gunicorn": "--bind={netloc} --no-control-socket",
    "uvicorn": "--host={host} --port={port}",
    "granian": "--host={host} --port={port}",
    "hypercorn": "--bind={netloc}",
    "waitress-serve": "--listen={netloc}",
}
#: The module that each program runs, if it is not the program's name.
MODULES = {"waitress-serve": "waitress"}


def rows() -> dict[str, list[str]]:
    """Return the words of each command of the table, by program."""
    text = (HOW_TO / f"{PAGE}.md").read_text(encoding="utf-8")
    commands = [shlex.split(command) for command in re.findall(r"^\| .+ \| `(.+)` \|$", text, re.MULTILINE)]
    return {program: words for program, *words in commands}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(PAGE, tmp_path_factory.mktemp("factory"))


def test_the_table_names_the_programs_that_are_tried() -> None:
    assert rows().keys() == BINDS.keys()


@pytest.mark.parametrize("program", [pytest.param(p, marks=[] if p in FAST else [pytest.mark.slow]) for p in BINDS])
def test_each_command_of_the_table_serves_the_result_of_the_factory(program: str, folder: Path) -> None:
    def arguments(launch: Launch, words: list[str]) -> Iterator[str]:
        bind = launch.bind
        yield from ("-m", MODULES.get(program, program))
        yield from [
            *words[:-1],
            *shlex.split(BINDS[program].format(netloc=bind.netloc, host=bind.host, port=bind.port)),
        ]
        yield words[-1]

    server = Server(
        name=program,
        family=program,
        interface="wsgi",
        module=MODULES.get(program, program),
        requirement=program,
        arguments=partial(arguments, words=rows()[program]),
        capabilities=Capabilities(),
    )
    with serving(folder, rows()[program][-1], server) as site:
        response = httpx2.get(site.url, trust_env=False)
    assert response.text == "Welcome to the shop.\n"
    assert "x-request-id" in response.headers


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_tests_of_the_page_pass(folder: Path) -> None:
    assert "3 passed" in run(folder, "pytest", "-q", "test_site.py")


@pytest.mark.parametrize("module", ["shop", "inside"])
def test_the_command_of_flask_knows_the_factories_for_it(folder: Path, module: str) -> None:
    assert "static" in run(folder, "flask", "--app", module, "routes")


def test_the_other_forms_of_the_page_work(folder: Path) -> None:
    program = """
from gateway.testing import Client
from configured import create_served
from inside import create_app

with Client(create_served(MAX_CONTENT_LENGTH=3)) as client:
    assert client.post("/", content=b"four").status_code == 413
    assert client.get("/").status_code == 200
response = create_app().test_client().get("/")
assert (response.status_code, "x-request-id" in response.headers) == (200, True)
"""
    (folder / "others.py").write_text(program, encoding="utf-8")
    run(folder, "others")
