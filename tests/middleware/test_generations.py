"""Keys that were used lately are kept, others are forgotten, and there are never more than a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.middleware._generations import Generations


class Kept:
    """Generations with a clock of their own, and what they forgot."""

    def __init__(self, most: int = 10, seconds: float = 60.0) -> None:
        self.now = 0.0
        self.forgotten: list[str] = []
        self.keys = Generations(self.forgotten.append, most=most, seconds=seconds, clock=lambda: self.now)

    def use(self, *keys: str) -> None:
        for key in keys:
            self.keys.use(key)


def test_a_key_in_use_is_never_forgotten() -> None:
    kept = Kept()
    for number in range(500):
        kept.use("client", f"other-{number}")
    assert "client" not in kept.forgotten
    assert len(set(kept.forgotten)) == len(kept.forgotten)


def test_there_are_at_most_three_generations() -> None:
    kept = Kept()
    for number in range(500):
        kept.use(str(number))
        assert len(kept.keys) <= 30


def test_a_key_is_kept_for_a_generation_after_its_last_use() -> None:
    kept = Kept(most=1000)
    kept.use("a")
    for minute in range(1, 10):
        kept.now = 61.0 * minute
        kept.use(f"b{minute}")
        if minute == 1:
            assert kept.forgotten == [], "not used for a moment only"
    assert kept.forgotten[0] == "a"
    assert len(kept.keys) <= 4


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 30)), max_size=200))
def test_a_key_is_forgotten_once_and_not_while_it_is_young(uses: list[tuple[int, float]]) -> None:
    kept = Kept(most=5)
    held: set[str] = set()
    for number, pause in uses:
        kept.now += pause
        before = len(kept.forgotten)
        kept.use(str(number))
        held.add(str(number))
        gone = kept.forgotten[before:]
        assert str(number) not in gone
        assert set(gone) <= held
        assert len(gone) == len(set(gone))
        held -= set(gone)
    assert len(held) == len(kept.keys)
