"""The adapters against the native interface and every peer: ``python -m tests.bench adapters [--json FILE]``.

Two ways of measuring, both in interleaved rounds, each sample in a process of its own:

- *in process*: the callable is driven directly, at 1 and 16 at once; CPU microseconds a request count, because the
  ratio of requests/s to a callable that does nothing says little;
- *loopback*: a real server on core 0, ``wrk`` with 16 connections on core 1.

Each direction is a module of its own with a `Direction`; add it to ``DIRECTIONS``.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: One module each, with a `Direction` called DIRECTION.
DIRECTIONS = {
    "wsgi-to-asgi": "tests.bench._adapters_wsgi_to_asgi",
    "asgi-to-wsgi": "tests.bench._adapters_asgi_to_wsgi",
}
CASES = ("hello", "chunks", "upload", "download")
#: Requests of one sample in process, by case; chosen for about a second of the slowest peer.
CONCURRENCY = (1, 16)
NATIVE = "native"
WRK_CONNECTIONS = 16


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one run measured."""

    per_second: float
    cpu_us: float
    megabytes_per_second: float = 0.0
    errors: int = 0
    peak_mib: float = 0.0


@dataclasses.dataclass(frozen=True)
class Direction:
    """One direction: who takes part, and how each is driven.

    Args:
        engines: Names of those who take part; `NATIVE` is one of them.
        drive: ``drive(engine, case, concurrency, seconds)`` measures in this process.
        servers: Names of the servers of the loopback part.
        command: ``command(server, engine, case, port)`` is the command and the environment that serves it.
    """

    engines: Sequence[str]
    drive: Callable[[str, str, int, float], Sample]
    servers: Sequence[str]
    command: Callable[[str, str, str, int], tuple[list[str], Mapping[str, str]]]


def direction(name: str) -> Direction:
    """Return a direction by its name."""
    found: Direction = importlib.import_module(DIRECTIONS[name]).DIRECTION
    return found


