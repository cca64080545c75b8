"""Write the report from the record: one page of results, and one page of issues for each project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.evidence.field.case import Case
from tests.evidence.field.cases import CASES
from tests.evidence.field.findings import NOT_COUNTED, explanation
from tests.evidence.field.issues import issue, title
from tests.evidence.field.packages import PACKAGES
from tests.evidence.field.record import Record, Row, Shown, violations
from tests.evidence.summary import chart, fold, numbers

__all__ = ["FOLDER", "PAGE", "pages"]

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "field-report.md"
#: One page of issues for each project.
FOLDER = PAGE.with_suffix("")

HEAD = """\
# Rules that other projects break

This page checks the servers, adapters, frameworks and middleware that this project is tested with against the
specifications, on {date} with Python {python}.
A violation counts only if the specification says *must* or states a fact; the sentence is quoted.
Each violation has a program that needs the package and nothing of this project,
and the text of an issue for its authors.
Then comes the conformance suite for all of them, with an explanation of every finding.
The end lists observations that are not counted.

`python -m tests.evidence.field` runs all programs and the suite, and writes this page.
`python -m tests.evidence.field CASE` runs the programs of one case and prints their results.
A test runs the program of each violation, and fails if the package keeps the sentence now.
Three dots mark omitted words of a quotation.
If you think that a violation is not one, see [](../how-to/challenge-a-rule.md).
"""

_ISSUES = """\
# Issues for {project}

{count} of the [rules that other projects break](../field-report.md), as issues that can be filed: the steps with a
program that needs nothing of this project, the expected and the actual result, the sentence, and the versions.
Open one and copy it; its first line is the title.
"""


def pages(record: Record) -> dict[Path, str]:
    """Return the text of every page, by its path."""
    found = list(violations(record))
    # A deprecated class gets no issue: its documentation names another one already.
    counted = [each for each in found if not PACKAGES[each[1]].instead]
    return {PAGE: _report(record, found, counted), **_issues(record, counted)}


def _project(name: str) -> str:
    return PACKAGES[name].distribution or "wsgiref"


def _file(name: str) -> str:
    return f"{_project(name)}.md"


def _report(record: Record, found: list[tuple[Case, str, Shown]], counted: list[tuple[Case, str, Shown]]) -> str:
    projects = Counter(f"{_project(name)} {shown.version}" for _, name, shown in counted)
    parts = [
        HEAD.format(date=record.date, python=record.python),
        numbers(
            (len({case.id for case, _, _ in counted}), "sentences that a package breaks, each with programs"),
            (len(counted), "violations of them"),
            (len(projects), "projects with a violation"),
        ),
        chart("violations", projects),
    ]
    if len(found) > len(counted):
        parts.append(
            f"{len(found) - len(counted)} more are in deprecated classes, which name a2wsgi as their successor; "
            "they are listed and not counted.\n"
        )
    files = sorted({_file(name) for _, name, _ in counted})
    parts.append(
        "```{toctree}\n:hidden:\n:maxdepth: 1\n\n" + "".join(f"field-report/{file[:-3]}\n" for file in files) + "```\n"
    )
    section = ""
    for case in CASES:
        if case.section != section:
            section = case.section
            parts.append(f"## {section}\n")
        parts.append(_case(case, record.programs.get(case.id, {})))
    parts += _survey(record.survey)
    parts.append(
        "## Observations that are not counted\n\n" + "\n".join(f"- {sentence}" for sentence in NOT_COUNTED) + "\n"
    )
    return "\n".join(parts)


def _case(case: Case, shown: dict[str, Shown]) -> str:
    rule = f"Rule {case.rule}. " if case.rule else ""
    broken = {name: each for name, each in shown.items() if not case.kept(each.line)}
    lines: list[str] = []
    for name, each in broken.items():
        link = (
            f"deprecated: use {PACKAGES[name].instead}"
            if PACKAGES[name].instead
            else f"[issue](field-report/{_file(name)})"
        )
        lines.append(f"- **{_versioned(name, each)}**: `` {each.line} `` ({link})")
    kept = [_versioned(name, each) for name, each in shown.items() if name not in broken]
    lines += [f"- Kept by {', '.join(kept)}."] if kept else []
    program = fold(
        f"Program for {PACKAGES[case.breakers[0]].title}", f"```text\n{case.write(case.breakers[0]).strip()}\n```"
    )
    return (
        f"### {_heading(case)}\n\n{case.claim}\n\n{rule}[{case.source}]({case.link}):\n\n> {case.quote}\n\n"
        f"{case.wanted} The program prints `` {case.expected} ``.\n\n" + "\n".join(lines) + "\n\n" + program
    )


def _heading(case: Case) -> str:
    return case.id.replace("-", " ").capitalize()


def _versioned(name: str, shown: Shown) -> str:
    parser = f" ({shown.parser})" if shown.parser else ""
    return f"{PACKAGES[name].title} {shown.version}{parser}"


def _issues(record: Record, counted: list[tuple[Case, str, Shown]]) -> dict[Path, str]:
    texts: dict[Path, str] = {}
    for file in sorted({_file(name) for _, name, _ in counted}):
        mine = [each for each in counted if _file(each[1]) == file]
        parts = [_ISSUES.format(project=_project(mine[0][1]), count=len(mine))]
        for case, name, shown in mine:
            text = issue(case, name, shown, record.python).strip()
            parts.append(fold(f"{PACKAGES[name].title}: {_plain(title(case))}", f"`````text\n{text}\n`````"))
        texts[FOLDER / file] = "\n".join(parts)
    return texts


def _plain(text: str) -> str:
    """Return a text without marks, for the summary of a part that is closed at first."""
    return text.replace("`", "")


def _survey(rows: list[Row]) -> Iterator[str]:
    yield "## Results of the conformance suite\n"
    yield ("The tables show `battery(...)` of `gateway.testing`, and for servers also the checks of `gateway check`.\n")
    for kind, heading in (
        ("server", "Servers"),
        ("framework", "Frameworks"),
        ("adapter", "Adapters"),
        ("middleware", "Middleware"),
    ):
        yield f"### {heading}\n"
        yield "| | version | cases passed | found |\n|---|---|---|---|"
        for row in rows:
            if row.kind == kind:
                found = "; ".join(f"{what}: {explanation(row.name, what)}" for what in row.result.found) or "nothing"
                yield f"| {row.name} | {row.version} | {row.result.passed} of {row.result.cases} | {found} |"
        yield ""
