"""What each middleware adds to a request, beside the package that does the same on that interface.

Microseconds of CPU time, of all threads, that are *added* over the bare application; in process, no server. Rounds of
all candidates are interleaved; printed are the median of their differences and its quartiles. Who is a rival stands in
``rivals.toml``. The preset ``behind_load_balancer`` is measured whole, and its parts that have a rival against the
stack of these rivals; a second time without the rival that costs most, so that no single one makes the result.

Then files, of 4 KiB and of 1 MiB: requests and megabytes a second of CPU time, against every package that is named.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from gateway import Gateway
from gateway.contract import Middleware
from gateway.middleware import (
    AccessLog,
    BodyLimit,
    Compression,
    ConditionalGet,
    Cors,
    Errors,
    Health,
    HttpsRedirect,
    Metrics,
    ProxyHeaders,
    RateLimit,
    RequestId,
    SecurityHeaders,
    StaticFiles,
    TrustedHost,
    Unbuffered,
    behind_load_balancer,
)
from tests.evidence.bench import _static_files
from tests.evidence.bench._rivals import asgi_rival, named, quiet_logger, slow_api_application, wsgi_rival
from tests.evidence.bench._rounds import ORIGIN, Round, asgi_hello, asgi_round, wsgi_hello, wsgi_round

#: In the order of a chain.
OURS: dict[str, Callable[[], Middleware]] = {
    "health": Health,
    "proxy_headers": lambda: ProxyHeaders(trust=("127.0.0.1",)),
    "request_id": RequestId,
    "access_log": AccessLog,
    "metrics": Metrics,
    "security_headers": SecurityHeaders,
    "trusted_host": lambda: TrustedHost(allowed=("example.org",)),
    "https_redirect": HttpsRedirect,
    "cors": lambda: Cors(origins=(ORIGIN,)),
    "static_files": lambda: StaticFiles(folders={"/static": Path(__file__).parent}),
    "rate_limit": lambda: RateLimit(limits="1000000000/minute"),
    "body_limit": lambda: BodyLimit(max_bytes=10 * 2**20),
    "compression": Compression,
    "unbuffered": Unbuffered,
    "conditional_get": ConditionalGet,
    "errors": Errors,
}
#: Parts that ``behind_load_balancer`` has only on demand.
ON_DEMAND = ("metrics", "static_files", "rate_limit", "unbuffered")
#: Microseconds: first quartile, median, third quartile.
Cost = tuple[float, float, float]


def measure(candidates: dict[str, Round], rounds: int, count: int) -> dict[str, list[float]]:
    """Return what each adds over ``bare`` in each of the interleaved rounds, in microseconds."""
    for round_ in candidates.values():
        round_(count // 10 + 1)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, round_ in candidates.items():
            times[name].append(round_(count) / count * 1e6)
    bare = times.pop("bare")
    return {name: [t - b for t, b in zip(each, bare, strict=True)] for name, each in times.items()}


def cost(added: list[float]) -> Cost:
    """Return quartiles and median."""
    first, _, third = quantiles(added, n=4, method="inclusive")
    return first, median(added), third


class Side:
    """One interface: what is measured there, and what came of it."""

    def __init__(self, interface: str, rounds: int, count: int) -> None:
        self.interface = interface
        self._rounds, self._count = rounds, count
        self._asgi = interface == "asgi"
        self.names: dict[str, str] = named()[interface]
        self.rivalled = [
            part for part in OURS if self.names[part] != "none" and part != "static_files"
        ]  # files are measured by themselves: a rival that serves none adds nothing to hello

    def _round(self, app: Any) -> Round:
        return asgi_round(app, app=slow_api_application()) if self._asgi else wsgi_round(app)

    def _ours(self, middleware: Iterable[Middleware]) -> Round:
        gateway = Gateway(asgi_hello if self._asgi else wsgi_hello, middleware=tuple(middleware))
        return self._round(gateway.asgi if self._asgi else gateway.wsgi)

    def _theirs(self, parts: Iterable[str]) -> Round:
        stack: Any = asgi_hello if self._asgi else wsgi_hello
        for part in reversed([*parts]):
            stack = (asgi_rival if self._asgi else wsgi_rival)(part, stack)
        return self._round(stack)

    def parts(self) -> dict[str, Cost]:
        """Measure each part by itself."""
        candidates = {"bare": self._round(asgi_hello if self._asgi else wsgi_hello)}
        for part, make in OURS.items():
            candidates[f"ours {part}"] = self._ours([make()])
            if part in self.rivalled:
                candidates[f"rival {part}"] = self._theirs([part])
        return {name: cost(each) for name, each in measure(candidates, self._rounds, self._count).items()}

    def stacks(self, figures: dict[str, Cost]) -> dict[str, Cost]:
        """Measure the preset, and its parts that have a rival beside the rivals' stack."""
        preset = behind_load_balancer(hosts=("example.org",), trust=("127.0.0.1",), origins=(ORIGIN,))
        same = [part for part in self.rivalled if part not in ON_DEMAND]
        dearest = max(same, key=lambda part: figures[f"rival {part}"][1])
        lean = [part for part in same if part != dearest]
        candidates = {
            "bare": self._round(asgi_hello if self._asgi else wsgi_hello),
            "ours behind_load_balancer": self._ours(preset),
            "ours same parts": self._ours(OURS[part]() for part in same),
            "rival same parts": self._theirs(same),
            f"ours same parts, no {dearest}": self._ours(OURS[part]() for part in lean),
            f"rival same parts, no {dearest}": self._theirs(lean),
        }
        return {name: cost(each) for name, each in measure(candidates, self._rounds, self._count).items()}


def report(side: Side, figures: dict[str, Cost]) -> None:
    """Print a side's table."""
    print(f"\n{side.interface}: microseconds added, median [quartiles]")
    for name, ours in figures.items():
        who, _, part = name.partition(" ")
        if who != "ours":
            continue
        theirs = figures.get(f"rival {part}")
        beside = ""
        if theirs is not None:
            beside = f"  {_spelled(theirs)}  {ours[1] / theirs[1]:5.2f}  {side.names.get(part, 'the stack of rivals')}"
        print(f"  {part:34} {_spelled(ours)}{beside}")


def _spelled(each: Cost) -> str:
    return f"{each[1]:7.2f} [{each[0]:6.2f} {each[2]:6.2f}]"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.bench middleware", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--only", choices=["hello", "files"], help="measure this alone")
    options = parser.parse_args(argv)
    quiet_logger("gateway.access")
    found: dict[str, Any] = {"python": sys.version.split()[0]}
    if options.only != "files":
        for interface in ("asgi", "wsgi"):
            side = Side(interface, options.rounds, options.count)
            figures = side.parts()
            figures |= side.stacks(figures)
            found[interface] = figures
            report(side, figures)
    if options.only in (None, "files"):
        found["files"] = _static_files.measure(options.rounds)
        _static_files.report(found["files"])
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0
