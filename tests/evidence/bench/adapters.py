"""The adapters against the native interface and every peer: ``python -m tests.evidence.bench adapters [--json FILE]``.

Two ways of measuring, both in interleaved rounds, each sample in a process of its own:

- *in process*: the callable is driven directly, at 1 and 16 at once; CPU microseconds a request count, because the
  ratio of requests/s to a callable that does nothing says little;
- *loopback*: a real server on core 0, ``wrk`` with 16 connections on core 1.

At the end stands one table of ratios: each floor and aim, and whether it is met. asgiref answers a part of the
requests on a kept-alive connection with 500; those are counted as errors and not as speed. It has no adapter for ASGI
under WSGI, and neither have Starlette, uvicorn and hypercorn.

Each direction is a module of its own with a `Direction`; add it to ``DIRECTIONS``.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.evidence.bench import _adapters_floors, _adapters_loopback
from tests.evidence.bench._adapters_sample import CASES, NATIVE, Direction, Results, Sample, at_once, quartiles, title

#: One module each, with a `Direction` called DIRECTION.
DIRECTIONS = {
    "wsgi-to-asgi": "tests.evidence.bench._adapters_wsgi_to_asgi",
    "asgi-to-wsgi": "tests.evidence.bench._adapters_asgi_to_wsgi",
}
CONCURRENCY = (1, 16)
PARTS = ("in-process", "loopback")
PACKAGES = ("a2wsgi", "asgiref", "starlette", "uvicorn", "hypercorn", "uvloop", "httptools", "gunicorn", "waitress")


def direction(name: str) -> Direction:
    """Return a direction by its name."""
    found: Direction = importlib.import_module(DIRECTIONS[name]).DIRECTION
    return found


def main(argv: list[str]) -> int:
    """Measure, print the tables, and write the samples where ``--json`` says."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.bench adapters", description=__doc__)
    parser.add_argument("--json", type=Path, help="write every sample, and what it was measured with, to this file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one sample; wrk runs for whole seconds")
    parser.add_argument("--direction", choices=list(DIRECTIONS), action="append")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--engine", action="append", help="only these, and the native one")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--server", action="append", help="only these on loopback")
    parser.add_argument("--floors-only", action="store_true", help="only what a floor is about")
    parser.add_argument("--of", type=Path, nargs="+", help="print the tables of files of earlier runs; measure nothing")
    parser.add_argument(
        "--one", nargs=4, metavar=("DIRECTION", "ENGINE", "CASE", "CONCURRENCY"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(argv)
    if options.one:
        name, engine, case, concurrency = options.one
        sample = direction(name).drive(engine, case, int(concurrency), options.seconds)
        print(json.dumps(dataclasses.asdict(sample)))
        return 0
    if options.of:
        earlier = _read(options.of)
        for here, rows in earlier.items():
            _print(here, rows)
        print()
        print("\n".join(_adapters_floors.table(earlier)))
        return 0
    results = _measure(options, _made_with())
    print()
    print("\n".join(_adapters_floors.table(results)))
    return 0


def _write(file: Path, made_with: Mapping[str, Any], results: Results) -> None:
    samples = {
        title: {engine: [dataclasses.asdict(sample) for sample in samples] for engine, samples in rows.items()}
        for title, rows in results.items()
    }
    file.write_text(json.dumps({**made_with, "load_at_end": os.getloadavg(), "samples": samples}, indent=1))


def _made_with() -> dict[str, Any]:
    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_at_begin": os.getloadavg(),
        "packages": {package: version(package) for package in PACKAGES},
    }


def _read(files: Sequence[Path]) -> Results:
    """Return the samples of several runs as if they were one of more rounds."""
    results: dict[str, dict[str, list[Sample]]] = {}
    for file in files:
        for name, rows in json.loads(file.read_text())["samples"].items():
            for engine, samples in rows.items():
                known = results.setdefault(name, {}).setdefault(engine, [])
                known.extend(Sample(**sample) for sample in samples)
    return results


def _measure(options: argparse.Namespace, made_with: Mapping[str, Any]) -> Results:
    """Measure what the options name, round by round; print and write each measurement when it is complete."""
    parts = options.part or PARTS
    if "loopback" in parts and not _adapters_loopback.possible():
        print("loopback: left out, it needs wrk, taskset and two cores", file=sys.stderr)
        parts = ("in-process",)
    results: dict[str, Mapping[str, Sequence[Sample]]] = {}
    for name in options.direction or DIRECTIONS:
        this = direction(name)
        for case in options.case or CASES:
            if "in-process" in parts:
                for concurrency in CONCURRENCY:
                    here = title(name, case, at_once(concurrency))

                    def in_process(engine: str, n: str = name, k: str = case, c: int = concurrency) -> Sample | None:
                        return _in_process(n, engine, k, c, options.seconds)

                    _measure_one(results, here, this, options, in_process)
                    if options.json:
                        _write(options.json, made_with, results)
            if "loopback" in parts:
                for server in options.server or this.servers:
                    if server not in this.servers:
                        continue
                    here = title(name, case, server)

                    def loopback(engine: str, d: Direction = this, s: str = server, k: str = case) -> Sample | None:
                        port = _adapters_loopback.free_port()
                        command, environ = d.command(s, engine, k, port)
                        return _adapters_loopback.measure(command, environ, port, k, options.seconds)

                    _measure_one(results, here, this, options, loopback)
                    if options.json:
                        _write(options.json, made_with, results)
    return results


def _measure_one(
    results: dict[str, Mapping[str, Sequence[Sample]]],
    here: str,
    this: Direction,
    options: argparse.Namespace,
    measure: Callable[[str], Sample | None],
) -> None:
    engines = [engine for engine in this.engines if not options.engine or engine in (*options.engine, NATIVE)]
    if options.floors_only:
        floors = [floor for floor in _adapters_floors.FLOORS if floor.measured == here]
        engines = [engine for engine in engines if any(engine in (floor.ours, floor.theirs) for floor in floors)]
    if not engines:
        return
    rows: dict[str, list[Sample]] = {engine: [] for engine in engines}
    failed: set[str] = set()
    for _ in range(options.rounds):
        for engine in engines:  # interleaved: what disturbs the machine disturbs all
            if engine in failed:
                continue  # a ratio is taken within a round: who leaves one out is out
            sample = measure(engine) or measure(engine)
            if sample is None:
                failed.add(engine)
                rows[engine].clear()
            else:
                rows[engine].append(sample)
    results[here] = rows
    _print(here, rows)


def _in_process(name: str, engine: str, case: str, concurrency: int, seconds: float) -> Sample | None:
    # Not by ``-m tests.evidence.bench``: what the other benchmarks import would be measured too.
    run = "import sys; from tests.evidence.bench.adapters import main; raise SystemExit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", run, "--seconds", str(seconds)]
    command += ["--one", name, engine, case, str(concurrency)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30 + 20 * seconds, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"{name} {engine} {case}: {error}\n{(error.stderr or '')[-500:]}", file=sys.stderr)
        return None
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def _print(here: str, rows: Mapping[str, Sequence[Sample]]) -> None:
    download = "download" in here and "in process" not in here
    unit = "MB/s" if download else "requests/s"
    print(f"\n{here}")
    print(f"  {'':28} {unit:>31}  {'CPU us/request':>32}  {'of native':>9}  errors  MiB")

    def rate(sample: Sample) -> float:
        return sample.megabytes_per_second if download else sample.per_second

    native = statistics.median(map(rate, rows[NATIVE])) if rows.get(NATIVE) else 0.0
    for engine, samples in rows.items():
        if not samples:
            print(f"  {engine:28} {'failed':>31}")
            continue
        rates = quartiles([rate(sample) for sample in samples])
        cpus = quartiles([sample.cpu_us for sample in samples])
        share = f"{rates[1] / native:9.1%}" if native else f"{'':9}"
        errors = sum(sample.errors for sample in samples)
        peak = max(sample.peak_mib for sample in samples)
        print(
            f"  {engine:28} {rates[1]:11,.0f} [{rates[0]:8,.0f}-{rates[2]:8,.0f}]"
            f"  {cpus[1]:12,.1f} [{cpus[0]:8,.1f}-{cpus[2]:8,.1f}]  {share}  {errors:6}  {peak:4.0f}",
            flush=True,
        )
