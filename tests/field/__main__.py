"""``python -m tests.field [--output FILE]``: run every reproduction, and write the report of what was found today."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.field.cases import CASES, NOT_COUNTED, Case

__all__ = ["main", "page", "reproduce"]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "field-report.md"
#: Seconds that a reproduction may take on a busy machine.
LIMIT = 120

HEAD = """\
# What the field breaks

Servers and adapters that this project is tried with, held against the specifications, on {date} with Python {python}.
A violation counts where the specification says so; its words are quoted.
`python -m tests.field` runs every reproduction and writes this page; one that no longer shows its violation is marked.
"""


def reproduce(case: Case) -> tuple[bool, str]:
    """Run a case; return whether the package breaks the rule, and what it did.

    Raises:
        RuntimeError: The reproduction itself failed, so that it says nothing.
    """
    if case.snippet:
        argv = [sys.executable, "-c", case.snippet]
    else:
        argv = [sys.executable, "-m", "gateway", "check", "--server", case.server, "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    if case.server and done.returncode in (0, 1):
        findings = json.loads(done.stdout)["findings"]
        found = [finding["found"] for finding in findings if finding["rule"] == case.rule]
        return bool(found), "; ".join(found)
    word, _, found = (done.stdout.splitlines() or [""])[-1].partition(":")
    if done.returncode or word not in ("broken", "kept"):
        raise RuntimeError(f"the reproduction {case.id} did not run to its end: {done.stdout}{done.stderr}")
    return word == "broken", found.strip()


def page(results: list[tuple[Case, bool, str]], date: datetime.date) -> str:
    """Render the report."""
    parts = [HEAD.format(date=date.isoformat(), python=platform.python_version())]
    for case, broken, found in results:
        version = f"{case.package} {metadata.version(case.package)}"
        rule = f"Rule {case.rule}. " if case.rule else ""
        state = f"Found: `` {found} ``" if broken else f"Not reproduced with {version}."
        shown = f"```text\n{case.snippet}```" if case.snippet else f"```sh\ngateway check --server {case.server}\n```"
        parts.append(
            f"## {version}: {case.id}\n\n{case.claim}\n{state}\n\n{rule}{case.source}:\n\n> {case.quote}\n\n{shown}\n"
        )
    parts.append("## Seen or said, and not counted\n\n" + "\n".join(f"- {sentence}" for sentence in NOT_COUNTED) + "\n")
    return "\n".join(parts)


def main(argv: list[str]) -> int:
    """Run all, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.field", description=__doc__)
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args(argv)
    results: list[tuple[Case, bool, str]] = []
    for case in CASES:
        broken, found = reproduce(case)
        print(f"{case.id:28} {'broken' if broken else 'not reproduced':15} {found}", flush=True)
        results.append((case, broken, found))
    options.output.write_text(page(results, datetime.datetime.now(datetime.UTC).date()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
