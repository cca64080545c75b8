"""The text of an issue for the author of a package: the steps, the expected result, and the sentence."""

from __future__ import annotations

import re
from importlib import metadata

from tests.evidence.field.case import Case
from tests.evidence.field.packages import PACKAGES
from tests.evidence.field.record import Shown

__all__ = ["issue", "requirements", "title"]

#: Other imports of a program, each with its requirement and its distribution.
_CLIENTS = {
    r"^import httpx": ("httpx[http2]", "httpx"),
    r"^import h2\.": ("h2", "h2"),
    r"^from websockets": ("websockets", "websockets"),
    r"^from uvicorn|\"uvicorn\"": ("uvicorn", "uvicorn"),
    r"\"httptools\"": ("httptools", "httptools"),
    r"http-protocols": ("h2", "h2"),
}


def title(case: Case) -> str:
    """Return the title of an issue: the first sentence of the claim, without markup at its end."""
    return re.split(r"(?<=[\w`])[.:;] ", case.claim)[0].rstrip(".")


def requirements(name: str, program: str) -> str:
    """Return the requirements of a program, with the installed versions."""
    found: dict[str, str] = {}
    if package := PACKAGES[name].distribution:
        found[package] = f"{package}=={metadata.version(package)}"
    for pattern, (requirement, distribution) in _CLIENTS.items():
        if re.search(pattern, program, flags=re.MULTILINE):
            found.setdefault(distribution, f"{requirement}=={metadata.version(distribution)}")
    return " ".join(f'"{each}"' if "[" in each else each for each in found.values())


def issue(case: Case, name: str, shown: Shown, python: str) -> str:
    """Return the issue in Markdown; its first line is the title."""
    package = PACKAGES[name]
    program = case.write(name).strip()
    installed = requirements(name, program)
    steps = f"1. `pip install {installed}`\n2. Save" if installed else "1. Save"
    number = 3 if installed else 2
    parser = f"HTTP is read by: {package.parser if not shown.parser else shown.parser}\n" if shown.parser else ""
    return (
        f"{title(case)}\n\n" + (f"{case.claim}\n\n" if case.claim.rstrip(".") != title(case) else "") + f"## Steps\n\n"
        f"{steps} this as `program.py`:\n\n```python\n{program}\n```\n\n"
        f"{number}. `python program.py`\n\n"
        f"## Expected\n\n{case.wanted}\nThe program prints:\n\n```\n{case.expected}\n```\n\n"
        f"## Actual\n\nThe program prints:\n\n```\n{shown.line}\n```\n\n"
        f"## Specification\n\n{case.source}: {case.link}\n\n> {case.quote}\n\n"
        f"## Versions\n\n{package.distribution or 'wsgiref'} {shown.version}\n{parser}Python {python}\n"
    )
