"""What the README says, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_readme_names_the_two_commands_once_each() -> None:
    commands = [
        line for block in blocks("console") for line in block.splitlines() if line.startswith("python3 -m venv")
    ]
    assert [line.rsplit("/", 1)[1] for line in commands] == ["gateway demo", "pytest"]


def test_the_first_program_is_ten_lines_and_is_accepted_as_either_interface() -> None:
    program = blocks("python")[0]
    assert len([line for line in program.splitlines() if line and not line.startswith("#")]) <= 10
