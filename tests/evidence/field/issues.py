"""The text of an issue for the author of a package: the steps, the expected result, and the sentence."""

from __future__ import annotations

import re

from tests.evidence.field.case import Case
from tests.evidence.field.packages import PACKAGES
from tests.evidence.field.record import Shown

__all__ = ["issue", "requirements", "title"]

#: Other imports of a program and other parts of its command, each with its requirement.
_OTHERS = {
    r"^import httpx": "httpx[http2]",
    r"^import h2\.|http-protocols": "h2",
    r"^from websockets": "websockets",
    r"\"uvicorn\"": "uvicorn",
}


def title(case: Case) -> str:
    """Return the title of an issue: the first sentence of the claim, without markup at its end."""
    return re.split(r"(?<=[\w`])[.:;] ", case.claim)[0].rstrip(".")


def requirements(name: str, program: str, shown: Shown) -> str:
    """Return the requirements of a program; the package and its parser have the versions of the record."""
    package = PACKAGES[name]
    found = [f"{package.distribution}=={shown.version}"] if package.distribution else []
    if package.reads:
        found.append(shown.parser.replace(" ", "==").lower())
    named = {each.partition("==")[0] for each in found}
    others = [each for pattern, each in _OTHERS.items() if re.search(pattern, program, flags=re.MULTILINE)]
    found += [each for each in others if each not in named]
    return " ".join(f'"{each}"' if "[" in each else each for each in found)


def issue(case: Case, name: str, shown: Shown, python: str) -> str:
    """Return the issue in Markdown; its first line is the title."""
    package = PACKAGES[name]
    program = case.write(name).strip()
    installed = requirements(name, program, shown)
    steps = f"1. `pip install {installed}`\n2. Save" if installed else "1. Save"
    number = 3 if installed else 2
    parser = f"HTTP is read by: {shown.parser}\n" if shown.parser else ""
    return (
        f"{title(case)}\n\n" + (f"{case.claim}\n\n" if case.claim.rstrip(".") != title(case) else "") + f"## Steps\n\n"
        f"{steps} this as `program.py`:\n\n```python\n{program}\n```\n\n"
        f"{number}. `python program.py`\n\n"
        f"## Expected\n\n{case.wanted}\nThe program prints:\n\n```\n{case.expected}\n```\n\n"
        f"## Actual\n\nThe program prints:\n\n```\n{shown.line}\n```\n\n"
        f"## Specification\n\n{case.source}: {case.link}\n\n> {case.quote}\n\n"
        f"## Versions\n\n{package.distribution or 'wsgiref'} {shown.version}\n{parser}Python {python}\n"
    )
