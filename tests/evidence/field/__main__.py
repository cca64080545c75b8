"""Run every case, and write the report of today: ``python -m tests.evidence.field [--output FILE] [CASE ...]``.

With names of cases only those are run and told, and nothing is written.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.evidence.field.case import Case, Preamble
from tests.evidence.field.cases import CASES
from tests.evidence.field.findings import NOT_COUNTED, explanation
from tests.evidence.field.survey import Subject, Surveyed, subjects, survey
from tests.evidence.summary import chart, fold, numbers

__all__ = ["Verdict", "main", "page", "reproduce"]

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "field-report.md"
#: Seconds that a reproduction may take on a busy machine, all servers together.
LIMIT = 300

HEAD = """\
# Rules that other projects break

This page checks the servers, adapters, frameworks and middleware that this project is tested with against the
specifications, on {date} with Python {python}.
A violation counts only if the specification says *must* or states a fact; the sentence is quoted.
The first part has each violation with a program that shows it and does not need this project.
Then comes the conformance suite for all of them, with an explanation of every finding.
The end lists observations that are not counted.

`python -m tests.evidence.field` runs all programs and writes this page; it marks violations that no longer occur.
Three dots mark omitted words of a quotation.
"""


@dataclass(frozen=True)
class Verdict:
    """What a program said of one package."""

    name: str
    broken: bool
    found: str

    @property
    def version(self) -> str:
        """Name and version of the package, and what the name says beside."""
        distribution, _, rest = self.name.partition(" ")
        if distribution == "wsgiref":
            return f"wsgiref (Python {platform.python_version()})"
        return f"{distribution} {metadata.version(distribution)}" + (f" ({rest.upper()})" if rest else "")


def reproduce(case: Case, *names: str) -> list[Verdict]:
    """Run a case's program, for all its packages or for those named.

    Raises:
        RuntimeError: The program failed, so that it says nothing.
    """
    argv = [sys.executable, "-c", case.program, *names]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    told = [re.fullmatch(r"([\w. -]+): (broken|kept):(.*)", line) for line in done.stdout.splitlines()]
    verdicts = [Verdict(found[1], found[2] == "broken", found[3].strip()) for found in told if found is not None]
    if done.returncode or not verdicts:
        raise RuntimeError(f"the reproduction {case.id} did not run to its end: {done.stdout}{done.stderr}")
    return verdicts


def _section(case: Case, verdicts: list[Verdict]) -> str:
    rule = f"Rule {case.rule}. " if case.rule else ""
    told = {verdict.name: verdict for verdict in verdicts}
    lines = [f"- **{verdict.version}**: `` {_folded(verdict.found)} ``" for verdict in verdicts if verdict.broken]
    gone = [told[name].version for name in case.breakers if name in told and not told[name].broken]
    lines += [f"- Not reproduced with {version}." for version in gone]
    kept = [verdict.version for verdict in verdicts if not verdict.broken and verdict.version not in gone]
    lines += [f"- Kept by {', '.join(kept)}."] if kept else []
    title = case.id.replace("-", " ").capitalize()
    return (
        f"### {title}\n\n{case.claim}\n\n"
        f"{rule}{case.source}:\n\n> {case.quote}\n\n"
        + "\n".join(lines)
        + "\n\n"
        + fold("Program", f"```text\n{case.body}```")
    )


def _folded(found: str) -> str:
    return found if len(found) <= 300 else f"{found[:300]} ..."


def _survey(surveyed: list[tuple[Subject, Surveyed]]) -> Iterator[str]:
    yield "## Results of the conformance suite\n"
    yield ("The tables show `battery(...)` of `gateway.testing`, and for servers also the checks of `gateway check`.\n")
    for kind, title in (
        ("server", "Servers"),
        ("framework", "Frameworks"),
        ("adapter", "Adapters"),
        ("middleware", "Middleware"),
    ):
        yield f"### {title}\n"
        yield "| | version | cases passed | found |\n|---|---|---|---|"
        for subject, result in surveyed:
            if subject.kind == kind:
                found = "; ".join(f"{what}: {explanation(subject.name, what)}" for what in result.found) or "nothing"
                yield f"| {subject.name} | {subject.version} | {result.passed} of {result.cases} | {found} |"
        yield ""


def page(
    results: list[tuple[Case, list[Verdict]]], surveyed: list[tuple[Subject, Surveyed]], date: datetime.date
) -> str:
    """Render the report."""
    parts = [HEAD.format(date=date.isoformat(), python=platform.python_version())]
    broken = [verdict.version for _, verdicts in results for verdict in verdicts if verdict.broken]
    parts.append(
        numbers(
            (len(results), "sentences of the specifications, each with a program"),
            (len(broken), "violations of them"),
            (len(set(broken)), "versions of other projects with a violation"),
        )
    )
    parts.append(chart("violations", Counter(broken)))
    preamble: Preamble | None = None
    for case, verdicts in results:
        if case.preamble is not preamble:
            preamble = case.preamble
            parts.append(
                f"## {preamble.title}\n\n{preamble.text} Every program of this section begins with\n\n"
                + fold("these lines", f"```text\n{preamble.code}```")
            )
        parts.append(_section(case, verdicts))
    parts += _survey(surveyed)
    parts.append(
        "## Observations that are not counted\n\n" + "\n".join(f"- {sentence}" for sentence in NOT_COUNTED) + "\n"
    )
    return "\n".join(parts)


def main(argv: list[str]) -> int:
    """Run all, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.field", description=__doc__)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args(argv)
    results: list[tuple[Case, list[Verdict]]] = []
    for case in CASES:
        if options.cases and case.id not in options.cases:
            continue
        verdicts = reproduce(case)
        for verdict in verdicts:
            print(f"{case.id:36} {verdict.version:28} {'broken' if verdict.broken else 'kept':7} {verdict.found}")
        sys.stdout.flush()
        results.append((case, verdicts))
    if options.cases:
        return 0
    surveyed: list[tuple[Subject, Surveyed]] = []
    for subject in subjects():
        if subject.version is None:
            print(f"{subject.kind:12} {subject.name:32} not installed")
            continue
        result = survey(subject)
        print(f"{subject.kind:12} {subject.name:32} {result.passed} of {result.cases} {result.found}", flush=True)
        surveyed.append((subject, result))
    unknown = [
        (s.name, what, text) for s, r in surveyed for what, text in r.found.items() if not explanation(s.name, what)
    ]
    for name, what, text in unknown:
        print(f"nobody has judged what was found of {name}: {what}: {text}", file=sys.stderr)
    options.output.write_text(page(results, surveyed, datetime.datetime.now(datetime.UTC).date()), encoding="utf-8")
    return 1 if unknown else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
