"""Compare two responses point by point, and explain a difference by a known quirk.

A point is ``status``, ``body``, ``complete``, ``connection``, ``at once``, ``interim``, ``header NAME`` or a fact of
the probe. So a quirk can name the one value that a server changes, and every other difference stays unknown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

from gateway.matrix._reference import Answer
from gateway.matrix._requests import MatrixRequest
from gateway.matrix._wire import IGNORED

__all__ = ["Difference", "Quirk", "applies", "compare", "explain", "points", "varying"]

#: Value of a point that a response does not have.
MISSING = "missing"
_SHORT = 80


@dataclass(frozen=True, kw_only=True)
class Quirk:
    """A known difference of servers or proxies, with the exact value that the client or the application sees.

    Attributes:
        servers: Servers and proxies that have it: name to versions, as a PEP 440 specifier; empty for all versions.
        requests: Names of the requests that show it.
        point: The point of the response that differs.
        value: Exact value of that point.
        why: What the server does, in one sentence.
        application: Interface of the applications that see it; empty for both.
        when: ``always``; ``proxied`` if it shows only behind a proxy; ``sometimes`` if it depends on a race.
    """

    servers: Mapping[str, str]
    requests: tuple[str, ...]
    point: str
    value: str
    why: str = ""
    application: str = ""
    when: Literal["always", "proxied", "sometimes"] = "always"


@dataclass(frozen=True)
class Difference:
    """A point in which a response differs from the application's own.

    Attributes:
        request: Name of the request.
        point: The point.
        expected: Value in the application's own response.
        found: Value over the wire.
        quirk: The known quirk that explains it, or None.
    """

    request: str
    point: str
    expected: str
    found: str
    quirk: Quirk | None = None

    def __str__(self) -> str:
        return f"{self.request}: {self.point} is {self.found!r} instead of {self.expected!r}"


def points(answer: Answer, request: MatrixRequest) -> dict[str, str]:
    """Return the compared points of a response, each with its value as text."""
    found = {"status": str(answer.status)}
    if answer.raised:
        return found
    # RFC 9112 section 9.6: a server closes the connection after its response if the request has Connection: close.
    found["connection"] = "open" if answer.left_open else "closed"
    if request.how == "expect":
        found["interim"] = str(answer.interim)
    if request.how == "timed":
        found["at once"] = "yes" if answer.at_once else "no"
    if request.probe == "cut":  # the client gets as much as the server had sent
        return {**found, "complete": "yes" if answer.complete else "no"}
    names = dict.fromkeys(name for name, _ in answer.headers if name not in IGNORED)
    for name in names:
        values = [value for known, value in answer.headers if known == name]
        if name == "allow":  # a set, which Python gives in another order in each process
            values = [", ".join(sorted(part.strip() for value in values for part in value.split(",")))]
        found[f"header {name}"] = " | ".join(values)
    if request.probe == "headers":
        found["header order"] = ", ".join(name for name, _ in answer.headers if name not in IGNORED)
    facts = _facts(answer) if request.probe in ("facts", "lifespan") else None
    if facts is None:
        return {**found, "body": _text(answer.body)}
    # The probe's JSON differs in length whenever a fact does.
    found.pop("header content-length", None)
    return {**found, **{name: MISSING if value is None else str(value) for name, value in facts.items()}}


def _facts(answer: Answer) -> dict[str, Any] | None:
    with suppress(ValueError):
        value: object = json.loads(answer.body)
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
    return None


def _text(body: bytes) -> str:
    if len(body) <= _SHORT:
        return body.decode("utf-8", "backslashreplace")
    return f"{len(body)} bytes, SHA-1 {hashlib.sha1(body, usedforsecurity=False).hexdigest()[:8]}"


def varying(first: Answer, second: Answer, request: MatrixRequest) -> frozenset[str]:
    """Return the points that differ between two calls of the application itself: a request id, a time, a cookie."""
    one, other = points(first, request), points(second, request)
    return frozenset(name for name in {*one, *other} if one.get(name) != other.get(name))


def compare(
    expected: Answer, answer: Answer, request: MatrixRequest, ignored: Iterable[str] = ()
) -> Iterator[Difference]:
    """Yield each point in which a response differs from the expected one.

    If the status differs, the rest says nothing: the server has written another response.
    """
    wanted, found = points(expected, request), points(answer, request)
    if expected.raised or wanted["status"] != found["status"]:
        wanted, found = ({"status": each["status"]} for each in (wanted, found))
    if set(wanted) != set(found):  # a header more or less changes the order, and is a difference itself
        ignored = {*ignored, "header order"}
    for name in dict.fromkeys([*wanted, *found]):
        expects, has = wanted.get(name, MISSING), found.get(name, MISSING)
        if expects != has and name not in ignored:
            yield Difference(request.name, name, expects, has)


def explain(difference: Difference, quirks: Sequence[Quirk], where: Mapping[str, str], application: str) -> Difference:
    """Return the difference with the first quirk that explains it.

    Args:
        difference: The difference.
        quirks: The known quirks.
        where: Names of the server, and of the proxy in front of it, with their versions.
        application: Interface of the application.
    """
    for quirk in quirks:
        if (
            difference.request in quirk.requests
            and (difference.point, difference.found) == (quirk.point, quirk.value)
            and applies(quirk, where, application)
        ):
            return Difference(difference.request, difference.point, difference.expected, difference.found, quirk)
    return difference


def applies(quirk: Quirk, where: Mapping[str, str], application: str) -> bool:
    """Tell whether a quirk is one of these servers, in these versions, for this application."""
    if quirk.application not in ("", application):
        return False
    return any(name in quirk.servers and _in_range(version, quirk.servers[name]) for name, version in where.items())


def _in_range(version: str, specifier: str) -> bool:
    if not specifier:
        return True
    from packaging.specifiers import SpecifierSet  # only quirks with a range need it

    return SpecifierSet(specifier, prereleases=True).contains(version)
