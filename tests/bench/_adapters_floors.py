"""The floors and aims of the adapters, and the one table of ratios that tells which are met.

A ratio is taken within one round, of two samples that were measured one after the other: what slows the machine slows
both. More is better in every row. A floor is met where the better quartile of the rounds reaches it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tests.bench._adapters_sample import NATIVE, Results, Sample, at_once, quartiles, title

W2A, A2W = "wsgi-to-asgi", "asgi-to-wsgi"
#: On Python 3.11 lending falls back to the shared loop; the row is then the same as the one of the shared loop.
LEND = "ours, lend" if sys.version_info >= (3, 12) else "ours, lend (as shared)"
SHARED = "ours, shared"
WSGI_SERVERS = ("gunicorn-gthread", "waitress")

Measure: TypeAlias = Callable[[Sample, Sample], float]


def times_less_cpu(ours: Sample, theirs: Sample) -> float:
    """Return how many times less CPU a request takes."""
    return theirs.cpu_us / ours.cpu_us


def share_of_requests(ours: Sample, theirs: Sample) -> float:
    """Return the requests of a second, as a share of theirs."""
    return ours.per_second / theirs.per_second


def share_of_bytes(ours: Sample, theirs: Sample) -> float:
    """Return the bytes of a second, as a share of theirs."""
    return ours.megabytes_per_second / theirs.megabytes_per_second


@dataclass(frozen=True)
class Floor:
    """One row: who against whom, and what is to be reached."""

    measured: str
    ours: str
    theirs: str
    measure: Measure
    floor: float
    aim: float | None = None


def _floors() -> Iterator[Floor]:
    one = at_once(1)
    yield Floor(title(W2A, "hello", one), "ours", "a2wsgi", times_less_cpu, 6, 10)
    yield Floor(title(W2A, "chunks", one), "ours", "a2wsgi", times_less_cpu, 40, 60)
    yield Floor(title(W2A, "hello", "uvicorn"), "ours", NATIVE, share_of_requests, 0.5, 0.7)
    yield Floor(title(W2A, "upload", "uvicorn"), "ours", NATIVE, share_of_requests, 0.9, 1.15)
    yield Floor(title(W2A, "download", "uvicorn"), "ours", NATIVE, share_of_bytes, 0.85, 0.95)
    yield Floor(title(A2W, "hello", one), SHARED, "a2wsgi", times_less_cpu, 3.5, 5)
    yield Floor(title(A2W, "hello", one), LEND, "a2wsgi", times_less_cpu, 25, 40)
    yield Floor(title(A2W, "chunks", one), SHARED, "a2wsgi", times_less_cpu, 30, 45)
    for server in WSGI_SERVERS:
        hello = title(A2W, "hello", server)
        yield Floor(hello, SHARED, NATIVE, share_of_requests, 0.75, 0.85)
        yield Floor(hello, LEND, NATIVE, share_of_requests, 0.9, 1.0)
        for engine in (SHARED, LEND):
            upload, download = title(A2W, "upload", server), title(A2W, "download", server)
            yield Floor(upload, engine, "a2wsgi", share_of_requests, 1.0)
            yield Floor(upload, engine, NATIVE, share_of_requests, 0.7, 0.9)
            yield Floor(download, engine, "a2wsgi", share_of_bytes, 1.0)
            yield Floor(download, engine, NATIVE, share_of_bytes, 0.7, 0.9)


FLOORS = tuple(_floors())


def rows(results: Results) -> Iterator[tuple[Floor, tuple[float, float, float]]]:
    """Yield each floor that was measured, and the quartiles of its ratio."""
    for floor in FLOORS:
        engines = results.get(floor.measured, {})
        pairs = zip(engines.get(floor.ours, ()), engines.get(floor.theirs, ()), strict=False)
        ratios = [floor.measure(ours, theirs) for ours, theirs in pairs]
        if ratios:
            yield floor, quartiles(ratios)


def table(results: Results) -> list[str]:
    """Return the table of all ratios that were measured, as lines of Markdown."""
    lines = [
        "| measured | ours | against | ratio | quartiles | floor | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    for floor, (low, middle, high) in rows(results):
        text = _text(floor)
        aim = "" if floor.aim is None else f"{text(floor.aim)}: {_verdict(high, floor.aim)}"
        lines.append(
            f"| {floor.measured} | {floor.ours.removeprefix('ours, ')} | {floor.theirs} | {text(middle)} "
            f"| {text(low)} to {text(high)} | {text(floor.floor)}: {_verdict(high, floor.floor)} | {aim} |"
        )
    return lines


def _verdict(better_quartile: float, wanted: float) -> str:
    return "met" if better_quartile >= wanted else "not met"


def _text(floor: Floor) -> Callable[[float], str]:
    if floor.measure is times_less_cpu:
        return lambda value: f"{value:.3g} times less"
    return lambda value: f"{value:.0%}"
