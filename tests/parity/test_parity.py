"""Parity: every middleware, every way in which an application answers, every way in which a chain can stand.

Identical are status, header lines, body, exceptions, outcomes, the sequence of hook calls with their arguments, what
the application was given, how often what it returned was closed, and whether the first byte left before the second
chunk was made. No scenario is excluded. Where the interfaces themselves differ, the difference is a rule that is
asserted:

1. *When a head is committed.* By ``http.response.start`` on ASGI, by the first byte or the end on WSGI (PEP 3333,
   "The start_response() Callable"). An application that fails between the two has told an ASGI server its status: the
   connection is cut, and ``on_error`` is not asked. A WSGI server is bound to nothing: ``on_error`` is asked, and what
   nobody answers is a 500 of the server's. Behind an adapter to WSGI the server is bound to nothing either, though the
   driver inside has committed.
2. *What runs on after its response was replaced.* An iterable that is not wanted is closed, so it fails no more. What
   fails inside the call, as an ASGI application does, fails all the same: on WSGI before anything is committed, on ASGI
   after a complete answer.
3. *How many bytes a coded stream has.* An encoder is flushed after each chunk but the one that is known to be the last:
   in a list the last one is known, in a generator its end comes afterwards. What is decoded is the same.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.middleware.stacks import Call
from tests.parity.stories import WHOLE, Story, shapes
from tests.parity.table import ENDING, FAILING, MIDDLEWARE, STORIES
from tests.parity.ways import WAYS, Seen, Way, exchange

CASES = [pytest.param(name, request, id=f"{name}-{request}") for name in MIDDLEWARE for request in MIDDLEWARE[name][1]]

#: What makes a WSGI head wait for the first chunk: it transforms, it peeks, or it answers errors.
DEFERS = {"compression", "conditional_get-auto", "errors"}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """An adapter logs what an application raises after its answer; here it is counted instead."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def every_telling(name: str, calls: tuple[Call, ...], story: Story) -> Iterator[tuple[Way, str, list[Seen]]]:
    """Run a story in every way and every shape that can tell it."""
    for way in WAYS:
        for shape in shapes(way.driver, story):
            told = exchange(way, [MIDDLEWARE[name][0]], calls, story, shape)
            yield way, shape, [comparable(seen) for seen in told]


def comparable(seen: Seen) -> Seen:
    """Leave out what need not be the same: rule 3, and the time of the first byte, which has a test of its own."""
    if "content-encoding" not in (seen.fields or {}):
        return replace(seen, in_time=None)
    return replace(seen, in_time=None, taken=0, calls=[_without_size(entry) for entry in seen.calls])


def _without_size(entry: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        (*item[:2], *item[3:]) if isinstance(item, tuple) and item[:1] in (("completed",), ("aborted",)) else item
        for item in entry
    )


@pytest.mark.parametrize(("name", "request_"), CASES)
def test_an_application_that_ends_well_is_answered_the_same(name: str, request_: str) -> None:
    calls = MIDDLEWARE[name][1][request_]
    for title, story in ENDING.items():
        first: list[Seen] | None = None
        for way, shape, told in every_telling(name, calls, story):
            first = first or told
            assert told == first, (title, way.id, shape)
            assert all(seen.error is None and seen.status is not None for seen in told)


@pytest.mark.parametrize(("name", "request_"), CASES)
def test_an_application_that_fails_is_answered_by_the_rules(name: str, request_: str) -> None:
    calls = MIDDLEWARE[name][1][request_]
    committed = exchange(WAYS[3], [MIDDLEWARE[name][0]], calls, ENDING["chunks"], "chunked")
    for title, story in FAILING.items():
        first: dict[str, list[Seen]] = {}
        for way, shape, told in every_telling(name, calls, story):
            reference = first.setdefault(way.driver, told)
            for index, (call, seen) in enumerate(zip(calls, told, strict=True)):
                where = (title, way.id, shape, index)
                # Within one interface nothing differs inside of the driver: not by shape, by driver, or by adapter.
                assert seen.calls == reference[index].calls, where
                wsgi = first["wsgi"][index]
                assert seen.application == wsgi.application, where
                if not is_between(call, story):
                    assert seen.calls == wsgi.calls, where
                else:
                    check_hooks_between(name, wsgi, seen, way.driver, where)
                check_answer(way, shape, call, story, seen, wsgi, committed[index], where)


def is_between(call: Call, story: Story) -> bool:
    """Tell whether the application fails after the head and before any chunk."""
    return story.fails == "started" or (story.fails in ("middle", "end") and call.method == "HEAD")


