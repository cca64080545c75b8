"""What the modules of the adapters' benchmark share: a sample, a direction, and what a right answer is."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

CASES = ("hello", "chunks", "upload", "download")
#: How long a right answer is, by case.
BODY_BYTES = {"hello": 13, "chunks": 64 * 1024, "upload": len("1048576"), "download": 1600 * 65536}
#: The application of the interface that the server speaks, with no adapter.
NATIVE = "native"


@dataclass(frozen=True)
class Sample:
    """What one run measured."""

    per_second: float
    cpu_us: float
    megabytes_per_second: float = 0.0
    errors: int = 0
    peak_mib: float = 0.0


@dataclass(frozen=True)
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


#: Samples by what was measured (`title`), by who was measured; one of each round.
Results = Mapping[str, Mapping[str, Sequence[Sample]]]


def title(direction: str, case: str, place: str) -> str:
    """Return the name of one measurement; ``place`` is a server, or how many requests there are at once."""
    return f"{direction}, {case}, {place}"


def at_once(concurrency: int) -> str:
    """Return the place of a measurement in process."""
    return f"in process, {concurrency} at once"


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
