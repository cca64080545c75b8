"""Which interface each middleware of a chain runs in, so that the fewest adapters are paid.

A chain is a line: the server, the nodes from outermost to innermost, the application. Each stands in one interface, and
where two neighbours differ an adapter is needed. Nodes that can run in either interface (WSGI+ASGI
middleware, twins) are free; this module chooses for them. The order of a chain is never changed.

Of all plans with the fewest adapters it takes, in this order:

1. the one with the least body work on the event loop: a transform of bodies belongs where worker threads run it (WSGI);
2. the one with the most twins beside the application: they watch it (errors, context variables), and see the most of
   it in its own interface;
3. the one in which adapters stand inside what may answer by itself (a preflight, a 429, a static file): what is
   answered outside never pays the adapter;
4. the one with its adapters as far inside as they go, so that what is free stands where the server calls it.

Each of them is a sum over single adapters and single nodes, so the best continuation from a node on depends on
nothing outside it. Two things follow, and the rest of the package relies on them: one pass from the inside finds the
optimum, and the plans for both kinds of server agree from the first bound node inwards, so what is bound is built once.

No IO, no state, no knowledge of middleware: tests compare it with brute force.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gateway.errors import ConfigurationError

__all__ = ["BOTH", "INTERFACES", "Colour", "Node", "Plan", "Segment", "cost_of", "plan"]

#: The two interfaces that a chain can be planned for; ``asgi2`` and ``rsgi`` are turned into ``asgi`` before.
Colour: TypeAlias = Literal["wsgi", "asgi"]
Cost: TypeAlias = tuple[int, int, int, int, int]

INTERFACES: tuple[Colour, Colour] = ("wsgi", "asgi")
BOTH: frozenset[Colour] = frozenset(INTERFACES)


@dataclass(frozen=True, kw_only=True)
class Node:
    """What the planner has to know of one middleware, or of the application.

    Attributes:
        name: What the explanation calls it.
        runs_in: The interfaces it can run in; one (bound) or both (free).
        short_circuits: It may answer by itself.
        body_cpu: It spends CPU on bodies.
        watches: It watches the application, so it should stand beside it.
        colourless: Neighbours that are so and stand in one interface are run by one driver.
    """

    name: str
    runs_in: frozenset[Colour] = BOTH
    short_circuits: bool = False
    body_cpu: bool = False
    watches: bool = False
    colourless: bool = True

    def __post_init__(self) -> None:
        if not self.runs_in or not self.runs_in <= BOTH:
            raise ConfigurationError(
                f"a node runs in 'wsgi', 'asgi' or both, got runs_in={sorted(self.runs_in)!r} for {self.name!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Nodes ``start`` to ``stop`` (exclusive) of a chain that one wrapper runs in one interface."""

    interface: Colour
    start: int
    stop: int
    colourless: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The interfaces chosen for one kind of server.

    Attributes:
        server: What calls the outermost node.
        interfaces: The interface of each node, outermost first.
        application: The interface in which the application is called.
    """

    server: Colour
    interfaces: tuple[Colour, ...]
    application: Colour
    nodes: tuple[Node, ...] = field(repr=False)

    @property
    def line(self) -> tuple[Colour, ...]:
        """The interface of everything, from the server to the application."""
        return (self.server, *self.interfaces, self.application)

    @property
    def adapters(self) -> int:
        """How many adapters a request passes that is answered by the application."""
        return sum(outer != inner for outer, inner in _pairs(self.line))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The wrappers, outermost first: runs of WSGI+ASGI nodes in one interface, and each other node alone."""
        segments: list[Segment] = []
        for index, (node, interface) in enumerate(zip(self.nodes, self.interfaces, strict=True)):
            last = segments[-1] if segments else None
            if node.colourless and last is not None and last.colourless and last.interface == interface:
                segments[-1] = Segment(interface=interface, start=last.start, stop=index + 1, colourless=True)
            else:
                segments.append(Segment(interface=interface, start=index, stop=index + 1, colourless=node.colourless))
        return tuple(segments)


def plan(server: Colour, nodes: Sequence[Node], application: frozenset[Colour]) -> Plan:
    """Choose the interface of each node and of the application.

    Args:
        server: The interface of what calls the chain.
        nodes: The middleware, outermost first.
        application: The interfaces the application can be called in; both for an object that speaks both.

    Returns:
        The plan with the least `cost_of`; where two are equal, the one that changes the interface further inside.

    >>> chain = [Node(name="log"), Node(name="cors", short_circuits=True), Node(name="gzip", body_cpu=True)]
    >>> plan("asgi", chain, frozenset({"wsgi"})).interfaces
    ('asgi', 'asgi', 'wsgi')
    """
    end = Node(name="application", runs_in=application)
    # best[colour]: cost and line of the cheapest way from here inwards, when what stands here runs in that colour.
    best: dict[Colour, tuple[Cost, tuple[Colour, ...]]] = {
        colour: ((0, 0, 0, 0, 0), (colour,)) for colour in INTERFACES if colour in end.runs_in
    }
    for depth, node in enumerate(reversed(nodes)):
        inside = nodes[len(nodes) - depth :]
        best = {
            colour: _cheapest(colour, best, inside, loop_work=node.body_cpu and colour == "asgi")
            for colour in INTERFACES
            if colour in node.runs_in
        }
    _, line = _cheapest(server, best, nodes, loop_work=False)
    return Plan(server=server, interfaces=line[1:-1], application=line[-1], nodes=tuple(nodes))


def cost_of(nodes: Sequence[Node], line: Sequence[Colour]) -> Cost:
    """Price a whole line, as brute force does.

    Args:
        nodes: The middleware, outermost first.
        line: Interfaces from the server to the application, two more than there are nodes.

    Returns:
        Adapters; nodes with body work on the loop; then, summed over the adapters, the nodes inside: those that
        watch (negative: the more the better), those that may answer, all. Compared from the first to the last.
    """
    crossings = [index for index, (outer, inner) in enumerate(_pairs(line)) if outer != inner]
    return (
        len(crossings),
        sum(node.body_cpu and colour == "asgi" for node, colour in zip(nodes, line[1:], strict=False)),
        -sum(node.watches for index in crossings for node in nodes[index:]),
        sum(node.short_circuits for index in crossings for node in nodes[index:]),
        sum(len(nodes) - index for index in crossings),
    )


def _cheapest(
    colour: Colour,
    best: dict[Colour, tuple[Cost, tuple[Colour, ...]]],
    inside: Sequence[Node],
    *,
    loop_work: bool,
) -> tuple[Cost, tuple[Colour, ...]]:
    """Stand in ``colour`` just outside of the nodes ``inside``, and go on the cheapest way."""
    watching = sum(node.watches for node in inside)
    answering = sum(node.short_circuits for node in inside)
    candidates: list[tuple[Cost, int, tuple[Colour, ...]]] = []
    for inner, (cost, line) in best.items():
        crossed = inner != colour
        total = (
            cost[0] + crossed,
            cost[1] + loop_work,
            cost[2] - watching * crossed,
            cost[3] + answering * crossed,
            cost[4] + len(inside) * crossed,
        )
        candidates.append((total, crossed, (colour, *line)))
    total, _, line = min(candidates)
    return total, line


def _pairs(line: Sequence[Colour]) -> Iterator[tuple[Colour, Colour]]:
    yield from itertools.pairwise(line)
