"""The battery over the field: servers, frameworks, adapters and middleware, each in a process of its own.

``python -m tests.evidence.field.survey KIND NAME`` runs it on one of them and prints the result as JSON. Each finding
must have a case in the report or an explanation in `tests.evidence.field.findings`.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from gateway import servers
from gateway.testing import BatteryReport, battery
from tests.evidence.field.sites import ADAPTERS, FRAMEWORKS, MIDDLEWARE, PATHS
from tests.gateway.servers.suite import DETAILED

__all__ = ["LIMIT", "Subject", "Surveyed", "subjects", "survey"]

#: Seconds that one of them may take on a busy machine.
LIMIT = 240
_KINDS = {"framework": FRAMEWORKS, "adapter": ADAPTERS, "middleware": MIDDLEWARE}


@dataclass(frozen=True)
class Subject:
    """A package that the conformance suite examines."""

    kind: str
    name: str
    distribution: str

    @property
    def version(self) -> str | None:
        """Its version; None where it is not installed."""
        if self.distribution == "":
            return f"Python {sys.version.split()[0]}"
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True)
class Surveyed:
    """Results of the conformance suite.

    Attributes:
        cases: How many cases were run.
        passed: How many passed.
        found: What was found, by the rule's id or a word for what else went wrong, each with its first instance.
    """

    cases: int
    passed: int
    found: dict[str, str] = field(default_factory=dict[str, str])


def subjects() -> Iterator[Subject]:
    """Every subject, installed or not."""
    for name in DETAILED:
        yield Subject("server", name, (servers.get(name).requirement or "").split(">")[0].split("[")[0])
    for kind, table in _KINDS.items():
        for name, (distribution, _, _) in table.items():
            yield Subject(kind, name, distribution)


def survey(subject: Subject) -> Surveyed:
    """Run the battery on a subject, and on a server the probe of `gateway check`, too."""
    found: dict[str, str] = {}
    if subject.kind == "server" and servers.get(subject.name).interface in ("wsgi", "asgi"):
        argv = [sys.executable, "-m", "gateway", "check", "--server", subject.name, "--format", "json"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"gateway check of {subject.name} did not run to its end: {done.stdout}{done.stderr}")
        for finding in json.loads(done.stdout)["findings"]:
            if not finding["rule"].startswith("D"):  # of deployment: no specification
                found.setdefault(finding["rule"], finding["found"])
    argv = [sys.executable, "-m", "tests.evidence.field.survey", subject.kind, subject.name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode:
        raise RuntimeError(f"the battery on {subject.name} did not run to its end: {done.stdout}{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Surveyed(told["cases"], told["passed"], {**found, **told["found"]})


def _run(kind: str, name: str) -> BatteryReport:
    if kind == "server":
        return battery(server=name, raises=False)
    _, interface, build = _KINDS[kind][name]
    given: Any = interface
    if kind == "framework":
        return battery(build(), interface=given, paths=PATHS, raises=False)
    if kind == "adapter":
        # The three that wrap for good have no lifespan.
        return battery(adapter=build, interface=given, lifespan="a2wsgi" in name, raises=False)
    return battery(middleware=build, interface=given, raises=False)


def _word(error: str) -> str:
    words = {
        "not closed": "not-closed",
        "thread not ended": "left-behind",
        "task not ended": "left-behind",
        "unchanged from the application": "differs",
        "must get a response": "raises",
        "must not look": "swallowed",
        "must come out unchanged": "other-exception",
    }
    return next((word for part, word in words.items() if part in error), "other")


def _told(report: BatteryReport) -> dict[str, Any]:
    found: dict[str, str] = {}
    for case in report.cases:
        for violation in (*case.violations, *case.warnings):
            found.setdefault(violation.rule, f"{violation.found} in {case.id}")
        if case.error is not None:
            found.setdefault(_word(case.error), f"{case.error.splitlines()[0][:200]} in {case.id}")
    return {"cases": len(report.cases), "passed": len(report.cases) - len(report.failed), "found": found}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print(json.dumps(_told(_run(*sys.argv[1:]))), flush=True)
    os._exit(0)  # whatever thread still waits
