"""Each command that the documentation shows is a command that its program accepts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.cli._group import group
from gateway.cli._register import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTES = [*PAGES, ROOT / "pyproject.toml", *sorted((ROOT / "changelog.d").glob("*.md"))]
SHELL = re.compile(r"^```(?:console|shell|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Every command line of a program: its page, and its words."""
    found: list[tuple[str, list[str]]] = []
    for page in PAGES:
        for block in SHELL.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words[:1] == [program]:
                    found.append((page.relative_to(ROOT).as_posix(), words[1:]))
    return found


@pytest.mark.parametrize(("page", "words"), commands("gateway"), ids=str)
def test_a_command_of_ours_takes_its_words(page: str, words: list[str]) -> None:
    words = words[: words.index(">")] if ">" in words else words
    with click.Context(group) as context:
        name, command, rest = group.resolve_command(context, words)
        assert command is not None, page
        command.make_context(name, rest).close()


@pytest.mark.parametrize(("page", "words"), commands("gunicorn"), ids=str)
def test_gunicorn_is_given_a_name_or_a_call(page: str, words: list[str]) -> None:
    assert re.fullmatch(r"[\w.]+:\w+(\(.*\))?", words[-1]), page


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_in_the_reference(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    _, found, section = page.partition(f"## `gateway {name}")
    assert found
    command = group.get_command(click.Context(group), name)
    assert command is not None
    options = {parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)}
    assert options == set(re.findall(r"--[a-z][a-z0-9-]+", section.partition("\n## ")[0]))


#: A program of the repository, with the benchmark if the program is `tests.evidence.bench`.
MODULES = re.compile(r"python3? -m (tests(?:\.\w+)+)(?: (\w+))?")


def programs() -> list[tuple[str, str]]:
    """Every module of `tests` that a page or a note tells to run: the file, and the module."""
    found = set()
    for note in NOTES:
        for module, first in MODULES.findall(note.read_text(encoding="utf-8")):
            name = f"{module}.{first}" if module == "tests.evidence.bench" else module
            found.add((note.relative_to(ROOT).as_posix(), name))
    return sorted(found)


@pytest.mark.parametrize(("note", "module"), programs(), ids=str)
def test_a_program_of_the_repository_is_there(note: str, module: str) -> None:
    place = ROOT.joinpath(*module.split("."))
    program = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    assert program.is_file(), note


def test_the_pages_show_commands() -> None:
    assert len(commands("gateway")) > 10
    assert len(commands("gunicorn")) > 2
    assert len(programs()) > 8
