"""The floors and aims of the adapters, and the one table of ratios that tells which are met.

A ratio is taken within one round, of two samples that were measured one after the other: what slows the machine slows
both. More is better in every row. A floor is met where the better quartile of the rounds reaches it.

Shares of requests and bytes a second stand beside the same share by CPU time, which is what counts on a machine that
does something else as well: there a server of many threads is given more of it than a server of one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.evidence.bench._adapters_sample import NATIVE, Results, Sample, at_once, quartiles, title

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


def _cpu_of_a_request(sample: Sample) -> float:
    return sample.cpu_us


def _cpu_of_a_megabyte(sample: Sample) -> float:
    return sample.cpu_us * sample.per_second / sample.megabytes_per_second


#: What the CPU time of a share is spent on.
_CPU = {share_of_requests: _cpu_of_a_request, share_of_bytes: _cpu_of_a_megabyte}


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


def rows(results: Results) -> Iterator[tuple[Floor, Sequence[tuple[Sample, Sample]]]]:
    """Yield each floor that was measured, and the pairs of samples of each round."""
    for floor in FLOORS:
        engines = results.get(floor.measured, {})
        pairs = list(zip(engines.get(floor.ours, ()), engines.get(floor.theirs, ()), strict=False))
        if pairs:
            yield floor, pairs


def table(results: Results) -> list[str]:
    """Return the table of all ratios that were measured, as lines of Markdown."""
    lines = [
        "| measured | ours | against | ratio, quartiles | by CPU time, quartiles | floor | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    for floor, pairs in rows(results):
        text = _text(floor)
        ratios = quartiles([floor.measure(ours, theirs) for ours, theirs in pairs])
        by_cpu = _by_cpu(floor, pairs)
        cells = [
            floor.measured,
            floor.ours.removeprefix("ours, "),
            floor.theirs,
            _spread(text, ratios),
            "" if by_cpu is None else _spread(text, by_cpu),
            f"{text(floor.floor)}: {_verdict(floor.floor, ratios, by_cpu)}",
            "" if floor.aim is None else f"{text(floor.aim)}: {_verdict(floor.aim, ratios, by_cpu)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _by_cpu(floor: Floor, pairs: Sequence[tuple[Sample, Sample]]) -> tuple[float, float, float] | None:
    cpu = _CPU.get(floor.measure)
    if cpu is None:
        return None
    # A download that takes longer than its sample leaves no request to divide by.
    shares = [cpu(theirs) / cpu(ours) for ours, theirs in pairs if ours.per_second and theirs.per_second]
    return quartiles(shares) if shares else None


def _spread(text: Callable[[float], str], values: tuple[float, float, float]) -> str:
    return f"{text(values[1])}, {text(values[0])} to {text(values[2])}"


def _verdict(wanted: float, ratios: tuple[float, float, float], by_cpu: tuple[float, float, float] | None) -> str:
    met = ratios[2] >= wanted
    met_by_cpu = met if by_cpu is None else by_cpu[2] >= wanted
    if met == met_by_cpu:
        return "met" if met else "not met"
    return "met, by CPU time not" if met else "met by CPU time only"


def _text(floor: Floor) -> Callable[[float], str]:
    if floor.measure is times_less_cpu:
        return lambda value: f"{value:.3g}×"
    return lambda value: f"{value:.0%}"
