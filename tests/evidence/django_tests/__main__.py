"""``python -m tests.evidence.django_tests [--source FOLDER]``: run Django's own tests, and write the page.

Without a source, the program downloads the source archive of the installed version from the package index.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.evidence.django_tests.expected import EXPECTED, unexpected
from tests.evidence.django_tests.inside import MODES
from tests.evidence.summary import chart, numbers

__all__ = ["LABELS", "PAGE", "main", "page", "summary"]

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "explanation" / "django-tests.md"
#: The parts of Django's suite that are about its handlers, and some whose tests send many requests.
LABELS = (
    "handlers",
    "asgi",
    "wsgi",
    "requests_tests",
    "servers",
    "csrf_tests",
    "file_uploads",
    "middleware",
    "test_client",
    "view_tests",
)

_HEAD = """\
Django's tests of its handlers ran on {date} with Django {django}, asgiref {asgiref} and Python {python}: \
once as they are, and then with each call of a handler through the object of \
[`get_application()`](../reference/django.md).
Each call has the middleware of a chain around it, which takes part in every request and changes nothing.

To run them again and write this page: `python -m tests.evidence.django_tests`. \
The program downloads the source archive of the installed Django.

Parts of Django's suite: {labels}.
"""

#: What the chart calls the modes.
_BARS = {
    "native": "nothing between the test and the handler",
    "object": "`get_application()`",
    "threads": "`get_application(reuse_threads=True)`",
    "adapters": "both adapters: WSGI, ASGI, WSGI",
}

_TESTS = """
Some tests read `status_code` or the bytes of Django's response object, which a WSGI server never sees.
For them, the result of the object has these two, made from the status, headers and body that the object sent.

The handler of Django's test client returns Django's response object. Its calls go through the object too: the status, \
headers and body that the object sent are compared with those of the response, and the test gets the response. \
They do not go through both adapters, because these tests keep a transaction open in their thread.
"""


def main(argv: list[str]) -> int:
    """Run Django's tests in every mode; return 1 if one differs without a reason."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.django_tests", description=__doc__)
    parser.add_argument("--source", type=Path, help="folder of Django's source, of the installed version")
    parser.add_argument("--output", type=Path, default=PAGE, help="where the page goes")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or _download(Path(folder))
        runs = {mode: _run(mode, source / "tests", Path(folder) / f"{mode}.json") for mode in MODES}
    native = runs["native"]["tests"]
    faults = [fault for mode in EXPECTED for fault in unexpected(mode, native, runs[mode]["tests"])]
    for fault in faults:
        print(fault)
    if not faults:
        options.output.write_text(page(runs), encoding="utf-8")
        print(f"written: {options.output}")
    return int(bool(faults))


def _download(folder: Path) -> Path:
    django = version("django")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", f"django=={django}"]
    subprocess.run(command, cwd=folder, check=True, timeout=600)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def _run(mode: str, tests: Path, results: Path) -> dict[str, Any]:
    print(f"{mode}: {MODES[mode]}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.evidence.django_tests.inside", mode, str(results)]
    done = subprocess.run(
        [*command, "--parallel=1", "-v0", *LABELS],
        cwd=tests,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    if not results.is_file():
        raise SystemExit(done.stdout)
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return found


def page(runs: dict[str, dict[str, Any]], date: datetime.date | None = None) -> str:
    """Render the page."""
    date = date or datetime.datetime.now(datetime.UTC).date()
    passed = {mode: list(runs[mode]["tests"].values()).count("ok") for mode in MODES}
    calls = max(sum(runs[mode]["calls"].values()) for mode in MODES)
    parts = [
        "# Django's own tests\n",
        *summary(len(runs["native"]["tests"]), calls, passed),
        _HEAD.format(
            date=date.isoformat(),
            django=version("django"),
            asgiref=version("asgiref"),
            python=platform.python_version(),
            labels=", ".join(f"`{label}`" for label in LABELS),
        ),
        "| between the test and the handler | tests | passed | skipped | failed | calls of a handler |",
        "|---|---|---|---|---|---|",
    ]
    for mode, meaning in MODES.items():
        results = list(runs[mode]["tests"].values())
        skipped = results.count("skipped")
        failed = len(results) - passed[mode] - skipped
        called = sum(runs[mode]["calls"].values()) or "not counted"
        parts.append(f"| {meaning} | {len(results)} | {passed[mode]} | {skipped} | {failed} | {called} |")
    alone = [name for name, result in runs["native"]["tests"].items() if result not in ("ok", "skipped")]
    if alone:
        listed = ", ".join(f"`{name}`" for name in alone)
        parts.append(
            f"\nOn the machine of this page, these tests fail with nothing between, so in every row: {listed}."
        )
    parts += [_TESTS, "## Tests that fail through both adapters\n", "| test | reason |", "|---|---|"]
    parts += [f"| `{test}` | {reason} |" for test, reason in EXPECTED["adapters"].items()]
    return "\n".join([*parts, ""])


def summary(tests: int, calls: int, passed: dict[str, int]) -> list[str]:
    """Return the beginning of the page: three numbers and the passed tests as bars."""
    return [
        numbers(
            (tests, "tests of Django in each run"),
            (calls, "calls of a handler that go through the object"),
            (len(EXPECTED["adapters"]), "tests that fail through both adapters only, each with its reason"),
        ),
        chart("tests passed", {_BARS[mode]: count for mode, count in passed.items()}),
    ]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
