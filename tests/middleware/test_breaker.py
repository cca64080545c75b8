"""The circuit breaker: who may ask a store that has failed, and when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.middleware._breaker import FIRST_PAUSE, LONGEST_PAUSE, Breaker
from tests.shows import shows


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(lease=0.5, clock=clock)


def enter(breaker: Breaker) -> int:
    ticket = breaker.enter()
    assert ticket is not None
    return ticket


def test_every_request_asks_a_store_that_answers(breaker: Breaker) -> None:
    for _ in range(3):
        assert breaker.succeeded(enter(breaker)) is False
    assert breaker.seconds_left == 0


def test_after_a_failure_no_request_uses_the_store_until_the_pause_is_over(breaker: Breaker, clock: Clock) -> None:
    assert breaker.failed(enter(breaker)) is True
    assert breaker.enter() is None
    clock.now += FIRST_PAUSE - 0.01
    assert breaker.enter() is None
    clock.now += 0.02
    assert breaker.enter() is not None


@shows("A store that failed is skipped; one request tries it again, ever more rarely")
def test_one_request_tries_again_and_the_others_wait_for_it(breaker: Breaker, clock: Clock) -> None:
    breaker.failed(enter(breaker))
    clock.now += FIRST_PAUSE
    ticket = enter(breaker)
    assert [breaker.enter() for _ in range(3)] == [None] * 3
    assert breaker.succeeded(ticket) is True
    assert [breaker.enter() is not None for _ in range(3)] == [True] * 3


def test_a_hanging_try_blocks_other_tries_only_for_its_lease(breaker: Breaker, clock: Clock) -> None:
    breaker.failed(enter(breaker))
    clock.now += FIRST_PAUSE
    enter(breaker)
    assert breaker.enter() is None
    clock.now += 0.5
    assert breaker.enter() is not None


@shows("A store that failed is skipped; one request tries it again, ever more rarely")
def test_the_pauses_double_up_to_the_longest(breaker: Breaker, clock: Clock) -> None:
    pauses = []
    for _ in range(14):
        breaker.failed(enter(breaker))
        pauses.append(breaker.seconds_left)
        clock.now += breaker.seconds_left
    assert pauses[:4] == pytest.approx([FIRST_PAUSE * factor for factor in (1, 2, 4, 8)])
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE)
    assert sorted(pauses) == pytest.approx(pauses)


def test_a_success_makes_the_next_pause_the_first_again(breaker: Breaker, clock: Clock) -> None:
    for _ in range(5):
        breaker.failed(enter(breaker))
        clock.now += breaker.seconds_left
    breaker.succeeded(enter(breaker))
    breaker.failed(enter(breaker))
    assert breaker.seconds_left == pytest.approx(FIRST_PAUSE)


def test_simultaneous_failures_count_as_one(breaker: Breaker) -> None:
    tickets = [enter(breaker) for _ in range(100)]
    assert [breaker.failed(ticket) for ticket in tickets] == [True] + [False] * 99
    assert breaker.seconds_left == pytest.approx(FIRST_PAUSE)


def test_an_old_failure_after_a_recovery_does_not_begin_an_outage(breaker: Breaker, clock: Clock) -> None:
    old = enter(breaker)
    breaker.failed(enter(breaker))
    clock.now += FIRST_PAUSE
    breaker.succeeded(enter(breaker))
    assert breaker.failed(old) is False
    assert breaker.enter() is not None


@given(st.lists(st.sampled_from(["enter", "pass", "fail", "wait"]), max_size=60))
def test_in_an_outage_at_most_one_request_tries_the_store(steps: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(lease=0.5, clock=clock)
    under_way: list[int] = []
    for step in steps:
        if step == "wait":
            clock.now += 0.07
        elif step == "enter":
            out = breaker.seconds_left > 0
            ticket = breaker.enter()
            assert not (out and ticket is not None)
            if ticket is not None:
                under_way.append(ticket)
        elif under_way:
            (breaker.succeeded if step == "pass" else breaker.failed)(under_way.pop())
        assert breaker.seconds_left <= LONGEST_PAUSE


def test_threads_that_come_together_send_one_to_try(clock: Clock) -> None:
    breaker = Breaker(lease=0.5, clock=clock)
    breaker.failed(enter(breaker))
    clock.now += FIRST_PAUSE
    with ThreadPoolExecutor(8) as pool:
        tickets = list(pool.map(lambda _: breaker.enter(), range(200)))
    assert sum(ticket is not None for ticket in tickets) == 1
