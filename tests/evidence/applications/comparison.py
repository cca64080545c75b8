"""When two answers are the same: what is left out or replaced first, and why; then every byte counts.

Status, header fields (names without case, order, duplicates, values) and body are compared. Nothing else is forgiven
but what `expected` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from tests.evidence.applications.client import Answer
from tests.evidence.applications.script import Step, Volatile

__all__ = ["LEFT_OUT", "differences", "settled"]


@dataclass(frozen=True)
class LeftOut:
    """Header fields that are not compared, and why."""

    names: frozenset[str]
    reason: str


LEFT_OUT = (
    LeftOut(frozenset({"date", "server"}), "each server writes its own"),
    LeftOut(
        frozenset({"connection", "keep-alive", "transfer-encoding"}),
        "they belong to one connection (RFC 9110, 7.6.1), so the server sets them and not the application",
    ),
)
_NOT_COMPARED = frozenset[str]().union(*(entry.names for entry in LEFT_OUT))
_SHOWN_BYTES = 60


def settled(step: Step, answer: Answer, volatile: Sequence[Volatile]) -> Answer:
    """Return the answer as it is compared.

    Where a value in the body is replaced, a Content-Length that was right becomes that of the replaced body.
    """
    body = answer.body
    volatile = [rule for rule in volatile if not rule.steps or step.name in rule.steps]
    if rules := [rule for rule in volatile if rule.where == "body"]:
        text = body.decode("latin-1")
        for rule in rules:
            text = rule.replace(text)
        body = text.encode("latin-1")
    headers = []
    for name, value in answer.headers:
        if name in _NOT_COMPARED:
            continue
        if name == "content-length" and value == str(len(answer.body)):
            value = str(len(body))
        for rule in volatile:
            if rule.where == name:
                value = rule.replace(value)
        headers.append((name, value))
    return replace(answer, headers=tuple(headers), body=body)


def differences(wanted: Answer, found: Answer) -> Iterator[str]:
    """Name each difference between two answers, a phrase each."""
    if wanted.status != found.status:
        yield f"status {found.status} instead of {wanted.status}"
    for at, (one, other) in enumerate(zip_longest(wanted.headers, found.headers), 1):
        if one != other:
            yield f"header {at} is {_written(other)} instead of {_written(one)}"
            break
    if wanted.body != found.body:
        at = next(
            (at for at, (one, other) in enumerate(zip(wanted.body, found.body, strict=False)) if one != other),
            min(len(wanted.body), len(found.body)),
        )
        window = slice(max(0, at - 10), at + _SHOWN_BYTES)
        yield (
            f"the body of {len(found.body)} bytes instead of {len(wanted.body)} differs from byte {at}: "
            f"{found.body[window]!r} instead of {wanted.body[window]!r}"
        )
    if wanted.whole != found.whole:
        yield f"the body is {'whole' if found.whole else 'cut off'}, the native one is not"


def _written(header: tuple[str, str] | None) -> str:
    return "missing" if header is None else repr(": ".join(header))
