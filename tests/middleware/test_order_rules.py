"""What each middleware says of its place: every rule has a reason, a chain that breaks it warns with it, once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway import middleware
from gateway.application import Gateway
from gateway.chain import ChainWarning
from gateway.contract import Middleware

#: Each middleware with the least that it takes.
MADE: dict[str, Callable[[], Middleware]] = {
    "AccessLog": lambda: middleware.AccessLog(),
    "BodyLimit": lambda: middleware.BodyLimit(max_bytes=1),
    "Compression": lambda: middleware.Compression(),
    "ConditionalGet": lambda: middleware.ConditionalGet(),
    "Cors": lambda: middleware.Cors(origins=("https://app.example",)),
    "Errors": lambda: middleware.Errors(),
    "Health": lambda: middleware.Health(),
    "HttpsRedirect": lambda: middleware.HttpsRedirect(),
    "Metrics": lambda: middleware.Metrics(),
    "ProxyHeaders": lambda: middleware.ProxyHeaders(trust=("10.0.0.0/8",)),
    "RateLimit": lambda: middleware.RateLimit(limits="1/second"),
    "RequestId": lambda: middleware.RequestId(),
    "SecurityHeaders": lambda: middleware.SecurityHeaders(),
    "StaticFiles": lambda: middleware.StaticFiles(folders={"/static": "."}, autorefresh=True),
    "TrustedHost": lambda: middleware.TrustedHost(allowed=("example.org",)),
    "Unbuffered": lambda: middleware.Unbuffered(),
}


@dataclass(frozen=True)
class Rule:
    """``outer`` must stand outside ``inner``, for a reason; one of the two says so."""

    outer: str
    inner: str
    reason: str


def rules() -> list[Rule]:
    found: list[Rule] = []
    for name, make in MADE.items():
        kind = type(make())
        for rule in kind.after:
            other, _, reason = rule.partition(":")
            found.append(Rule(other, name, reason.strip()))
        for rule in kind.before:
            other, _, reason = rule.partition(":")
            found.append(Rule(name, other, reason.strip()))
    return found


def app(environ: Any, start_response: Any) -> list[bytes]:
    raise AssertionError("not called")


def said(*chain: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Gateway(app, middleware=[MADE[name]() for name in chain])
    return [str(each.message) for each in caught if issubclass(each.category, ChainWarning)]


def test_every_middleware_is_here() -> None:
    classes = {name for name in middleware.__all__ if isinstance(getattr(middleware, name), type)}
    assert set(MADE) == classes


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule.outer}-outside-{rule.inner}")
def test_a_broken_rule_is_named_once_with_its_reason(rule: Rule) -> None:
    [sentence] = said(rule.inner, rule.outer)
    assert rule.reason
    assert f"({rule.reason})" in sentence
    assert sentence.startswith(f"list {rule.outer} before {rule.inner} (")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule.outer}-outside-{rule.inner}")
def test_the_order_that_a_rule_asks_for_is_not_warned_of(rule: Rule) -> None:
    assert said(rule.outer, rule.inner) == []


def test_order_rules_do_not_contradict_each_other() -> None:
    pairs = {(rule.outer, rule.inner) for rule in rules()}
    assert not {(inner, outer) for outer, inner in pairs} & pairs
