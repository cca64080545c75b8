"""The files of docs/ci, which users copy, are right and run: each script, with a local wheel and a server's author."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.fresh import ROOT, found_by_pip, python_in

FOLDER = ROOT / "docs" / "ci"
ACTION, WORKFLOW, GITLAB = (
    FOLDER / "github/action.yml",
    FOLDER / "github/workflow.yml",
    FOLDER / "gitlab/gateway-check.yml",
)
PAGE = ROOT / "docs" / "how-to" / "check-in-ci.md"
INPUT = re.compile(r"\$\{\{ inputs\.(\w+) }}")

#: The server of an author who knows nothing of this project.
SERVER = """
import importlib, sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

module, _, name = sys.argv[2].partition(":")
app = getattr(importlib.import_module(module), name)
make_server("127.0.0.1", int(sys.argv[1]), app, server_class=Server).serve_forever()
"""
COMMAND = "python server.py {port} {app}"
KNOWN = """
[[violation]]
rule = "P69"
reason = "wsgiref sends the headers with an empty block"

[[violation]]
rule = "N07"
reason = "wsgiref adds a Content-Length to a 204"
"""
#: Parts of a project's own setup: the server that is checked needs no installation here.
OWN = "python -m pip install ."


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps() -> list[dict[str, Any]]:
    """Return the shell steps of the action."""
    found: list[dict[str, Any]] = read(ACTION)["runs"]["steps"]
    return [step for step in found if "run" in step]


def script() -> str:
    """Return the script of the GitLab job without the project's own installation."""
    lines: list[str] = read(GITLAB)["gateway-check"]["script"]
    assert OWN in lines
    return "\n".join(line for line in lines if line != OWN)


@pytest.mark.parametrize(
    ("schema", "path"),
    [("github-actions", ACTION), ("github-workflows", WORKFLOW), ("gitlab-ci", GITLAB)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_file_follows_the_published_schema(schema: str, path: Path) -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_every_input_of_the_action_is_declared_used_and_described() -> None:
    text = ACTION.read_text(encoding="utf-8")
    inputs = read(ACTION)["inputs"]
    assert {*INPUT.findall(text), *re.findall(r"inputs\.(\w+) ==", text)} == set(inputs)
    assert [
        name for name, told in inputs.items() if not told["description"] or not {"required", "default"} & set(told)
    ] == []


def test_a_script_gets_inputs_as_variables_only_so_that_their_text_is_never_run() -> None:
    assert [step["name"] for step in steps() if "${{" in step["run"]] == []


def test_the_workflow_gives_the_action_inputs_that_it_has() -> None:
    [given] = [
        step["with"] for step in read(WORKFLOW)["jobs"]["server"]["steps"] if "gateway-check" in step.get("uses", "")
    ]
    assert set(given) <= set(read(ACTION)["inputs"])


@pytest.mark.parametrize("code", [*(step["run"] for step in steps()), script()])
def test_a_script_passes_shellcheck(code: str) -> None:
    argv = [Path(sys.executable).with_name("shellcheck"), "--shell", "bash", "-"]
    done = subprocess.run(argv, input=code, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_the_page_shows_every_file() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for path in (ACTION, WORKFLOW, GITLAB):
        assert f"../ci/{path.relative_to(FOLDER)}" in text


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a CI job: an own Python without this project, and pip finds the wheel."""
    python = python_in(tmp_path_factory.mktemp("job") / "venv")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**outside, **found_by_pip(wheel), "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a server's author."""
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    (tmp_path / "known.toml").write_text(KNOWN, encoding="utf-8")
    return tmp_path


def bash(code: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub and GitLab do: it ends at the first command that fails."""
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", code]
    return subprocess.run(argv, cwd=folder, env=variables, capture_output=True, text=True, timeout=240, check=False)


def judge(folder: Path, failures: int) -> None:
    """Check that every report is there, and that the test report has the expected failures."""
    cases = ElementTree.parse(folder / "conformance.xml").getroot().iter("failure")
    assert len(list(cases)) == failures
    assert json.loads((folder / "conformance.sarif").read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert json.loads((folder / "badge.json").read_text(encoding="utf-8"))["schemaVersion"] == 1
    assert "# Conformance of server" in (folder / "conformance.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_action_checks_a_server_and_leaves_its_reports(project: Path, environment: dict[str, str]) -> None:
    given = {"server": COMMAND, "interface": "wsgi", "known": "known.toml", "ignore": "P44=see #1\n\nP70=see #2\n"}
    defaults = {name: told.get("default", "") for name, told in read(ACTION)["inputs"].items()}
    summary = project / "summary.md"
    for step in steps():
        named = {
            name: INPUT.sub(lambda found: {**defaults, **given}[found[1]], value) for name, value in step["env"].items()
        }
        done = bash(step["run"], project, {**environment, **named, "GITHUB_STEP_SUMMARY": str(summary)})
        assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"
    judge(project / "gateway-check", failures=0)
    assert "\n- P70: see #2\n" in summary.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_job_of_gitlab_fails_for_a_new_violation_and_leaves_its_reports(
    project: Path, environment: dict[str, str]
) -> None:
    variables = {**read(GITLAB)["gateway-check"]["variables"], "SERVER": COMMAND, "INTERFACE": "wsgi"}
    done = bash(script(), project, {**environment, **variables})
    assert done.returncode == 1, done.stderr
    assert "P69" in done.stdout
    assert "N07" in done.stdout
    judge(project, failures=2)
    kept = read(GITLAB)["gateway-check"]["artifacts"]
    assert all((project / path).exists() for path in (*kept["paths"], kept["reports"]["junit"]))
