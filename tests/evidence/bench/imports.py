"""What importing costs over ``import asyncio``: ``python -m tests.evidence.bench imports [--rounds N] [--json FILE]``.

Fresh processes, interleaved, the median of each statement; the interpreter's own start is in none of the numbers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

BASELINE = "import asyncio"
STATEMENTS = {
    "import gateway": "import asyncio; start = clock(); import gateway",
    "import gateway, without asyncio": "start = clock(); import gateway",
    "from gateway import Gateway, wrap": "import asyncio; start = clock(); from gateway import Gateway, wrap",
    "Gateway(wsgi)": "import asyncio; start = clock(); from gateway import Gateway; Gateway(lambda e, s: [])",
    "Gateway(asgi)": "import asyncio; start = clock(); from gateway import Gateway\n"
    "async def app(scope, receive, send): pass\n"
    "Gateway(app)",
    BASELINE: "start = clock(); import asyncio",
    "import flask": "import asyncio; start = clock(); import flask",
    "import starlette.applications": "import asyncio; start = clock(); import starlette.applications",
}


def milliseconds(statement: str) -> float:
    """Run a statement in a fresh process; return how long it took after ``start``."""
    program = f"from time import perf_counter as clock\n{statement}\nprint((clock() - start) * 1e3)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout)


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.bench imports")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(options.rounds):
        for name, statement in STATEMENTS.items():
            times[name].append(milliseconds(statement))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"Python {sys.version.split()[0]}, median of {options.rounds} interleaved fresh processes; "
        "asyncio is imported before the clock starts unless said otherwise"
    )
    for name, median in medians.items():
        print(f"{median:9.2f} ms  {name}")
    if options.json:
        options.json.write_text(json.dumps({"python": sys.version, "rounds": options.rounds, "median_ms": medians}))
    return 0
