"""Order rules of a chain: what a middleware says about its neighbours, checked when a chain is built.

``after = ("ProxyHeaders",)`` on a class says: where both are in a chain, this one stands inside ``ProxyHeaders``;
``before`` says the reverse. A rule may bring its reason along, ``"ProxyHeaders: it counts by the client's address"``.
Rules name classes and never import them, so a middleware knows no other. A broken rule is a warning with the reason,
never a reordering: whoever built the chain may know better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Rules", "broken"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is said of a middleware's place.

    Attributes:
        name: The name of its class, by which others mean it.
        after: What stands outside it: names, each with or without a reason.
        before: What stands inside it, likewise.
    """

    name: str
    after: Sequence[str] = ()
    before: Sequence[str] = ()


def broken(chain: Sequence[Rules]) -> list[str]:
    """Say which order rules a chain breaks, one sentence for each, in the order of the chain.

    Args:
        chain: The middleware, outermost first.
    """
    sentences: list[str] = []
    said: set[tuple[str, str]] = set()  # both of a pair may name the other; who reads it needs it once
    for position, each in enumerate(chain):
        outside = {other.name for other in chain[:position]}
        inside = {other.name for other in chain[position + 1 :]}
        for rules, here, there, is_first in (
            (each.after, inside, outside, False),
            (each.before, outside, inside, True),
        ):
            for rule in rules:
                name, _, reason = (part.strip() for part in rule.partition(":"))
                if name in here and name not in there and (name, each.name) not in said:
                    said.add((each.name, name))
                    why = f" ({reason})" if reason else ""
                    first, second = (each.name, name) if is_first else (name, each.name)
                    sentences.append(
                        f"list {first} before {second}{why}; in this chain {second} comes first, and middleware=[...] "
                        f"is outermost first"
                    )
    return sentences
