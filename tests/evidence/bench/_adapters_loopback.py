"""One sample on loopback: a real server on core 0, ``wrk`` with 16 connections on core 1. Linux only."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.evidence.bench._adapters_sample import BODY_BYTES, Sample

CONNECTIONS = 16
UPLOAD_BYTES = 2**20
_UPLOAD = (
    f'wrk.method = "POST"\nwrk.body = string.rep("x", {UPLOAD_BYTES})\nwrk.headers["Content-Type"] = "text/plain"\n'
)
#: Requests before what is measured: threads are started by then, and what is made once is made.
_WARM = {"hello": 200, "chunks": 50, "upload": 20, "download": 1}
#: The least seconds of a sample: 16 connections take this long to go through a few downloads each.
_LEAST_SECONDS = {"hello": 1, "chunks": 1, "upload": 1, "download": 4}
_UNITS = {"B": 1e-6, "KB": 1e-3, "MB": 1.0, "GB": 1e3}


def possible() -> bool:
    """Tell whether this machine can: it needs wrk, and a core each for the server and the load."""
    return shutil.which("wrk") is not None and shutil.which("taskset") is not None and (os.cpu_count() or 1) >= 2


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def measure(command: Sequence[str], environ: Mapping[str, str], port: int, case: str, seconds: float) -> Sample | None:
    """Serve with a command, load it, and return what was measured; None where that could not be done."""
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if not _ready(port, process):
            print(f"does not start: {' '.join(command)} ({environ})", file=sys.stderr)
            return None
        wrong = _warm(port, case)
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "request.lua"
            script.write_text(_UPLOAD if case == "upload" else "")
            whole_seconds = max(_LEAST_SECONDS[case], round(seconds))
            load = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{whole_seconds}s"]
            before = _cpu_seconds(process.pid)
            done = subprocess.run(
                [*load, "-s", str(script), f"http://127.0.0.1:{port}/"],
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            )
            cpu = _cpu_seconds(process.pid) - before
        return _of_wrk(done.stdout, cpu, _peak_mib(process.pid), wrong)
    except (subprocess.SubprocessError, OSError) as error:  # a machine that stands still, a server that ended
        print(f"not measured: {' '.join(command)} ({environ}): {error}", file=sys.stderr)
        return None
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


def _warm(port: int, case: str) -> int:
    """Send a few requests by hand, and count the answers that are not what they should be."""
    wrong = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = b"x" * UPLOAD_BYTES if case == "upload" else None
    for _ in range(_WARM[case]):
        try:
            connection.request("POST" if body else "GET", "/", body)
            response = connection.getresponse()
            size = 0
            while part := response.read(2**20):
                size += len(part)
        except (OSError, http.client.HTTPException):
            connection.close()
            wrong += 1
        else:
            wrong += (response.status, size) != (200, BODY_BYTES[case])
    connection.close()
    return wrong


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


def _said(pattern: str, text: str) -> tuple[str, ...]:
    """Return what a report says in a place that every report has."""
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"a report of wrk has {pattern!r}, got {text!r}")
    return found.groups()


def _of_wrk(text: str, cpu: float, peak: float, wrong: int) -> Sample:
    requests = int(_said(r"(\d+) requests in", text)[0])
    per_second = float(_said(r"Requests/sec:\s+([\d.]+)", text)[0])
    size, unit = _said(r"Transfer/sec:\s+([\d.]+)([KMG]?B)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failed = int(bad[1]) if bad else 0
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", text)
    cut = sum(map(int, broken.groups())) if broken else 0
    # An error page is no answer: it is counted as an error, and not as speed.
    good = max(requests - failed, 0)
    return Sample(
        per_second=per_second * good / max(requests, 1),
        cpu_us=cpu / max(good, 1) * 1e6,
        megabytes_per_second=float(size) * _UNITS[unit],
        errors=wrong + failed + cut,
        peak_mib=peak,
    )
