"""Run the adapters for long and print what they left behind: ``python -m tests.evidence.soak [--json FILE]``.

Each run has a process of its own and an end in time. What is grown is told, and the exit status is 1 where a bound of
the table `BOUNDS` is passed, an answer was wrong or a run did not end.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DIRECTIONS = {"wsgi-to-asgi": "tests.evidence.soak._wsgi_to_asgi", "asgi-to-wsgi": "tests.evidence.soak._asgi_to_wsgi"}
#: Each run, and how large it is.
RUNS = {"volume": 2**30, "slow_clients": 1000, "many": 200_000}
NAMES = {
    "volume": "{size:,} MiB up and down, one request",
    "slow_clients": "{size:,} slow clients at once, 8 waves",
    "many": "{size:,} requests, 16 at once",
}
#: What may be grown at most. Objects and blocks: each run has thousands of requests after its warm-up, so that one that
#: each request left would be seen.
BOUNDS = {
    "errors": 0,
    "peak_growth_mib": 8.0,
    "mib": 2.0,
    "threads": 0,
    "tasks": 0,
    "descriptors": 0,
    "objects": 500,
    "blocks": 1000,
}
COLUMNS = ("seconds", "errors", "at_once", "peak_growth_mib", "mib", "threads", "tasks", "descriptors", "objects")
HEADINGS = ("seconds", "errors", "at once", "peak MiB", "MiB", "threads", "tasks", "descriptors", "objects")


def main(argv: list[str]) -> int:
    """Run what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.soak", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--direction", choices=list(DIRECTIONS), action="append")
    parser.add_argument("--run", choices=list(RUNS), action="append")
    parser.add_argument("--share", type=float, default=1.0, help="of the full size of each run")
    parser.add_argument("--minutes", type=float, default=5.0, help="the longest that one run may take")
    parser.add_argument("--one", nargs=3, metavar=("DIRECTION", "RUN", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        direction, run, size = options.one
        began = time.monotonic()
        result = getattr(importlib.import_module(DIRECTIONS[direction]), run)(int(size))
        print(json.dumps({"seconds": round(time.monotonic() - began, 1), **result}))
        return 0
    rows: list[dict[str, Any]] = []
    print(f"Python {sys.version.split()[0]}; each column but the first three is growth")
    print(f"{'direction':14}{'run':40}" + "".join(f"{heading:>12}" for heading in HEADINGS), flush=True)
    for direction in options.direction or DIRECTIONS:
        for run in options.run or RUNS:
            size = max(1, round(RUNS[run] * options.share))
            if run == "volume":
                size = max(1, size // 65536) * 65536  # whole pieces
            row = _run(direction, run, size, options.minutes * 60)
            rows.append(row)
            cells = "".join(f"{row.get(column, ''):>12}" for column in COLUMNS)
            print(f"{direction:14}{row['what']:40}{cells}  {row['verdict']}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"python": sys.version.split()[0], "runs": rows}, indent=1))
    return int(any(row["verdict"] != "kept" for row in rows))


def _run(direction: str, run: str, size: int, seconds: float) -> dict[str, Any]:
    shown = size // 2**20 if run == "volume" else size
    row: dict[str, Any] = {"direction": direction, "what": NAMES[run].format(size=shown)}
    command = [sys.executable, "-m", "tests.evidence.soak", "--one", direction, run, str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    except subprocess.TimeoutExpired:
        return {**row, "verdict": f"did not end within {seconds:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {**row, "verdict": "failed: " + error.stderr.strip().rpartition("\n")[2]}
    row.update(json.loads(done.stdout.splitlines()[-1]))
    return {**row, "verdict": verdict(run, size, row)}


def verdict(run: str, size: int, row: Mapping[str, Any]) -> str:
    """Return ``kept``, or what is wrong with the result of a run."""
    if run == "slow_clients" and row["at_once"] < size:
        return f"only {row['at_once']} ran at once"
    passed = [name for name, bound in BOUNDS.items() if row.get(name, 0) > bound]
    return f"passed its bound: {', '.join(passed)}" if passed else "kept"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