def check_hooks_between(name: str, wsgi: Seen, seen: Seen, driver: str, where: object) -> None:
    """Rule 1, inside: an ASGI driver has committed a head, a WSGI driver that defers it has not even made it."""
    if driver == "wsgi" or not wsgi.application:
        assert seen.calls == wsgi.calls, where
    elif name in DEFERS:
        assert "on_response" not in wsgi.hooks, where
        assert "on_error" not in seen.hooks, where
    else:
        assert seen.calls == wsgi.calls, where


def check_answer(
    way: Way, shape: str, call: Call, story: Story, seen: Seen, wsgi: Seen, committed: Seen, where: object
) -> None:
    failure = f"Boom('{story.fails}')"
    if not seen.application:  # a middleware answered, and the application never ran
        assert (seen.status, seen.fields, seen.body, seen.error) == (wsgi.status, wsgi.fields, wsgi.body, None), where
    elif seen.replaced:
        expected = failure if fails_after_replacement(way, shape, call, story) else None
        assert (seen.error, seen.body) == (expected, b""), where
        bound = expected is None or (way.driver == "asgi" and way.native)
        assert (seen.status, seen.fields) == ((committed.status, committed.fields) if bound else (None, None)), where
    elif seen.answered:
        assert (seen.status, seen.error) == (500, None), where
        if wsgi.answered:
            assert (seen.fields, seen.body) == (wsgi.fields, wsgi.body), where
    else:
        assert seen.error == failure, where
        binds = way.driver == "asgi" and way.native and story.fails != "before"
        if not wsgi.answered:
            assert seen.body == wsgi.body, where
        if seen.body:
            assert (seen.status, seen.fields) == (committed.status, committed.fields), where
        elif seen.status is not None:  # rule 1, outside: only an ASGI server that is called by the driver is bound
            assert binds, where
            assert (seen.status, seen.fields) == (committed.status, committed.fields), where
        else:
            assert not binds or ("on_body" in seen.hooks and story.fails == "started"), where  # held for a transform


def fails_after_replacement(way: Way, shape: str, call: Call, story: Story) -> bool:
    """Rule 2: whether a replaced application still fails, and whether the server is told."""
    if way.driver == "asgi":
        return way.native  # its answer is complete: an adapter to WSGI has nobody left to tell but the log
    if shape == "generator":
        return False
    return shape == "write" or is_between(call, story)  # else it is closed where its first chunk would be


@pytest.mark.parametrize(("name", "request_"), CASES)
def test_the_first_byte_leaves_before_the_same_event(name: str, request_: str) -> None:
    make, requests = MIDDLEWARE[name]
    calls, story = requests[request_], ENDING["chunks"]
    native: list[bool | None] | None = None
    for way in sorted(WAYS, key=lambda way: not way.native):
        for shape in shapes(way.driver, story):
            if shape in WHOLE:
                continue
            # In one thread it is seen by looking. Across a crossing the application waits until it is so: if the
            # adapter kept the byte back, it would wait for ever.
            waits = [] if way.native or native is None else [value is True for value in native]
            told = [seen.in_time for seen in exchange(way, [make], calls, story, shape, waits=waits)]
            native = native or told
            assert told == native, (way.id, shape)
            assert False not in told, "a stream is held back"


def test_every_middleware_is_in_the_table() -> None:
    modules = {path.stem for path in (Path(__file__).parents[2] / "middleware").glob("[a-z]*.py")} - {"presets"}
    assert {name.partition("-")[0] for name in MIDDLEWARE} == modules


@pytest.mark.slow
@pytest.mark.parametrize("outer", MIDDLEWARE)
def test_two_middleware_in_either_order_do_the_same(outer: str) -> None:
    for inner in MIDDLEWARE:
        make = [MIDDLEWARE[outer][0], MIDDLEWARE[inner][0]]
        calls = tuple(itertools.chain.from_iterable(MIDDLEWARE[inner][1].values()))[:2]
        for title, story in STORIES.items():
            first: dict[object, Seen] = {}
            for way in WAYS:
                for shape in shapes(way.driver, story):
                    told = [comparable(seen) for seen in exchange(way, make, calls, story, shape)]
                    for index, (call, seen) in enumerate(zip(calls, told, strict=True)):
                        # Rule 2 is about shapes: what is closed fails no more, so the outcome outside is another.
                        fails = seen.replaced and fails_after_replacement(way, shape, call, story)
                        group = (index, way.driver, way.driver == "wsgi" and fails) if story.fails else index
                        same = first.setdefault(group, seen)
                        where = (inner, title, way.id, shape, index)
                        assert (seen.calls, seen.application) == (same.calls, same.application), where
                        if not story.fails:
                            assert seen == same, where
