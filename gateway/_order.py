"""Order rules of a chain: what a middleware says about its neighbours, checked when a chain is built.

``after = ("ProxyHeaders",)`` on a class says: where both are in a chain, this one stands inside ``ProxyHeaders``;
``before`` says the reverse. Rules name classes and never import them, so a middleware knows no other. A broken rule is
a warning with the reason, never a reordering: whoever built the chain may know better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Rules", "broken"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the planner has to know of a middleware's place.

    Attributes:
        name: The name of its class, by which others mean it.
        after: Names of what stands outside it.
        before: Names of what stands inside it.
        reason: Why, in the words of the class.
    """

    name: str
    after: Sequence[str] = field(default=())
    before: Sequence[str] = field(default=())
    reason: str = ""


def broken(chain: Sequence[Rules]) -> list[str]:
    """Say which order rules a chain breaks, one sentence for each, in the order of the chain.

    Args:
        chain: The middleware, outermost first.
    """
    sentences: list[str] = []
    for position, each in enumerate(chain):
        outside = {other.name for other in chain[:position]}
        inside = {other.name for other in chain[position + 1 :]}
        why = f" ({each.reason})" if each.reason else ""
        for name in each.after:
            if name in inside and name not in outside:
                sentences.append(
                    f"{each.name} must stand inside {name}{why}, but stands outside it; in middleware=[...], which is "
                    f"outermost first, move {each.name} behind {name}"
                )
        for name in each.before:
            if name in outside and name not in inside:
                sentences.append(
                    f"{each.name} must stand outside {name}{why}, but stands inside it; in middleware=[...], which is "
                    f"outermost first, move {each.name} in front of {name}"
                )
    return sentences
