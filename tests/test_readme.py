"""What the README says, run as it stands there."""

from __future__ import annotations

import re
from http.client import HTTPConnection
from pathlib import Path

import pytest

from gateway.servers import Bind, Launch, get, start

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_readme_names_the_two_commands_once_each() -> None:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("python3 -m venv")]
    assert [line.rsplit("/", 1)[1] for line in commands] == ["gateway demo", "pytest"]


def test_the_first_program_has_ten_lines() -> None:
    program = blocks("python")[0]
    assert len([line for line in program.splitlines() if line and not line.startswith("#")]) <= 10


@pytest.mark.parametrize("server", ["gunicorn-sync", "uvicorn", "granian-rsgi"])
def test_the_first_program_is_served_without_a_flag(server: str, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(blocks("python")[0], encoding="utf-8")
    launch = Launch(target="hello:app", bind=Bind(port=0), app_dir=str(tmp_path))
    with start(get(server), launch) as running:
        connection = HTTPConnection(running.bind.host, running.bind.port, timeout=20)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"Hello from any server.\n")
        connection.close()


def test_the_python_blocks_run_one_after_the_other() -> None:
    names: dict[str, object] = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert "gateway" in str(type(names["app"]))


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []
