"""The programs, commands and tables of the README run as they are shown."""

from __future__ import annotations

import re
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from gateway.rules import RULES
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
def test_the_first_program_is_served_without_an_option(server: str, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(blocks("python")[0], encoding="utf-8")
    launch = Launch(target="hello:app", bind=Bind(port=0), app_dir=str(tmp_path))
    with start(get(server), launch) as running:
        connection = HTTPConnection(running.bind.host, running.bind.port, timeout=20)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"Hello from any server.\n")
        connection.close()


def test_the_programs_run_in_one_folder(tmp_path: Path) -> None:
    django = [sys.executable, "-m", "django", "startproject", "mysite", str(tmp_path)]
    subprocess.run(django, check=True, timeout=60)
    programs = blocks("python")
    for program in programs:
        name = re.match(r"# ([\w/]+\.py)\n", program)
        assert name, f"a program begins with the name of its file: {program[:40]}"
        (tmp_path / name[1]).write_text(program, encoding="utf-8")
    imports = "import hello, both, timed, mysite.wsgi, test_hello as kit; kit.test_hello_under_both_interfaces(); "
    script = f"{imports} kit.test_hello_follows_the_specification(); print(len(programs))"
    script = script.replace("len(programs)", str(len(programs)))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("5\n")


def rows(title: str) -> list[str]:
    """Return the cells of the second column of the table below a heading."""
    section = README.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| .* \| `(.*)` \|$", section, flags=re.MULTILINE)
    assert len(cells) > 3
    return cells


@pytest.mark.parametrize("chain", rows("I have … in front")[1:])
def test_a_line_for_a_proxy_is_a_chain(chain: str) -> None:
    names: dict[str, object] = {}
    exec("from gateway import Gateway\nfrom gateway.middleware import *", names)
    exec(f"app = Gateway(lambda environ, start_response: [], 'wsgi', {chain})", names)


@pytest.mark.parametrize("line", rows("I come from …"))
def test_a_line_for_another_package_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "static").mkdir()
    names: dict[str, object] = {}
    exec("from gateway import as_middleware\nfrom gateway.middleware import *", names)
    exec(f"{line}\ndef middleware(request):\n    yield" if line.startswith("@") else line, names)


def test_the_number_of_rules_is_the_number_of_rules() -> None:
    assert re.findall(r"has \[(\d+) rules\]", README) == [str(len(RULES))]


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []
