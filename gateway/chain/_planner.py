"""Choose the interface of each middleware in a chain, so that a request passes the fewest adapters.

A chain is a line: the server, the nodes from outermost to innermost, the application. Each runs in one interface, and
neighbours in different interfaces need an adapter between them. Nodes that can run in either interface (WSGI+ASGI
middleware, pairs) are free, and this module chooses their interface. It never changes the order of a chain.

Of all plans with the fewest adapters it takes, in this order:

1. the plan with the least body work on the event loop: body transforms belong in WSGI, where worker threads run them;
2. the plan with the most pairs inside the adapters, because pairs watch the application (errors, context variables);
3. the plan with the most middleware that may respond itself (a preflight, a 429, a static file) outside the adapters:
   its responses then do not pass them;
4. the plan with its adapters as far inside as possible, so that free nodes run in the server's interface.

Each criterion is a sum over single adapters and single nodes. So the best continuation from a node inwards does not
depend on anything outside it. The rest of the package relies on two consequences. One pass from the inside finds the
optimum. And the plans for both kinds of server agree from the first bound node inwards, so that part is built once.

No IO, no state, no knowledge of middleware: tests compare the result with brute force.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gateway.errors import ConfigurationError

__all__ = ["BOTH", "INTERFACES", "Colour", "Node", "Plan", "Segment", "cost_of", "plan"]

#: The two interfaces of plans; ``asgi2`` and ``rsgi`` are converted to ``asgi`` before planning.
Colour: TypeAlias = Literal["wsgi", "asgi"]
Cost: TypeAlias = tuple[int, int, int, int, int]

INTERFACES: tuple[Colour, Colour] = ("wsgi", "asgi")
BOTH: frozenset[Colour] = frozenset(INTERFACES)


@dataclass(frozen=True, kw_only=True)
class Node:
    """Facts about one middleware, or about the application, for the planner.

    Attributes:
        name: Name in the explanation.
        runs_in: Interfaces it can run in; one (bound) or both (free).
        short_circuits: Whether it may respond itself.
        body_cpu: Whether it spends CPU on bodies.
        watches: Whether it watches the application, so that it should be inside the adapters.
        colourless: Whether it is WSGI+ASGI middleware. One driver runs neighbours of this kind in one interface.
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
        server: The interface of the server, which calls the outermost node.
        interfaces: The interface of each node, outermost first.
        application: The interface in which the application is called.
    """

    server: Colour
    interfaces: tuple[Colour, ...]
    application: Colour
    nodes: tuple[Node, ...] = field(repr=False)

    @property
    def line(self) -> tuple[Colour, ...]:
        """All interfaces in order, from the server to the application."""
        return (self.server, *self.interfaces, self.application)

    @property
    def adapters(self) -> int:
        """Number of adapters that a request passes on its way to the application."""
        return sum(outer != inner for outer, inner in _pairs(self.line))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The wrappers, outermost first: groups of WSGI+ASGI nodes in one interface, and each other node alone."""
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
        server: The interface of the server.
        nodes: The middleware, outermost first.
        application: Interfaces in which the application can be called; both for an object that speaks both.

    Returns:
        The plan with the least `cost_of`; of two equal plans, the plan that changes the interface further inside.

    >>> chain = [Node(name="log"), Node(name="cors", short_circuits=True), Node(name="gzip", body_cpu=True)]
    >>> plan("asgi", chain, frozenset({"wsgi"})).interfaces
    ('asgi', 'asgi', 'wsgi')
    """
    end = Node(name="application", runs_in=application)
    # best[colour]: cost and line of the cheapest plan from the current node inwards, if that node runs in `colour`.
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
    """Return the cost of a whole line, for brute-force tests.

    Args:
        nodes: The middleware, outermost first.
        line: Interfaces from the server to the application: two more than nodes.

    Returns:
        A tuple, compared from the first item to the last. First the number of adapters, and of nodes with body work on
        the loop. Then, summed over the adapters, the number of nodes inside: nodes that watch (negative, because more
        is better), nodes that may respond, all nodes.
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
    """Return the cheapest plan that starts in ``colour`` directly outside the nodes ``inside``."""
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
