"""``python -m tests.evidence.silence NAME SOURCE``: a framework's own tests behind a validator that collects.

SOURCE is the folder of the framework's source distribution, which has its tests; the framework and the packages that
its tests need are installed. The program runs the tests with this interpreter and compares the findings with
``judged.toml``. It fails for a finding without a verdict, and for a false alarm. Without arguments it prints the
numbers and the table of ``docs/explanation/correct-software.md``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.evidence.summary import chart, numbers

__all__ = ["Finding", "judge", "page", "run", "summary"]

FOLDER = Path(__file__).parent
VERDICTS = ("true", "noise", "false")


@dataclass(frozen=True, order=True)
class Finding:
    """A rule that a suite breaks, with an example."""

    rule: str
    side: str
    severity: str
    count: int
    example: str


def suites() -> dict[str, dict[str, Any]]:
    """Return the suites of the file of verdicts, by name."""
    return {suite["name"]: suite for suite in tomllib.loads((FOLDER / "judged.toml").read_text("utf-8"))["suite"]}


#: Runs a program with a validator around each application: Django's tests have a runner of their own.
_RUNNER = """
import runpy, sys
import plugin
sys.path.insert(0, ".")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(name: str, source: Path, *arguments: str, runner: str = "") -> tuple[list[Finding], int]:
    """Run the tests of a framework; return the findings, and the number of calls that were validated.

    Args:
        name: Name of the framework.
        source: Folder with its tests.
        arguments: Arguments of pytest, or of the runner.
        runner: Program in the folder that runs the tests, if it is not pytest.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.jsonl"
        environment = {
            **os.environ,
            "GATEWAY_SILENCE": str(file),
            "GATEWAY_SILENCE_FOR": name,
            # Frameworks have a package `tests`, too, so the plugin is not imported as a part of ours.
            "PYTHONPATH": os.pathsep.join((str(FOLDER), str(source))),
        }
        # `test` brings plugins that change tests of others: their order, and a request of Flask around each.
        without = [word for name in ("randomly", "flask", "django") for word in ("-p", f"no:{name}")]
        plugin = ["-p", "plugin", "-p", "no:cacheprovider", *without]
        command = ["-c", _RUNNER, runner] if runner else ["-m", "pytest", "-q", *plugin]
        subprocess.run([sys.executable, *command, *arguments], cwd=source, env=environment)
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    calls = sum(count for line in lines if "calls" in line for count in line["calls"].values())
    counts: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], str] = {}
    for line in (line for line in lines if "rule" in line):
        key = (line["rule"], line["side"], line["severity"])
        counts[key] += line["count"]
        examples.setdefault(key, f"{line['found']} in {line['test']}")
    return sorted(Finding(*key, count, examples[key]) for key, count in counts.items()), calls


def judge(found: list[Finding], judged: list[dict[str, str]]) -> list[str]:
    """Return what is wrong: a finding without a verdict, a false alarm, a verdict without a finding."""
    verdicts = {(one["rule"], one["side"]): one for one in judged}
    wrong = [
        f"no verdict: {one.rule} ({one.side}), {one.count} times: {one.example}"
        for one in found
        if (one.rule, one.side) not in verdicts
    ]
    wrong += [
        f"false alarm: {rule} ({side}): {one['why']}"
        for (rule, side), one in verdicts.items()
        if one["verdict"] == "false"
    ]
    seen = {(one.rule, one.side) for one in found}
    return wrong + [f"stale verdict: {rule} ({side})" for rule, side in verdicts if (rule, side) not in seen]


def summary() -> str:
    """Return the beginning of the page: three numbers, and the findings of each suite as bars."""
    found = {f"{name} {suite['version']}": suite.get("finding", []) for name, suite in suites().items()}
    every = [one for findings in found.values() for one in findings]
    return "\n".join(
        (
            numbers(
                (len(found), "suites of frameworks run behind the validator"),
                (len(every), "rules that a suite breaks, each judged by hand"),
                (sum(one["verdict"] == "false" for one in every), "false alarms"),
            ),
            chart("rules broken", {name: len(findings) for name, findings in found.items()}),
        )
    )


def page() -> str:
    """Return the table of the verdicts as MyST text."""
    lines = ["| suite | rule | against | verdict | |", "|---|---|---|---|---|"]
    for name, suite in suites().items():
        for one in suite.get("finding", []):
            side = "test client or test" if one["side"] == "server" else one["side"]
            lines.append(f"| {name} {suite['version']} | {one['rule']} | {side} | {one['verdict']} | {one['why']} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Run a suite and print its findings, or print the table."""
    if not arguments:
        print(summary(), page(), sep="\n", end="")
        return 0
    name, source, *more = arguments
    suite = suites()[name]
    found, calls = run(name, Path(source), *suite["tests"], *more, runner=suite.get("runner", ""))
    for one in found:
        print(f"{one.severity:7} {one.rule:4} {one.side:12} {one.count:5}  {one.example}")
    wrong = judge(found, suite.get("finding", []))
    print(
        *wrong, f"{name}: {calls} applications called, {len(found)} kinds of findings, {len(wrong)} problems", sep="\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
