"""Order rules: which chains break them, and what is said."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.chain._order import Rules, broken
from tests.shows import shows

PROXY = Rules(name="ProxyHeaders")
LIMIT = Rules(name="RateLimit", after=("ProxyHeaders: it counts by the client's address",))
ERRORS = Rules(name="Errors", before=("Compression",))
COMPRESSION = Rules(name="Compression")


@dataclass(frozen=True)
class Case:
    id: str
    chain: tuple[Rules, ...]
    sentences: tuple[str, ...]


CASES = [
    Case("kept", (PROXY, LIMIT, ERRORS, COMPRESSION), ()),
    Case("the-other-is-absent", (LIMIT, ERRORS), ()),
    Case(
        "after-is-broken",
        (LIMIT, PROXY),
        (
            "list ProxyHeaders before RateLimit (it counts by the client's address); in this chain RateLimit comes "
            "first, and middleware=[...] is outermost first",
        ),
    ),
    Case(
        "before-is-broken",
        (COMPRESSION, ERRORS),
        (
            "list Errors before Compression; in this chain Compression comes first, and middleware=[...] is outermost "
            "first",
        ),
    ),
    Case(
        "both-of-a-pair-say-it",
        (LIMIT, Rules(name="ProxyHeaders", before=("RateLimit: another reason",))),
        (
            "list ProxyHeaders before RateLimit (it counts by the client's address); in this chain RateLimit comes "
            "first, and middleware=[...] is outermost first",
        ),
    ),
    Case("one-on-either-side-is-enough", (PROXY, LIMIT, PROXY), ()),
    Case("one-on-either-side-is-enough-before", (COMPRESSION, ERRORS, COMPRESSION), ()),
]


@shows("Order rules are class metadata and warn")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_broken_order_rule_is_said_with_its_reason_and_what_to_do(case: Case) -> None:
    assert broken(case.chain) == list(case.sentences)
