"""Parity of the generator form: one that asks for nothing, and those that do IO, transform, peek, answer and wait.

As in ``test_parity`` and ``test_leaving``; what is compared beside the answer is what the generators noted. The rules
where the interfaces differ are those.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.middleware.stacks import Call
from tests.parity.flows import FLOWS
from tests.parity.stories import Story, shapes
from tests.parity.table import ENDING, FAILING
from tests.parity.test_leaving import ENDLESS, STREAMING
from tests.parity.ways import GONE, WAYS, Seen, Way, exchange

CALLS = (Call(), Call(method="HEAD"), Call(method="POST", body=b"12345"))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """An adapter logs what an application raises after its answer, or after its client left."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def every_telling(name: str, story: Story) -> Iterator[tuple[Way, str, list[Seen]]]:
    for way in WAYS:
        for shape in shapes(way.driver, story):
            told = exchange(way, FLOWS[name], CALLS, story, shape)
            yield way, shape, [replace(seen, in_time=None, fields=without_length(seen)) for seen in told]


def without_length(seen: Seen) -> dict[str, list[str]] | None:
    """Return the fields without the length of a transformed body, which is known where that comes whole."""
    if seen.fields is None or "x-word" not in seen.fields:
        return seen.fields
    return {name: lines for name, lines in seen.fields.items() if name != "content-length"}


@pytest.mark.parametrize("name", FLOWS)
def test_generators_around_an_application_that_ends_well_do_the_same(name: str) -> None:
    for title, story in ENDING.items():
        first: list[Seen] | None = None
        for way, shape, told in every_telling(name, story):
            first = first or told
            assert told == first, (title, way.id, shape)
            assert all(seen.calls and seen.error is None for seen in told)


@pytest.mark.parametrize("name", FLOWS)
def test_generators_around_an_application_that_fails_do_the_same(name: str) -> None:
    for title, story in FAILING.items():
        first: dict[str, list[Seen]] = {}
        for way, shape, told in every_telling(name, story):
            reference = first.setdefault(way.driver, told)
            for index, seen in enumerate(told):
                where = (title, way.id, shape, index)
                assert seen.calls == reference[index].calls, where
                assert seen.application == first["wsgi"][index].application, where
                answered = seen.status == 503
                assert seen.error == (None if answered else f"Boom('{story.fails}')"), where
                if story.fails == "before":  # nothing is committed in either interface
                    assert seen.calls == first["wsgi"][index].calls, where
                    assert answered == (name in ("answers", "together")), where


def without_sizes(calls: list[Any]) -> list[Any]:
    """Return the notes without what an outcome says of bytes sent and of the error, which are the interface's."""
    return [
        (*entry[:2], (*entry[2][:2], *entry[2][3:4], *entry[2][5:])) if entry[1] == "end" and len(entry) > 2 else entry
        for entry in calls
    ]


@pytest.mark.parametrize("name", FLOWS)
def test_generators_see_a_client_that_leaves_the_same(name: str) -> None:
    for after in (1, 2):
        first: Seen | None = None
        for way in WAYS:
            for shape in STREAMING[way.driver]:
                (seen,) = exchange(way, FLOWS[name], CALLS[:1], ENDLESS, shape, leaves=after)
                where = (way.id, shape, after)
                first = first or seen
                assert without_sizes(seen.calls) == without_sizes(first.calls), where
                assert (seen.status, seen.fields) == (first.status, first.fields), where
                ends = [entry[2] for entry in seen.calls if entry[1] == "end" and len(entry) > 2]
                for kind, status, sent, _, error, disconnected, _ in ends:
                    assert (kind, status, disconnected) == ("aborted", 200, True), where
                    assert not way.native or sent == seen.taken, where
                    assert not way.native or error in ("None", repr(OSError(GONE))), where


@pytest.mark.parametrize("name", FLOWS)
def test_generators_see_a_client_that_left_before_the_head_the_same_in_both_drivers(name: str) -> None:
    first: dict[object, Seen] = {}
    for way in WAYS:
        for shape in STREAMING[way.driver] if way.native else ():
            (seen,) = exchange(way, FLOWS[name], CALLS[:1], ENDLESS, shape, leaves=0)
            assert seen == first.setdefault((way.driver, shape), seen), (way.id, shape)
            assert seen.taken == 0
            for entry in seen.calls:
                if entry[1] == "end" and len(entry) > 2:
                    kind, _, sent, _, _, disconnected, _ = entry[2]
                    assert (kind, sent, disconnected) == ("aborted", 0, True), (way.id, shape)