def main(argv: list[str]) -> int:
    """Measure, print the tables, and write the samples where ``--json`` says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench adapters", description=__doc__)
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one sample")
    parser.add_argument("--direction", choices=list(DIRECTIONS), action="append")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--engine", action="append", help="only these, and the native one")
    parser.add_argument("--part", choices=("in-process", "loopback"), action="append")
    parser.add_argument(
        "--one", nargs=4, metavar=("DIRECTION", "ENGINE", "CASE", "CONCURRENCY"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(argv)
    if options.one:
        name, engine, case, concurrency = options.one
        sample = direction(name).drive(engine, case, int(concurrency), options.seconds)
        print(json.dumps(dataclasses.asdict(sample)))
        return 0
    parts = options.part or ("in-process", "loopback")
    results: dict[str, dict[str, list[Sample]]] = {}
    for name in options.direction or DIRECTIONS:
        this = direction(name)
        engines = [engine for engine in this.engines if not options.engine or engine in (*options.engine, NATIVE)]
        for case in options.case or CASES:
            if "in-process" in parts:
                for concurrency in CONCURRENCY:
                    title = f"{name}, {case}, in process, {concurrency} at once"
                    results[title] = _rounds(
                        options.rounds,
                        engines,
                        lambda engine, n=name, k=case, c=concurrency: _in_process(n, engine, k, c, options.seconds),  # type: ignore[misc]
                    )
                    _print(title, results[title], by_cpu=True)
            if "loopback" in parts:
                if shutil.which("wrk") is None or (os.cpu_count() or 1) < 2:
                    print("loopback: left out, it needs wrk and two cores", file=sys.stderr)
                    continue
                for server in this.servers:
                    title = f"{name}, {case}, under {server}"
                    results[title] = _rounds(
                        options.rounds,
                        engines,
                        lambda engine, d=this, s=server, k=case: _loopback(d, s, engine, k, options.seconds),  # type: ignore[misc]
                    )
                    _print(title, results[title], by_cpu=False)
    if options.json:
        document = {
            "python": sys.version.split()[0],
            "samples": {
                title: {engine: [dataclasses.asdict(sample) for sample in samples] for engine, samples in rows.items()}
                for title, rows in results.items()
            },
        }
        options.json.write_text(json.dumps(document, indent=1))
    return 0


def _rounds(rounds: int, engines: Sequence[str], measure: Callable[[str], Sample | None]) -> dict[str, list[Sample]]:
    rows: dict[str, list[Sample]] = {engine: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:  # interleaved: what disturbs the machine disturbs all
            sample = measure(engine)
            if sample is not None:
                rows[engine].append(sample)
    return rows


def _in_process(name: str, engine: str, case: str, concurrency: int, seconds: float) -> Sample | None:
    # Not by ``-m tests.bench``: what the other benchmarks import would be measured too.
    run = "import sys; from tests.bench.adapters import main; raise SystemExit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", run, "--seconds", str(seconds)]
    command += ["--one", name, engine, case, str(concurrency)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30 + 20 * seconds, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"{name} {engine} {case}: {error}\n{(error.stderr or '')[-500:]}", file=sys.stderr)
        return None
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\nwrk.headers["Content-Type"] = "a/b"\n'


def _loopback(this: Direction, server: str, engine: str, case: str, seconds: float) -> Sample | None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command, environ = this.command(server, engine, case, port)
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            ["taskset", "-c", "0", *command],
            env={**os.environ, **environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not _ready(port, process):
                print(f"{server} {engine} {case}: does not start: {command}", file=sys.stderr)
                return None
            script = Path(folder) / "post.lua"
            script.write_text(UPLOAD if case == "upload" else "")
            wrk = ["taskset", "-c", "1", "wrk", "-t1", f"-c{WRK_CONNECTIONS}", "-s", str(script)]
            target = f"http://127.0.0.1:{port}/"
            subprocess.run([*wrk, "-d1s", target], capture_output=True, check=True, timeout=60)
            before = _cpu_seconds(process.pid)
            done = subprocess.run(
                [*wrk, f"-d{max(1, round(seconds))}s", target], capture_output=True, text=True, check=True, timeout=120
            )
            cpu = _cpu_seconds(process.pid) - before
            return _of_wrk(done.stdout, cpu, _peak_mib(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return True
        except OSError:
            time.sleep(0.05)
    return False


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(member for child in children for member in _family(int(child)))]


def _cpu_seconds(pid: int) -> float:
    total = 0
    for member in _family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    return max(
        int(match[1]) / 1024
        for member in _family(pid)
        if (match := re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{member}/status").read_text()))
    )


_UNITS = {"B": 1e-6, "KB": 1e-3, "MB": 1.0, "GB": 1e3}


def _of_wrk(text: str, cpu: float, peak: float) -> Sample:
    requests = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    size, unit = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?B)", text).groups()  # type: ignore[union-attr]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Sample(
        per_second=per_second,
        cpu_us=cpu / max(requests, 1) * 1e6,
        megabytes_per_second=float(size) * _UNITS[unit],
        errors=int(bad[1]) if bad else 0,
        peak_mib=peak,
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _print(title: str, rows: dict[str, list[Sample]], *, by_cpu: bool) -> None:
    print(f"\n{title}")
    download = "download" in title and not by_cpu
    print(
        f"  {'':26} {'MB/s' if download else 'requests/s':>28}  {'CPU us/request':>28}  {'of native':>9}  errors  MiB"
    )

    def rate(sample: Sample) -> float:
        return sample.megabytes_per_second if download else sample.per_second

    native = statistics.median(map(rate, rows[NATIVE])) if rows.get(NATIVE) else 0.0
    for engine, samples in rows.items():
        if not samples:
            print(f"  {engine:26} {'failed':>28}")
            continue
        rates = _quartiles([rate(sample) for sample in samples])
        cpus = _quartiles([sample.cpu_us for sample in samples])
        share = f"{rates[1] / native:9.1%}" if native else ""
        errors = sum(sample.errors for sample in samples)
        peak = max(sample.peak_mib for sample in samples)
        print(
            f"  {engine:26} {rates[1]:11,.0f} [{rates[0]:7,.0f}-{rates[2]:7,.0f}]"
            f"  {cpus[1]:11,.1f} [{cpus[0]:7,.1f}-{cpus[2]:7,.1f}]  {share}  {errors:6}  {peak:4.0f}",
            flush=True,
        )
