"""``python -m tests.evidence.django_postgresql``: measure Django with PostgreSQL, and write the page.

The program starts PostgreSQL on a unix socket in a temporary folder, and ends it. Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

from tests.evidence.django_postgresql.measure import SEATS, WAYS, InProcess, Sample, Seat, in_process, under_server
from tests.evidence.django_postgresql.page import PAGE, page
from tests.gateway.django.postgresql import running_postgresql

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Measure in interleaved rounds; return 1 if a response was wrong, and PostgreSQL had not refused a connection."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.django_postgresql", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds under servers; in process there are two more")
    parser.add_argument("--requests", type=int, default=2000, help="requests of each measurement")
    parser.add_argument("--output", type=Path, default=PAGE, help="file for the page")
    options = parser.parse_args(argv)
    alone: defaultdict[str, list[InProcess]] = defaultdict(list)
    served: defaultdict[Seat, list[dict[int, Sample]]] = defaultdict(list)
    load = os.getloadavg()[0]
    with running_postgresql() as postgresql:
        with postgresql.connect() as connection:
            version = str(connection.info.parameter_status("server_version"))
        for number in range(options.rounds + 2):
            for way in WAYS:
                alone[way].append(in_process(way, postgresql, options.requests))
                print(f"in process, round {number}, {way}: {alone[way][-1]}", flush=True)
        for number in range(options.rounds):
            for seat in SEATS:
                served[seat].append(under_server(seat, postgresql, options.requests))
                print(f"round {number}, {seat.server}, {seat.way}: {served[seat][-1]}", flush=True)
    text = page(alone, served, postgresql=version, requests=options.requests, load=(load, os.getloadavg()[0]))
    options.output.write_text(text, encoding="utf-8")
    print(f"written: {options.output}")
    wrong = sum(sample.errors for samples in alone.values() for sample in samples)
    samples = [sample for rounds in served.values() for each in rounds for sample in each.values()]
    wrong += sum(max(0, sample.errors - sample.refused) for sample in samples)
    print(f"{wrong} wrong responses, without those for which PostgreSQL refused a connection")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
