"""The benchmark of the adapters: what it counts, and that its table is about what is measured."""

from __future__ import annotations

import pytest

from tests.evidence.bench import _adapters_floors, _adapters_loopback, adapters
from tests.evidence.bench._adapters_floors import FLOORS, SHARED, Floor
from tests.evidence.bench._adapters_sample import CASES, NATIVE, Sample, at_once, title

WRK = """Running 1s test @ http://127.0.0.1:8000/
  1 threads and 16 connections
  1000 requests in 1.00s, 200.00KB read
  Socket errors: connect 0, read 3, write 1, timeout 0
  Non-2xx or 3xx responses: 250
Requests/sec:   1000.00
Transfer/sec:      2.00GB
"""


def test_error_pages_are_errors_and_not_speed() -> None:
    sample = _adapters_loopback._of_wrk(WRK, cpu=0.75, peak=30.0, wrong=2)
    assert sample == Sample(
        per_second=750.0, cpu_us=pytest.approx(1000.0), megabytes_per_second=2000.0, errors=256, peak_mib=30.0
    )


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: f"{floor.measured}, {floor.ours}, {floor.theirs}")
def test_every_floor_is_about_something_that_is_measured(floor: Floor) -> None:
    places = [
        (title(name, case, place), adapters.direction(name).engines)
        for name in adapters.DIRECTIONS
        for case in CASES
        for place in (*map(at_once, adapters.CONCURRENCY), *adapters.direction(name).servers)
    ]
    [engines] = [engines for measured, engines in places if measured == floor.measured]
    assert {floor.ours, floor.theirs} <= set(engines)


def test_a_floor_is_met_where_the_better_quartile_reaches_it() -> None:
    measured = "asgi-to-wsgi, hello, waitress"
    native = [Sample(per_second=1000.0, cpu_us=90.0)] * 5
    for rates, cpu_us, verdict in (
        ((100, 100, 700, 760, 760), 100.0, "met"),
        ((100, 100, 700, 740, 900), 150.0, "not met"),
        ((100, 100, 700, 740, 900), 100.0, "met by CPU time only"),
        ((100, 100, 700, 760, 760), 150.0, "met, by CPU time not"),
    ):
        ours = [Sample(per_second=rate, cpu_us=cpu_us) for rate in rates]
        *_, row = _adapters_floors.table({measured: {NATIVE: native, SHARED: ours}})
        assert f"| 75%: {verdict} |" in row


def test_a_ratio_of_cpu_time_has_one_verdict() -> None:
    measured = title("wsgi-to-asgi", "hello", at_once(1))
    ours, theirs = [Sample(per_second=1.0, cpu_us=40.0)], [Sample(per_second=1.0, cpu_us=320.0)]
    *_, row = _adapters_floors.table({measured: {"ours": ours, "a2wsgi": theirs}})
    assert row.endswith("| ours | a2wsgi | 8×, 8× to 8× |  | 6×: met | 10×: not met |")


def test_downloads_of_which_none_was_complete_have_no_share_of_cpu_time() -> None:
    measured = title("wsgi-to-asgi", "download", "uvicorn")
    ours = [Sample(per_second=0.0, cpu_us=1.0, megabytes_per_second=90.0)]
    theirs = [Sample(per_second=1.0, cpu_us=1.0, megabytes_per_second=100.0)]
    *_, row = _adapters_floors.table({measured: {"ours": ours, NATIVE: theirs}})
    assert row.endswith("| ours | native | 90%, 90% to 90% |  | 85%: met | 95%: not met |")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", list(adapters.DIRECTIONS))
def test_a_sample_of_ours_is_without_errors(name: str, case: str) -> None:
    engine = SHARED if name == "asgi-to-wsgi" else "ours"
    sample = adapters.direction(name).drive(engine, case, 2, 0.01)
    assert sample.errors == 0
    assert sample.per_second > 0
