"""Order rules of a chain: requirements of a middleware on the order, checked when a chain is built.

``after = ("ProxyHeaders",)`` on a class means: if both are in a chain, this middleware must be inside ``ProxyHeaders``.
``before`` means the reverse. A rule may include its reason, ``"ProxyHeaders: it counts by the client's address"``.
Rules name classes and never import them, so that middleware modules stay independent. A broken rule causes a warning
with the reason, never a reordering, because the user may have a good reason for the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Rules", "broken"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Order rules of one middleware.

    Attributes:
        name: Name of its class, which the rules of others use.
        after: Names of middleware that should be outside it, each with or without a reason.
        before: Names of middleware that should be inside it, in the same form.
    """

    name: str
    after: Sequence[str] = ()
    before: Sequence[str] = ()


def broken(chain: Sequence[Rules]) -> list[str]:
    """Return the order rules that a chain breaks, one sentence for each, in the order of the chain.

    Args:
        chain: The middleware, outermost first.
    """
    sentences: list[str] = []
    said: set[tuple[str, str]] = set()  # two middleware may name each other; one message is enough
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
