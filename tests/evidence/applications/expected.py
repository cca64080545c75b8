"""What a server does to the answers of any application: named differences, each with its reason.

An entry says how the server changes the native answer; after that, every byte must be the same. It is consulted only
where two answers differ, and an entry of a server that explains nothing in a whole run is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.evidence.applications.client import Answer

__all__ = ["EXPECTED", "Expected"]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One difference that is not the adapter's.

    Attributes:
        name: Unique name.
        servers: Where it is seen.
        reason: What the server does, and who says that it may; a sentence.
        apply: Returns the native answer as this server sends it; it is told what came, to know whether it did.
        applications: Only for these; empty is any.
        steps: Only for these requests; empty is any.
    """

    name: str
    servers: tuple[str, ...]
    reason: str
    apply: Callable[[Answer, Answer], Answer]
    applications: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


def _sorted(wanted: Answer, found: Answer) -> Answer:
    return replace(wanted, headers=tuple(sorted(wanted.headers, key=lambda pair: pair[0])))


def _length_last(wanted: Answer, found: Answer) -> Answer:
    """An empty body's length, at the end."""
    length = ("content-length", "0")
    if wanted.body or length not in wanted.headers:
        return wanted
    return replace(wanted, headers=(*(pair for pair in wanted.headers if pair != length), length))


def _length_added(wanted: Answer, found: Answer) -> Answer:
    """A length that is right, where the application gave none."""
    length = ("content-length", str(len(found.body)))
    if any(name == "content-length" for name, _ in wanted.headers) or length not in found.headers:
        return wanted
    at = found.headers.index(length)
    return replace(wanted, headers=(*wanted.headers[:at], length, *wanted.headers[at:]))


def _without_length(wanted: Answer, found: Answer) -> Answer:
    return replace(wanted, headers=tuple(pair for pair in wanted.headers if pair[0] != "content-length"))


def _own_page(wanted: Answer, found: Answer) -> Answer:
    return found if found.status == wanted.status == 500 else wanted


def _not_found(wanted: Answer, found: Answer) -> Answer:
    return found if found.status == 404 else wanted


def _whole(wanted: Answer, found: Answer) -> Answer:
    return replace(wanted, whole=True)


EXPECTED = (
    Expected(
        name="header order",
        servers=("waitress",),
        reason="Waitress sorts headers by name.",
        apply=_sorted,
    ),
    Expected(
        name="length of an empty body",
        servers=("granian-rsgi", "granian-asgi", "granian-wsgi"),
        reason="Granian removes `Content-Length: 0` and adds it again after the application's headers.",
        apply=_length_last,
    ),
    Expected(
        name="length of a whole body",
        servers=("granian-rsgi", "granian-asgi", "granian-wsgi", "waitress", "wsgiref"),
        reason="If a body without a length reaches the server in one piece, it is sent with its length and not in "
        "chunks, because the adapter joins waiting chunks.",
        apply=_length_added,
    ),
    Expected(
        name="length beside chunks",
        servers=("hypercorn-asyncio",),
        applications=("datasette",),
        reason="For a database file, Datasette sends both `Content-Length` and `Transfer-Encoding`, which RFC 9112, "
        "6.2 forbids; h11, in Hypercorn, removes the length.",
        apply=_without_length,
    ),
    Expected(
        name="error page",
        servers=(
            "waitress",
            "uvicorn",
            "hypercorn-asyncio",
            "hypercorn-trio",
            "daphne",
            "granian-asgi",
            "gunicorn-asgi",
        ),
        applications=("pyramid",),
        steps=("a path that is not UTF-8",),
        reason="Pyramid raises before its error views run; each server sends 500 with its own page.",
        apply=_own_page,
    ),
    Expected(
        name="path that is not UTF-8",
        servers=("granian-rsgi",),
        applications=("pyramid",),
        steps=("a path that is not UTF-8",),
        reason="Granian replaces bytes that are not valid UTF-8 with U+FFFD, so Pyramid does not raise, and finds "
        "no page.",
        apply=_not_found,
    ),
    Expected(
        name="end of a body that broke off",
        servers=("granian-wsgi", "pyuwsgi", "wsgiref"),
        reason="Granian ends a WSGI body after an exception as if it were whole; uWSGI and wsgiref end each body by "
        "closing the connection, which says nothing of how.",
        apply=_whole,
    ),
)
