"""The page in the documentation: the tables of the measurement."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from tests.evidence.django_postgresql.measure import AT_ONCE, SEATS, WAYS, InProcess, Sample, Seat
from tests.evidence.summary import chart, numbers

__all__ = ["NAMES", "PAGE", "page", "summary"]

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "django-postgresql.md"

#: What each way is, as a reader knows it.
NAMES = {
    "asgi": "Django's ASGI handler",
    "asgi with lent threads": '`get_application(handler="asgi", reuse_threads=True, threads=40)`',
    "asgi through a2wsgi": "Django's ASGI handler through a2wsgi",
    "a2wsgi": "Django's WSGI handler through a2wsgi",
    "wsgi": "Django's WSGI handler",
    "object": "`get_application()`",
}
_PACKAGES = ("django", "asgiref", "psycopg", "a2wsgi", "uvicorn", "granian", "gunicorn")

_HEAD = """\
How many database connections does a Django process open, and how much CPU time does a request take? \
These figures are from {date}: PostgreSQL {postgresql} on a unix socket, {system}, {cores} cores, \
Python {python}; {packages}.

The view is synchronous and sends one query. `CONN_MAX_AGE` is 600 seconds, so a connection can be used again. \
Each server has one process, with its own defaults; gthread has 40 threads, as many as `get_application()`.

To measure again and write this page: `python -m tests.evidence.django_postgresql`. \
The program starts PostgreSQL itself, in a temporary folder.

The machine did other work at the same time: its load was {before:.0f} at the beginning and {after:.0f} at the end. \
So compare CPU times. The times of the slowest requests and the requests per second depend on the other work, and are \
only comparable within a table. Each value is the median of {rounds} rounds, in which the ways took turns.
"""


def page(
    alone: Mapping[str, Sequence[InProcess]],
    served: Mapping[Seat, Sequence[Mapping[int, Sample]]],
    *,
    postgresql: str,
    requests: int,
    load: tuple[float, float],
    date: datetime.date | None = None,
) -> str:
    """Render the page."""
    date = date or datetime.datetime.now(datetime.UTC).date()
    parts = [
        "# Django with PostgreSQL\n",
        *_summary(alone, served, requests),
        _HEAD.format(
            date=date.isoformat(),
            postgresql=postgresql.split()[0],
            system=f"{platform.system()} {platform.release()}",
            cores=os.cpu_count(),
            python=platform.python_version(),
            packages=", ".join(f"{package} {version(package)}" for package in _PACKAGES),
            before=load[0],
            after=load[1],
            rounds=len(next(iter(served.values()))),
        ),
        *_in_process(alone, requests),
    ]
    for server in dict.fromkeys(seat.server for seat in SEATS):
        parts += [f"## {server}\n", *_under_server(server, served, requests), ""]
    refused = sum(sample.refused for rounds in served.values() for round in rounds for sample in round.values())
    return "\n".join([*parts, *_READING, *([_REFUSED.format(number=refused)] if refused else []), ""])


def _summary(
    alone: Mapping[str, Sequence[InProcess]], served: Mapping[Seat, Sequence[Mapping[int, Sample]]], requests: int
) -> list[str]:
    few = AT_ONCE[0]

    def opened(way: str) -> int:
        return round(median(each[few].connections for each in served[Seat("uvicorn", way)]))

    times = {way: median(sample.cpu_us for sample in alone[way]) for way in WAYS}
    what = f"for {requests:,} requests under uvicorn, {few} at once"
    return summary(opened("asgi"), opened("object"), times, what)


def summary(django: int, ours: int, times: Mapping[str, float], what: str) -> list[str]:
    """Return the beginning of the page: three numbers and the CPU times as bars."""
    return [
        numbers(
            (django, f"connections that Django's ASGI handler opens {what}"),
            (ours, "connections that `get_application()` opens for the same requests"),
            (
                f"{times['asgi'] / times['object']:.1f} times",
                "less CPU time for a request in process than Django's ASGI handler",
            ),
        ),
        chart("µs of CPU for a request, in process", {NAMES[way]: round(time) for way, time in times.items()}),
    ]


def _in_process(alone: Mapping[str, Sequence[InProcess]], requests: int) -> list[str]:
    ours = [sample.cpu_us for sample in alone["object"]]
    rows = [
        "## In process\n",
        f"The application is called as ASGI, without a server, 8 requests at once, {requests:,} requests, in "
        f"{len(ours)} rounds. The CPU time is that of the whole process. The last column divides the time of "
        "`get_application()` by the time of the row, in the same round.\n",
        "| way | connections | CPU time of a request | `get_application()` needs |",
        "|---|---|---|---|",
    ]
    for way in WAYS:
        times = [sample.cpu_us for sample in alone[way]]
        ratio = median(mine / theirs for mine, theirs in zip(ours, times, strict=True))
        connections = median(sample.connections for sample in alone[way])
        rows.append(f"| {NAMES[way]} | {connections:,.0f} | {median(times):,.0f} µs | {ratio:.2f}× |")
    return [*rows, ""]


def _under_server(server: str, served: Mapping[Seat, Sequence[Mapping[int, Sample]]], requests: int) -> list[str]:
    titles = [f"{what}, {at_once} at once" for what in ("CPU time", "PostgreSQL", "99 %") for at_once in AT_ONCE]
    rows = [
        f"{requests:,} requests at each number at once, over connections that stay open. "
        "The second figure of the connections includes the first.\n",
        f"| way | connections opened | still open | {' | '.join(titles)} | errors |",
        f"|---|---|---|{'---|' * len(titles)}---|",
    ]
    for seat in SEATS:
        if seat.server != server:
            continue

        def middle(at_once: int, value: Callable[[Sample], float], seat: Seat = seat) -> float:
            return median(value(round[at_once]) for round in served[seat])

        opened = " / ".join(f"{middle(at_once, lambda sample: sample.connections):,.0f}" for at_once in AT_ONCE)
        left = " / ".join(f"{middle(at_once, lambda sample: sample.left_open):,.0f}" for at_once in AT_ONCE)
        cells = [
            *(f"{middle(at_once, lambda sample: sample.cpu_us):,.0f} µs" for at_once in AT_ONCE),
            *(f"{middle(at_once, lambda sample: sample.postgresql_us):,.0f} µs" for at_once in AT_ONCE),
            *(f"{middle(at_once, lambda sample: sample.p99_ms):,.0f} ms" for at_once in AT_ONCE),
        ]
        errors = sum(round[at_once].errors for round in served[seat] for at_once in AT_ONCE)
        rows.append(f"| {NAMES[seat.way]} | {opened} | {left} | {' | '.join(cells)} | {errors} |")
    return rows


_READING = [
    "## How to read this\n",
    "- Django's ASGI handler opens a connection for each request, because its thread ends with the request. PostgreSQL "
    "starts a process for each of them, which is the larger part of its CPU time. Python closes the connection of an "
    "ended thread when it collects garbage, so connections stay open for a while. With 600 of them, PostgreSQL "
    "refused the next ones in another run on this machine.",
    "- `get_application()` opens at most one connection for each of its threads, 40 by default; a2wsgi has 10 threads. "
    "It opens more than 8 if 8 requests run at once, because a thread is free a little after its response was sent.",
    "- Under gthread, `get_application()` is called as WSGI, so no adapter is between Gunicorn and Django.",
]
_REFUSED = (
    "- PostgreSQL refused {number} connections, because 600 were open, its `max_connections` here. "
    "Each of them is an error with status 500."
)
