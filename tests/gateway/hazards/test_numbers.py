"""One set of numbers: the relation of each rule holds for every set, not only for the defaults."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.hazards import HAZARDS, PLATFORMS, Numbers

NUMBERS = st.builds(
    Numbers,
    interface=st.sampled_from(["wsgi", "asgi"]),
    longest_request=st.integers(1, 3000),
    drain=st.just(0) | st.integers(5, 300),
    max_bytes=st.integers(1, 2**33),
    platform=st.sampled_from(sorted(PLATFORMS)),
    workers=st.integers(1, 64),
    threads=st.integers(1, 64),
    replicas=st.integers(2, 50),
    memory=st.integers(16, 4096),
)


def fixed_stop(n: Numbers) -> bool:
    return n.front.stop is not None and n.platform != "kubernetes"


#: What each rule requires of the values that it computes.
RELATIONS: dict[str, Callable[[Numbers], bool]] = {
    "R1": lambda n: n.keep_alive > n.proxy_idle and n.keep_alive > n.front.idle,
    "R2": lambda n: n.client_keep_alive > 60,
    "R3": lambda n: not n.drain or n.drain >= n.check_interval * n.check_failures + n.check_timeout + 2,
    "R4": lambda n: n.drain == 0 or n.drain >= 5,
    "R5": lambda n: fixed_stop(n) or n.graceful_timeout >= n.drain + n.longest_request,
    "R6": lambda n: (
        n.stop_seconds > n.graceful_timeout
        and n.grace_period > n.drain + n.graceful_timeout
        and (not fixed_stop(n) or n.graceful_timeout < (n.front.stop or 0))
    ),
    "R7": lambda n: n.interface == "wsgi" or n.proxy_idle + n.longest_request <= n.drain + n.longest_request + 3,
    "R8": lambda n: n.longest_request < n.timeout < n.proxy_read < n.outer_read,
    "R9": lambda n: n.longest_request < n.timeout,
    "R10": lambda n: 1 <= n.connect <= 3,
    "R11": lambda n: n.backlog <= 4096,
    "R12": lambda n: n.shutdown >= n.longest_request,
    "R14": lambda n: n.stream_seconds >= 60,
    "R16": lambda n: 10 <= n.header_timeout <= 15 and 10 <= n.body_timeout <= 15,
    "R17": lambda n: n.max_bytes > 0,
    "R18": lambda n: n.header_bytes <= n.limit_header_bytes + 2,
    "R19": lambda n: n.concurrency <= n.queue <= 2 * n.concurrency,
    "R20": lambda n: bool(n.streams),
    "R22": lambda n: n.static_url.startswith("/"),
    "R23": lambda n: bool(n.hosts),
    "R25": lambda n: "0.0.0.0/0" not in n.balancers,
    "R28": lambda n: n.socket.startswith(n.runtime + "/"),
    "R30": lambda n: n.metrics_path.startswith("/"),
    "R33": lambda n: n.workers * n.memory <= n.request_memory <= n.limit_memory and n.cpu >= 125,
    "R34": lambda n: n.live_interval * n.live_failures >= n.timeout and n.live_path != n.ready_path,
    "R35": lambda n: 2 <= n.replicas <= n.hpa_replicas,
    "R36": lambda n: n.longest_request <= n.grace_period and n.drain <= n.grace_period,
    "R37": lambda n: not n.metrics_folder.startswith(n.runtime + "/"),
    "R43": lambda n: n.nofile >= 2 * n.connections,
}


def test_every_rule_that_computes_values_has_a_relation() -> None:
    assert {rule.id for rule in HAZARDS if rule.computes} == set(RELATIONS)


def test_every_computed_name_is_a_value() -> None:
    for rule in HAZARDS:
        for name in rule.computes:
            assert hasattr(Numbers(), name), (rule.id, name)


@pytest.mark.parametrize("rule", sorted(RELATIONS))
@given(numbers=NUMBERS)
def test_a_relation_holds_for_every_set_of_numbers(rule: str, numbers: Numbers) -> None:
    assert RELATIONS[rule](numbers), numbers


def test_the_rules_are_43_in_their_order_with_a_sentence_and_a_source() -> None:
    assert [rule.id for rule in HAZARDS] == [f"R{number}" for number in range(1, 44)]
    assert all(rule.sentence.endswith(".") and rule.source for rule in HAZARDS)
    assert [rule.id for rule in HAZARDS if rule.judge is None] == ["R9"]
    assert all(rule.unseen for rule in HAZARDS if rule.judge is None)


def test_the_default_numbers_give_the_measured_values() -> None:
    n = Numbers()
    assert (n.keep_alive, n.timeout, n.proxy_read, n.graceful_timeout) == (75, 60, 65, 35)
    assert (n.stop_seconds, n.grace_period, n.check_interval) == (50, 60, 3)


@pytest.mark.parametrize(
    ("platform", "keep_alive"), [("nginx", 75), ("aws-alb", 75), ("gcp", 620), ("heroku", 95), ("cloud-run", 620)]
)
def test_a_platform_decides_about_the_keep_alive(platform: str, keep_alive: int) -> None:
    assert Numbers(platform=platform).keep_alive == keep_alive


def test_the_stop_window_of_heroku_bounds_the_graceful_timeout() -> None:
    assert Numbers(platform="heroku", longest_request=60).graceful_timeout == 25


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"longest_requests": 3}, "did you mean longest_request"),
        ({"longest_request": "soon"}, "must be a whole number"),
        ({"longest_request": 0}, "1 or more"),
        ({"drain": 2}, "5 seconds or more"),
        ({"hosts": []}, "name your public hosts"),
        ({"hosts": ["example.com; evil"]}, "not a host"),
        ({"hosts": [1]}, "list of strings"),
        ({"name": "Shop;"}, "name is not usable"),
        ({"application": "shop"}, "application is not usable"),
        ({"platform": "marvel"}, "choose one of"),
        ({"interface": "rsgi"}, "'wsgi' or 'asgi'"),
        ({"streams": ["/a b"]}, "are possible"),
        ({"folder": "/srv/$(x)"}, "are possible"),
        ({"compress": "perhaps"}, "true or false"),
        ({"live_path": "livez"}, "live_path is not usable"),
    ],
)
def test_a_wrong_number_has_a_clear_error(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Numbers.of(values)


def test_texts_become_numbers_lists_and_truths() -> None:
    n = Numbers.of({"workers": "4", "hosts": "a.example, b.example", "compress": "false", "name": "shop"})
    assert (n.workers, n.hosts, n.compress, n.name) == (4, ("a.example", "b.example"), False, "shop")
