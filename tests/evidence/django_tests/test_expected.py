"""The judgement of Django's own tests, without running them."""

from __future__ import annotations

from tests.evidence.django_tests.expected import EXPECTED, unexpected


def test_a_test_that_passes_natively_must_pass() -> None:
    native = {"a": "ok", "b": "skipped", "c": "ValueError: x"}
    assert unexpected("object", native, dict(native)) == []
    assert unexpected("object", native, {**native, "a": "KeyError: y"}) == ["object: a: ok, now KeyError: y"]
    assert unexpected("object", native, {"b": "skipped", "c": "ok"}) == [
        "object: a: ok, now not run",
        "object: c: ValueError: x, now ok",
    ]


def test_a_reason_must_be_needed() -> None:
    native = dict.fromkeys(EXPECTED["adapters"], "ok")
    failed = dict.fromkeys(EXPECTED["adapters"], "AssertionError:")
    assert unexpected("adapters", native, failed) == []
    [first, *_] = EXPECTED["adapters"]
    assert unexpected("adapters", native, {**failed, first: "ok"}) == [
        f"adapters: {first} passes: remove it from EXPECTED"
    ]
