"""The planner against brute force, and the placements a reader would expect."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest

from gateway.chain._planner import BOTH, INTERFACES, Colour, Node, Segment, cost_of, plan
from gateway.errors import ConfigurationError
from tests.shows import shows

WSGI: frozenset[Colour] = frozenset({"wsgi"})
ASGI: frozenset[Colour] = frozenset({"asgi"})


def wsgi(name: str = "w") -> Node:
    return Node(name=name, runs_in=WSGI, colourless=False)


def asgi(name: str = "a") -> Node:
    return Node(name=name, runs_in=ASGI, colourless=False)


def free(name: str = "f") -> Node:
    return Node(name=name)


def answering(name: str = "s") -> Node:
    return Node(name=name, short_circuits=True)


def watching(name: str = "x") -> Node:
    return Node(name=name, watches=True, colourless=False)


def transforming(name: str = "t") -> Node:
    return Node(name=name, body_cpu=True)


@dataclass(frozen=True)
class Case:
    id: str
    server: Colour
    nodes: tuple[Node, ...]
    application: frozenset[Colour]
    expected: tuple[Colour, ...]
    adapters: int


CASES = [
    Case("empty-native", "wsgi", (), WSGI, (), 0),
    Case("empty-crossed", "asgi", (), WSGI, (), 1),
    Case("free-nodes-follow-the-server", "asgi", (free(), free()), ASGI, ("asgi", "asgi"), 0),
    Case("free-nodes-stand-outside-the-adapter", "asgi", (free(), free()), WSGI, ("asgi", "asgi"), 1),
    Case("answering-outside-transforming-inside", "asgi", (answering(), transforming()), WSGI, ("asgi", "wsgi"), 1),
    Case("body-work-goes-before-answering", "asgi", (transforming(), answering()), WSGI, ("wsgi", "wsgi"), 1),
    Case("body-work-on-the-servers-threads", "wsgi", (transforming(), free()), ASGI, ("wsgi", "wsgi"), 1),
    Case("no-adapter-is-paid-for-body-work", "asgi", (transforming(),), ASGI, ("asgi",), 0),
    Case("watching-stands-beside-the-application", "wsgi", (free(), watching()), ASGI, ("wsgi", "asgi"), 1),
    Case("watching-goes-before-answering", "wsgi", (watching(), answering()), ASGI, ("asgi", "asgi"), 1),
    Case("body-work-goes-before-watching", "asgi", (transforming(), watching()), WSGI, ("wsgi", "wsgi"), 1),
    Case("no-adapter-is-paid-for-watching", "asgi", (wsgi(), watching()), WSGI, ("wsgi", "wsgi"), 1),
    Case("one-bound-the-other-way", "asgi", (free(), wsgi(), free()), ASGI, ("asgi", "wsgi", "wsgi"), 2),
    Case("bound-among-its-own", "wsgi", (wsgi(), free(), wsgi()), WSGI, ("wsgi", "wsgi", "wsgi"), 0),
    Case("two-bound-apart-share-one-stretch", "asgi", (wsgi(), free(), wsgi()), WSGI, ("wsgi", "wsgi", "wsgi"), 1),
    Case("an-application-of-both-follows", "asgi", (free(), free()), BOTH, ("asgi", "asgi"), 0),
    Case("an-application-of-both-stays-with-a-bound-node", "asgi", (wsgi(),), BOTH, ("wsgi",), 1),
    Case("the-worst", "wsgi", (asgi(), wsgi(), asgi()), WSGI, ("asgi", "wsgi", "asgi"), 4),
]


@shows("The fewest adapters, then short-circuiting ones on the server's side and body CPU on the workers'")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_plan_stands_where_a_reader_expects_it(case: Case) -> None:
    found = plan(case.server, case.nodes, case.application)
    assert found.interfaces == case.expected
    assert found.adapters == case.adapters
    assert found.application in case.application


def random_chain(rng: random.Random) -> tuple[Colour, list[Node], frozenset[Colour]]:
    nodes = [
        Node(
            name=str(index),
            runs_in=rng.choice([WSGI, ASGI, BOTH, BOTH, BOTH]),
            short_circuits=rng.random() < 0.4,
            body_cpu=rng.random() < 0.3,
            watches=rng.random() < 0.3,
            colourless=rng.random() < 0.7,
        )
        for index in range(rng.randrange(9))
    ]
    return rng.choice(INTERFACES), nodes, rng.choice([WSGI, ASGI, BOTH])


@shows("The fewest adapters, then short-circuiting ones on the server's side and body CPU on the workers'")
@pytest.mark.parametrize("seed", range(10))
def test_a_plan_equals_brute_force_on_a_hundred_random_chains(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        server, nodes, application = random_chain(rng)
        found = plan(server, nodes, application)
        choices = [sorted(node.runs_in) for node in nodes]
        lines = [(server, *line) for line in itertools.product(*choices, sorted(application))]
        least = min(cost_of(nodes, line) for line in lines)
        assert found.line in lines
        assert cost_of(nodes, found.line) == least
        assert found.adapters == least[0]


@pytest.mark.parametrize("seed", range(5))
def test_plans_of_both_servers_agree_from_the_first_bound_node_inwards(seed: int) -> None:
    rng = random.Random(seed)
    seen = 0
    for _ in range(100):
        _, nodes, application = random_chain(rng)
        bound = next((index for index, node in enumerate(nodes) if len(node.runs_in) == 1), None)
        if bound is None:
            continue
        seen += 1
        one, other = (plan(server, nodes, application) for server in INTERFACES)
        assert one.line[bound + 1 :] == other.line[bound + 1 :]
    assert seen > 20


def test_neighbouring_wsgi_and_asgi_nodes_of_one_interface_are_one_segment() -> None:
    nodes = (free("log"), free("id"), wsgi("static"), free("cors"), transforming("gzip"))
    found = plan("asgi", nodes, WSGI)
    assert found.segments == (
        Segment(interface="asgi", start=0, stop=2, colourless=True),
        Segment(interface="wsgi", start=2, stop=3, colourless=False),
        Segment(interface="wsgi", start=3, stop=5, colourless=True),
    )


def test_an_adapter_splits_a_segment() -> None:
    found = plan("asgi", (answering("cors"), transforming("gzip")), WSGI)
    assert [(segment.interface, segment.start, segment.stop) for segment in found.segments] == [
        ("asgi", 0, 1),
        ("wsgi", 1, 2),
    ]


def test_neighbouring_third_parties_stay_apart() -> None:
    found = plan("wsgi", (wsgi("one"), wsgi("two")), WSGI)
    assert [(segment.start, segment.stop) for segment in found.segments] == [(0, 1), (1, 2)]


@pytest.mark.parametrize("runs_in", [frozenset(), frozenset({"rsgi"})], ids=["none", "unknown"])
def test_a_node_that_runs_nowhere_is_refused(runs_in: frozenset[Colour]) -> None:
    with pytest.raises(ConfigurationError, match="a node runs in"):
        Node(name="lost", runs_in=runs_in)
