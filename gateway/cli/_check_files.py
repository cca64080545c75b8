"""``gateway check FILE...``: judge the files of a deployment by the rules of settings that must agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.check.files.read import kind_of, read_files, texts_of
from gateway.check.validators import Verdict, validate
from gateway.cli._command import counted
from gateway.errors import ConfigurationError
from gateway.hazards import HAZARDS, Finding, judge

__all__ = ["FilesReport", "check_files", "files_of"]


@dataclass(frozen=True)
class FilesReport:
    """The result of a check of files.

    Attributes:
        subject: The files.
        findings: The rules that the files break.
        verdicts: The results of the programs that read such files themselves.
        unread: Files of a format that is not known.
    """

    subject: str
    findings: Sequence[Finding]
    verdicts: Sequence[Verdict]
    unread: Sequence[str] = ()

    @property
    def refused(self) -> bool:
        """Whether a program refuses a file."""
        return any(verdict.refused for verdict in self.verdicts)

    def text(self) -> str:
        """Return the report for people."""
        sentences = {rule.id: rule.sentence for rule in HAZARDS}
        lines: list[str] = []
        for each in self.findings:
            lines.append(f"error {each.rule}: {each.found}")
            lines += [f"    {place}" for place in each.places]
            lines += [f"    rule: {sentences[each.rule]}", f"    remedy: {each.remedy}"]
        for verdict in self.verdicts:
            if verdict.refused:
                lines.append(f"error {verdict.program}: {verdict.file}: {verdict.message}")
            elif verdict.message and not verdict.missing:
                lines.append(f"note: {verdict.program}: {verdict.file}: {verdict.message}")
            elif verdict.missing:
                lines.append(f"note: {verdict.program} is not installed: {verdict.message}")
        lines += [f"note: {path} is not read: its format is not known" for path in self.unread]
        errors = len(self.findings) + sum(verdict.refused for verdict in self.verdicts)
        return "\n".join([*lines, f"{self.subject}: {counted(errors, 'error')}"])

    def json(self) -> str:
        """Return the report as JSON."""
        findings = [
            {
                "rule": each.rule,
                "found": each.found,
                "remedy": each.remedy,
                "places": [{"file": p.file, "line": p.line, "text": p.text} for p in each.places],
            }
            for each in self.findings
        ]
        verdicts = [vars(verdict) for verdict in self.verdicts]
        return json.dumps(
            {"subject": self.subject, "findings": findings, "programs": verdicts, "unread": [*self.unread]}, indent=2
        )

    def rows(self) -> Iterator[tuple[str, str, str, str, str, str]]:
        """Return rule, severity, side, sentence, finding and source of each finding."""
        rules = {rule.id: rule for rule in HAZARDS}
        for each in self.findings:
            places = "; ".join(map(str, each.places))
            rule = rules[each.rule]
            found = f"{each.found} ({places}); {each.remedy}"
            yield each.rule, "error", "server", rule.sentence.rstrip("."), found, rule.source
        for verdict in self.verdicts:
            if verdict.refused:
                message = f"{verdict.file}: {verdict.message}"
                yield (
                    verdict.program,
                    "error",
                    "server",
                    f"{verdict.program} accepts the file",
                    message,
                    verdict.program,
                )


def files_of(targets: Sequence[str]) -> tuple[list[Path], str | None]:
    """Return the files among the arguments, and the application.

    The name of a file that exists is a file, and the name of a folder that is not a Python package stands for the files
    inside.

    Raises:
        click.UsageError: A file does not exist, or two arguments are applications.
    """
    files: list[Path] = []
    modules: list[str] = []
    for target in targets:
        path = Path(target)
        if path.is_file() or (path.is_dir() and ("/" in target or not _is_module(path))):
            files.append(path)
        elif "/" in target or re.search(r"\.(conf|cfg|ya?ml|toml|service|socket|sh)$", target):
            raise click.UsageError(f"the file {target} does not exist")
        else:
            modules.append(target)
    if len(modules) > 1:
        raise click.UsageError(
            f"{len(modules)} applications given: {', '.join(modules)}. Give one application, and files that exist"
        )
    return files, modules[0] if modules else None


def _is_module(folder: Path) -> bool:
    return (folder / "__init__.py").is_file() or folder.with_name(f"{folder.name}.py").is_file()


def check_files(files: Sequence[Path], target: str | None, config: str | None, app_dir: str | None) -> FilesReport:
    """Read files, judge them, and run the programs that can read them too.

    Args:
        files: Files and folders.
        target: Application, MODULE:ATTRIBUTE; its source is read, and not imported.
        config: ``gateway.toml`` or ``pyproject.toml``.
        app_dir: Folder of the application's source.

    Raises:
        ConfigurationError: A file cannot be read, or its format is not known.
    """
    texts = texts_of([*files, *([Path(config)] if config is not None else [])])
    if target is not None:
        source = _source(target, Path(app_dir or "."))
        texts.update(texts_of([source]))
    found = judge(read_files(texts))
    unread = [path for path, text in texts.items() if kind_of(path, text) is None]
    return FilesReport(" ".join(str(each) for each in files), found, validate(texts), unread)


def _source(target: str, folder: Path) -> Path:
    stem = folder.joinpath(*target.partition(":")[0].split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    raise ConfigurationError(
        f"the source of {target} is not in {folder}: name its folder with --app-dir, or leave it out"
    )
