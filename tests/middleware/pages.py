"""The generated end of each middleware's page: its options, its place in a chain, the source of its rule.

``python -m tests.middleware.pages`` writes it into ``docs/middleware/``; a test compares. What is written by hand
stands above the marker and stays. All of it comes from the class and its module's head, so that neither can drift.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path

from gateway.contract import Middleware

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "middleware"
MARK = "% Everything below is generated: python -m tests.middleware.pages"
#: Pages of no single middleware.
OTHERS = {"presets"}


def classes() -> dict[str, type[Middleware]]:
    """Return each middleware by the name of its module, which is the name of its page."""
    found = {}
    for path in sorted((ROOT / "middleware").glob("[a-z]*.py")):
        if path.stem not in OTHERS:
            module = importlib.import_module(f"gateway.middleware.{path.stem}")
            found[path.stem] = next(
                each
                for each in vars(module).values()
                if inspect.isclass(each)
                and issubclass(each, Middleware)
                and each.__module__ == module.__name__
                and each.__name__ in module.__all__
            )
    return found


def markdown(text: str) -> str:
    """Rewrite what docstrings hold of reStructuredText."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def described(kind: type) -> dict[str, str]:
    """Read the descriptions of the options from the docstring's ``Args``."""
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    options: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        match = re.fullmatch(r"    (\w+): (.*)", line)
        if match is not None:
            name = match[1]
            options[name] = match[2]
        elif line.strip():
            options[name] += " " + line.strip()
    return options


def default(field: Field[object]) -> str:
    """Write a default as a reader would; a long one by what its option says."""
    if field.default is MISSING and field.default_factory is MISSING:
        return "required"
    value = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
    if inspect.isfunction(value):
        return f"`{value.__name__}`"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f"`{value:_}`"
    if isinstance(value, tuple) and len(value) > 6:
        return f"`{value[0]!r}`, `{value[1]!r}` and {len(value) - 2} more"
    return f"`{value!r}`"


def options(kind: type) -> Iterator[str]:
    text = described(kind)
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for field in fields(kind):  # type: ignore[arg-type]  # every middleware of ours is a dataclass
        meaning = markdown(text[field.name]).replace("|", "\\|")
        yield f"| `{field.name}` | {default(field)} | {meaning} |"


def place(kind: type[Middleware]) -> Iterator[str]:
    rules = [(verb, rule) for verb, said in (("Inside", kind.after), ("Outside", kind.before)) for rule in said]
    for verb, rule in rules:
        name, _, reason = (part.strip() for part in rule.partition(":"))
        yield f"- {verb} `{name}`: {reason}."
    if not rules:
        yield "Any position: it does not depend on other middleware."
    if kind.websocket:
        yield ""
        yield "It runs for WebSocket handshakes too."


def sources(kind: type) -> Iterator[str]:
    """Read the sources of a module's rule from its head."""
    head = inspect.getdoc(sys.modules[kind.__module__]) or ""
    found = re.search(r"^Sources?: (.*?)(?:\n\n|\Z)", head, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError(f"the head of {kind.__module__} names no source")
    for source in markdown(" ".join(found[1].split())).removesuffix(".").split("; "):
        yield f"- {source[0].upper()}{source[1:]}."


def generated(kind: type[Middleware]) -> str:
    """Write the end of a page."""
    lines = [MARK, "", "## Options", "", *options(kind), "", "## Place in a chain", "", *place(kind), ""]
    return "\n".join([*lines, "## Source of the rule", "", *sources(kind), ""])


def current(name: str, kind: type[Middleware]) -> str:
    """Return the page as it must be: its hand-written part, and its generated end."""
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    return page.partition(MARK)[0].rstrip("\n") + "\n\n" + generated(kind)


def main() -> None:
    """Write every page anew."""
    for name, kind in classes().items():
        (FOLDER / f"{name}.md").write_text(current(name, kind), encoding="utf-8")


if __name__ == "__main__":
    main()
