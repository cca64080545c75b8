"""The command line as a process: what it says, and its exit status."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway._version import __version__
from gateway.cli._register import COMMANDS

PYTHON = sys.executable


def gateway(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    program = ("-m", "gateway") if not before else ("-c", f"{before}; from gateway.cli import main; main()")
    return subprocess.run([PYTHON, *program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_version_is_printed() -> None:
    done = gateway("--version")
    assert (done.returncode, done.stdout) == (0, f"gateway, version {__version__}\n")


def test_the_help_names_every_command() -> None:
    done = gateway("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_every_registered_command_is_one_and_has_help() -> None:
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        assert command.name == name
        assert command.help


def test_every_command_is_in_the_reference() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"
    assert [name for name in COMMANDS if f"| `gateway {name}` |" not in page.read_text(encoding="utf-8")] == []


def test_an_unknown_command_is_one_line_and_status_2() -> None:
    done = gateway("rnu")
    assert done.returncode == 2
    assert "unknown command 'rnu'; " in done.stderr


@pytest.mark.parametrize("package", ["click"])
def test_a_missing_extra_is_one_line_and_status_2(package: str) -> None:
    done = gateway("--help", before=f"import sys; sys.modules[{package!r}] = None")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"Error: the `gateway` command needs the package {package!r}, which is not installed; "
        'run: pip install "anytier[standard]"'
    ]


@pytest.mark.parametrize("command", ["demo", "inspect"])
def test_a_missing_package_of_a_command_is_one_line_and_status_2(command: str) -> None:
    done = gateway(command, before="import sys; sys.modules['rich'] = None")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"Error: gateway {command} needs the package 'rich', which is not installed; "
        'run: pip install "anytier[standard]"'
    ]


def test_importing_the_command_line_imports_no_click() -> None:
    code = "import sys, gateway.cli; print({'click', 'rich', 'gateway.servers'} & set(sys.modules))"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


def test_the_console_script_is_the_same_program() -> None:
    (script,) = [
        entry for entry in importlib.metadata.entry_points(group="console_scripts", name="gateway") if entry.dist
    ]
    assert script.value == "gateway.cli:main"
