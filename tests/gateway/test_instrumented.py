"""`detect()` and `Gateway` with each application of the suite, in processes that an instrumentation has patched."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.instrumented import APPLICATIONS, BODY, INSTRUMENTATIONS, NOT_WRAPPED

ROOT = Path(__file__).parents[2]
#: Together with the others they take too long for every run.
SLOW = {"opentelemetry", "opentelemetry-of-each"}


@functools.cache
def report(instrumentation: str) -> dict[str, Any]:
    """Return the report of one process, which runs once for all tests."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gateway.instrumented", instrumentation],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize(
    "instrumentation",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in INSTRUMENTATIONS],
)
def test_an_instrumented_application_is_recognised_and_answers(instrumentation: str, application: str) -> None:
    interface, _ = APPLICATIONS[application]
    expected = {"detected": interface, "wsgi": BODY, "asgi": BODY}
    found = report(instrumentation)
    assert found[application] == expected
    if instrumentation != "plain" and (instrumentation, application) not in NOT_WRAPPED:
        assert found[f"{application}, wrapped"] == expected
