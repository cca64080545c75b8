"""Measure one way of serving Django, in process and under a server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.servers import Bind, Launch, get, start
from tests.gateway.django.load import ask_many
from tests.gateway.django.postgresql import PostgreSQL

__all__ = ["AT_ONCE", "SEATS", "WAYS", "InProcess", "Sample", "Seat", "in_process", "under_server"]

ROOT = Path(__file__).parents[3]
TARGET = "tests.gateway.django.rooms.served:application"
AT_ONCE = (8, 64)
#: Threads of Gunicorn's gthread worker, as many as `get_application` has by itself.
THREADS = 40
_WARM = 20

#: The ways that are measured in process, where the application is called as ASGI.
WAYS = ("asgi", "asgi with lent threads", "a2wsgi", "object")


@dataclass(frozen=True)
class Seat:
    """A way of serving Django under a server."""

    server: str
    way: str


SEATS = (
    *(Seat(server, way) for server in ("uvicorn", "granian-asgi", "gunicorn-asgi") for way in WAYS),
    *(Seat("gunicorn-gthread", way) for way in ("asgi through a2wsgi", "asgi with lent threads", "wsgi", "object")),
)


@dataclass(frozen=True)
class Sample:
    """One measurement under a server.

    Attributes:
        connections: Connections to PostgreSQL that were opened since the server had started.
        left_open: Connections that were open after the last response.
        cpu_us: CPU time of the server for a request, in microseconds.
        postgresql_us: CPU time of PostgreSQL for a request, in microseconds.
        p99_ms: Time that 99 % of the requests did not exceed, in milliseconds.
        per_second: Requests per second.
        errors: Number of wrong or missing responses.
        refused: Number of connections that PostgreSQL refused, because ``max_connections`` was reached.
    """

    connections: int
    left_open: int
    cpu_us: float
    postgresql_us: float
    p99_ms: float
    per_second: float
    errors: int
    refused: int


@dataclass(frozen=True)
class InProcess:
    """One measurement in process; the CPU time is that of the whole process."""

    connections: int
    cpu_us: float
    errors: int


def under_server(seat: Seat, postgresql: PostgreSQL, requests: int) -> dict[int, Sample]:
    """Start the server, and send the requests once for each number of `AT_ONCE`."""
    environment = _environment(seat.way, postgresql)
    threads = THREADS if seat.server == "gunicorn-gthread" else None
    launch = Launch(
        target=TARGET, bind=Bind(port=0), app_dir=str(ROOT), threads=threads, hooks=True, environment=environment
    )
    samples: dict[int, Sample] = {}
    opened = postgresql.opened()
    with start(get(seat.server), launch) as running:
        host, port = str(running.bind.host), int(running.bind.port or 0)
        asyncio.run(ask_many(host, port, requests=_WARM, at_once=1))
        for at_once in AT_ONCE:
            refused = postgresql.refused()
            cpu, others = _cpu_of_group(running.pid), _cpu_of_children(postgresql.process.pid)
            begin = os.times().elapsed
            load = asyncio.run(ask_many(host, port, requests=requests, at_once=at_once))
            elapsed = os.times().elapsed - begin
            samples[at_once] = Sample(
                connections=postgresql.opened() - opened,
                left_open=postgresql.open(),
                cpu_us=(_cpu_of_group(running.pid) - cpu) / requests * 1e6,
                postgresql_us=(_cpu_of_children(postgresql.process.pid) - others) / requests * 1e6,
                p99_ms=load.percentile(0.99) * 1e3,
                per_second=requests / elapsed,
                errors=len(load.errors),
                refused=postgresql.refused() - refused,
            )
    return samples


def in_process(way: str, postgresql: PostgreSQL, requests: int) -> InProcess:
    """Call the application in a process of its own, 8 requests at once."""
    opened = postgresql.opened()
    done = subprocess.run(
        [sys.executable, "-m", "tests.evidence.django_postgresql.in_process", str(requests), "8"],
        cwd=ROOT,
        env={**os.environ, **_environment(way, postgresql)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=True,
    )
    return InProcess(connections=postgresql.opened() - opened, **json.loads(done.stdout))


def _environment(way: str, postgresql: PostgreSQL) -> dict[str, str]:
    return {"ROOMS_HOST": str(postgresql.folder), "ROOMS_USER": postgresql.user, "ROOMS_WAY": way}


def _cpu_of_group(pid: int) -> float:
    """Return the CPU time of the processes of a group, in seconds."""
    return sum(sum(fields[11:13]) for fields in _processes() if fields[2] == pid) / os.sysconf("SC_CLK_TCK")


def _cpu_of_children(pid: int) -> float:
    """Return the CPU time of a process and its children, those that have ended included, in seconds."""
    ticks = 0
    for fields in _processes():
        if fields[-1] == pid:
            ticks += sum(fields[11:15])
        elif fields[1] == pid:
            ticks += sum(fields[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def _processes() -> list[list[int]]:
    """Return the first fields of ``/proc/PID/stat`` behind the name, as in `proc(5)`, and the process id at the end."""
    found: list[list[int]] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):  # it has ended
            continue
        found.append([0, *(int(field) for field in fields[1:15]), int(path.parent.name)])
    return found
