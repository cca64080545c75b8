"""Parity where the client leaves: before the head, and in the middle of the body.

Every middleware, in every way that a chain can stand, around an application that would stream without an end.
Identical is what the hooks see: their order, and an outcome that is *aborted*, with the status and what the client
took. Where the interfaces differ, the difference is a rule that is asserted:

1. *How it is told.* WSGI closes the body, or fails a ``write()``; ASGI tells by ``receive()``, and by an ``OSError`` of
   ``send()`` or by nothing. So the outcome has that error or none. A chunk that was refused is not counted.
2. *Before the head* only what stands natively is compared: an adapter may learn it later.
3. *What an adapter holds.* It takes what the server has not asked for yet, so the driver inside counts more than left;
   only a ``write()`` waits, and may be refused for what has just left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.middleware.stacks import Call
from tests.parity.stories import Story
from tests.parity.table import ENDING, FIELDS, MIDDLEWARE, TEXT
from tests.parity.ways import GONE, WAYS, Seen, Way, exchange

CASES = [
    pytest.param(name, call, id=f"{name}-{title}")
    for name in MIDDLEWARE
    for title, calls in MIDDLEWARE[name][1].items()
    for call in calls[:1]
]
#: It is told again and again: what a middleware keeps back comes out at some time.
ENDLESS = Story(headers=FIELDS, chunks=(TEXT[:700], b"", TEXT[700:]), endless=True)
STREAMING = {"wsgi": ("generator", "lazy", "write"), "asgi": ("chunked",)}
EVERY = {"wsgi": ("eager", *STREAMING["wsgi"]), "asgi": ("one-shot", "chunked")}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """An adapter logs what an application raises after its client left."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def leave(way: Way, name: str, call: Call, story: Story, shape: str, after: int, *, looks: bool = False) -> Seen:
    (seen,) = exchange(way, [MIDDLEWARE[name][0]], [call], story, shape, leaves=after, looks=looks)
    return seen


def outcomes(seen: Seen) -> list[Any]:
    """Return what every ``on_finish`` was told: kind, status, sent, received, error, disconnected, begun."""
    return [entry[3] for entry in seen.calls if entry[1] == "on_finish" and entry[2] != "gave"]


def without_sizes(seen: Seen) -> list[Any]:
    """Return the calls without what was sent and with which error it ended: these are the rules' business."""
    return [
        (*entry[:3], (*entry[3][:2], *entry[3][3:4], *entry[3][5:]))
        if entry[1] == "on_finish" and entry[2] != "gave"
        else entry
        for entry in seen.calls
    ]


@pytest.mark.parametrize(("name", "call"), CASES)
def test_a_client_that_leaves_in_the_body_is_seen_the_same(name: str, call: Call) -> None:
    if call.method == "HEAD":
        return  # there is no body to leave
    for after in (1, 2):
        first: Seen | None = None
        for way in WAYS:
            for shape in STREAMING[way.driver]:
                for looks in (False, True) if way.driver == "asgi" else (False,):
                    seen = leave(way, name, call, ENDLESS, shape, after, looks=looks)
                    where = (way.id, shape, after, looks)
                    first = first or seen
                    assert bool(seen.application) == bool(first.application), where
                    assert seen.replaced == first.replaced, where
                    if not seen.application or seen.replaced:  # the middleware's own answer has an end
                        continue
                    assert without_sizes(seen) == without_sizes(first), where
                    assert (seen.status, seen.fields) == (first.status, first.fields), where
                    check_outcomes(way, shape, seen, looks, where)


def check_outcomes(way: Way, shape: str, seen: Seen, looks: bool, where: object) -> None:
    told = way.native and (shape == "write" or (way.driver == "asgi" and not looks))
    for kind, status, sent, _, error, disconnected, _ in outcomes(seen):
        assert (kind, disconnected, status) == ("aborted", True, seen.status), where
        if way.native:
            assert error == (repr(OSError(GONE)) if told else "None"), where
        if way.native and not looks:
            assert sent == seen.taken, where
        else:
            assert sent >= seen.taken or shape == "write", where


@pytest.mark.parametrize(("name", "call"), CASES)
def test_a_client_that_left_before_the_head_is_seen_the_same_by_both_drivers(name: str, call: Call) -> None:
    first: dict[object, Seen] = {}
    for way in WAYS:
        if not way.native:
            continue
        for shape in EVERY[way.driver]:
            story = ENDING["one-chunk"] if shape in ("eager", "one-shot") else ENDLESS
            for looks in (False, True) if way.driver == "asgi" else (False,):
                seen = leave(way, name, call, story, shape, 0, looks=looks)
                where = (way.id, shape, looks)
                assert seen == first.setdefault((way.driver, shape, looks), seen), where
                assert seen.taken == 0, where
                # Where the server says nothing and the application does not look, nobody knows.
                known = not looks or (shape == "chunked" and call.method != "HEAD")
                for kind, _, sent, _, _, disconnected, _ in outcomes(seen):
                    assert (kind, disconnected) == (("aborted", True) if known else ("completed", False)), where
                    assert sent == 0 or looks, where
