"""The measurement with PostgreSQL, in small: what must hold on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.evidence.django_postgresql.measure import (
    AT_ONCE,
    SEATS,
    WAYS,
    InProcess,
    Sample,
    Seat,
    in_process,
    under_server,
)
from tests.evidence.django_postgresql.page import NAMES, page
from tests.gateway.django.postgresql import PostgreSQL, programs, running_postgresql


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running_postgresql() as server:
        yield server


@pytest.mark.slow
def test_the_object_opens_fewer_connections(postgresql: PostgreSQL) -> None:
    """The CPU time is measured by the program and stands on the page; a busy machine changes it."""
    samples = {way: in_process(way, postgresql, 400) for way in WAYS}
    assert all(sample.errors == 0 for sample in samples.values())
    assert samples["object"].connections <= 40
    assert samples["asgi with lent threads"].connections <= 40
    assert samples["asgi"].connections >= 400


@pytest.mark.slow
@pytest.mark.parametrize("way", ["object", "asgi with lent threads"])
def test_a_server_opens_no_more_connections_than_it_has_threads(way: str, postgresql: PostgreSQL) -> None:
    samples = under_server(Seat("uvicorn", way), postgresql, 400)
    assert [sample.errors for sample in samples.values()] == [0, 0]
    assert max(sample.connections for sample in samples.values()) <= 40
    assert all(sample.cpu_us > 0 for sample in samples.values())


def test_the_page_has_a_row_for_each_way_under_each_server() -> None:
    sample = Sample(
        connections=9, left_open=8, cpu_us=400.4, postgresql_us=20, p99_ms=50, per_second=900, errors=0, refused=0
    )
    text = page(
        {way: [InProcess(connections=9, cpu_us=300 if way == "object" else 600, errors=0)] * 3 for way in WAYS},
        {seat: [dict.fromkeys(AT_ONCE, sample)] for seat in SEATS},
        postgresql="15.1 (Debian)",
        requests=1000,
        load=(1.0, 2.0),
    )
    for server in {seat.server for seat in SEATS}:
        section = text.partition(f"## {server}\n")[2].partition("\n## ")[0]
        ways = [NAMES[seat.way] for seat in SEATS if seat.server == server]
        assert [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")][1:] == [
            f"| {way}" for way in ways
        ]
    assert "| 9 | 600 µs | 0.50× |" in text
    assert "| 9 / 9 | 8 / 8 | 400 µs | 400 µs | 20 µs | 20 µs | 50 ms | 50 ms | 0 |" in text
