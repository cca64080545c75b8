"""The messages of the source, and the end of the page about trouble, which lists them.

``python -m tests.messages`` writes the list into ``docs/how-to/troubleshooting.md``; a test compares. The part of the
page above the marker is written by hand and stays. A message is an error of the configuration, of a server or of a
lifespan, a warning, or a line in a log. Its text is read from the source without running it; ``…`` replaces each value.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["MARK", "PAGE", "Message", "messages", "render", "unread"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "how-to" / "troubleshooting.md"
MARK = "% Everything below is generated: python -m tests.messages"
KINDS = {
    "ConfigurationError": "ConfigurationError",
    "Unsupported": "Unsupported",
    "ServerError": "ServerError",
    "LifespanFailed": "LifespanFailed",
    "StartError": "StartError",
    "HeaderError": "HeaderError",
    "warn": "warning",
    "warning": "log",
    "error": "log",
    "exception": "log",
    "_tell": "log",
    "_give": "log",
}
#: Subject, the page that explains it, and the files of its messages, the first match first.
SUBJECTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Name and load an application", "run.md", ("gateway/_load.py", "gateway/protocols.py", "gateway/application.py")),
    ("Run a server", "run.md", ("gateway/cli/", "gateway/servers/")),
    ("Configure from a file", "configure.md", ("gateway/config.py", "gateway/_file_options.py")),
    ("Build a chain", "compose-a-chain.md", ("gateway/chain/",)),
    ("Mount applications", "../reference/mount.md", ("gateway/mount.py",)),
    (
        "Adapters and engines",
        "../reference/adapters.md",
        ("adapters/", "gateway/_bounds.py", "gateway/compat/", "gateway/dual.py"),
    ),
    ("Generate and check files of a deployment", "deploy.md", ("gateway/deploy/", "gateway/check/files/")),
    ("Django", "django.md", ("gateway/django/",)),
    ("Start and stop", "../reference/gateway.md", ("gateway/lifespan.py", "gateway/_starting.py")),
    ("Write middleware", "../reference/contract.md", ("gateway/contract.py", "gateway/drivers/", "gateway/headers.py")),
    ("Plug-ins", "write-a-plug-in.md", ("gateway/plugins.py",)),
    ("Options of middleware", "choose-middleware.md", ("middleware/",)),
    ("Test and validate", "../reference/testing.md", ("gateway/testing/", "gateway/rules/", "gateway/check/")),
    ("Other", "../reference/errors.md", ("gateway/",)),
)


@dataclass(frozen=True)
class Message:
    """One message: its text with ``…`` for each value, its kind, and the file that has it."""

    text: str
    kind: str
    path: str = field(compare=False)


class _Reader:
    """Reads texts of one module; a name or a local function that gives the text is followed once."""

    def __init__(self, tree: ast.Module) -> None:
        self.assigned: dict[str, list[ast.expr]] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.assigned.setdefault(node.targets[0].id, []).append(node.value)
            elif isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node

    def text(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(self.text(value) if isinstance(value, ast.Constant) else "…" for value in node.values)
        if isinstance(node, ast.BinOp):
            return self.text(node.left) + self.text(node.right)
        return "…"

    def texts(self, node: ast.expr) -> list[str]:
        if isinstance(node, ast.Name) and node.id in self.assigned:
            return [self.text(value) for value in self.assigned[node.id]]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.functions:
            returns = ast.walk(self.functions[node.func.id])
            return [self.text(each.value) for each in returns if isinstance(each, ast.Return) and each.value]
        if isinstance(node, ast.IfExp):
            return [*self.texts(node.body), *self.texts(node.orelse)]
        return [self.text(node)]


def messages() -> list[Message]:
    """Return every message of the source once, in the order of the files."""
    return list(dict.fromkeys(message for path in _files() for message in _of(path)))


def unread() -> list[str]:
    """Return the file of each ``ConfigurationError`` and each warning that has no text of its own."""
    found = []
    for path in _files():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        reader = _Reader(tree)
        calls = [(node, name) for node, name in _calls(tree) if name in ("ConfigurationError", "warn")]
        found += [path.relative_to(ROOT).as_posix() for node, name in calls if not _texts(node, name, reader)]
    return found


def _files() -> Iterator[Path]:
    for top in ("gateway", "adapters", "middleware"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if not any(parent.is_symlink() for parent in path.parents):
                yield path


def _of(path: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    reader = _Reader(tree)
    for node, name in _calls(tree):
        for text in _texts(node, name, reader):
            yield Message(text, KINDS[name], path.relative_to(ROOT).as_posix())


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in KINDS:
                yield node, name


def _texts(node: ast.Call, name: str, reader: _Reader) -> list[str]:
    """Return the texts of the first argument that has one; a helper takes the text after other arguments."""
    for argument in node.args[:3]:
        texts = [_shown(text, log=KINDS[name] == "log") for text in reader.texts(argument)]
        if found := [text for text in texts if _words(text)]:
            return found
    return []


def _words(text: str) -> bool:
    """Return whether the text says something by itself: a message that only passes on another does not."""
    return sum(len(part) > 1 for part in text.replace("…", " ").split()) >= 3


def _shown(text: str, *, log: bool) -> str:
    text = " ".join(text.split())
    if log:
        for placeholder in ("%r", "%s", "%d"):
            text = text.replace(placeholder, "…")
    while "……" in text:
        text = text.replace("……", "…")
    return text.replace("``", "`")


def render() -> str:
    """Return the generated end of the page."""
    groups: dict[int, list[Message]] = {}
    for message in messages():
        place = next(i for i, (_, _, starts) in enumerate(SUBJECTS) if message.path.startswith(starts))
        groups.setdefault(place, []).append(message)
    lines = [MARK, ""]
    for place, found in sorted(groups.items()):
        title, page, _ = SUBJECTS[place]
        lines += [f"### {title}", "", f"Explained in [](<{page}>).", ""]
        for message in sorted(found, key=lambda each: each.text.lstrip("… ").lower()):
            fence = "``" if "`" in message.text else "`"
            space = " " if fence == "``" else ""
            link = _page_of(message) if page == "choose-middleware.md" else ""
            lines.append(f"- {fence}{space}{message.text}{space}{fence} ({message.kind}{link})")
        lines.append("")
    return "\n".join(lines)


def _page_of(message: Message) -> str:
    stem = Path(message.path).stem
    page = ROOT / "docs" / "middleware" / f"{stem}.md"
    return f", [](../middleware/{stem}.md)" if page.exists() else ""


def main() -> None:
    """Write the generated end of the page."""
    above, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(above + render(), encoding="utf-8")


if __name__ == "__main__":
    main()
