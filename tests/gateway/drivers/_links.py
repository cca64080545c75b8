"""The order of hook calls, told without the drivers: each middleware knows the one outside of it and hands on to it.

The drivers count places in a chain. Here nothing is counted: a head, and an error, go from :class:`Link` to link
outwards, so that who is asked, in which order, after which failure, follows from the links alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

HOOKS = ("on_request", "on_response", "on_error", "on_finish")
#: What a hook may do.
ACTS = ("nothing", "append", "status", "answer", "refuse", "raise")


@dataclass
class Hook:
    """What a hook does; ``io`` says that it is a generator which asks for IO first."""

    act: str = "nothing"
    io: bool = False


#: A middleware: the hooks that it defines.
Guard = dict[str, Hook]


@dataclass
class Record:
    """What came of it: hook calls with what they saw, messages to the server and the application, what was raised."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    wire: list[Any] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    raised: str = ""


class Refused(Exception):
    """The request is refused; the same as an error where no request is asked about."""


class Broken(OSError):
    """The client is gone."""


@dataclass
class Head:
    """A head on its way outwards; with a body where a middleware made it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None


def answer_of(name: str) -> tuple[int, tuple[str, str], bytes]:
    """Return what a middleware answers with: status, a field, the body."""
    return 403, ("x-by", name), f"no, {name}".encode()


class Edge:
    """What stands outside of the outermost: a head is settled there, an error is raised to the server."""

    def head(self, head: Head) -> Head:
        if head.body is not None:
            head.headers.append((b"content-length", b"%d" % len(head.body)))
        return head

    def error(self, error: Exception) -> Head:
        raise error


class Link(Edge):
    """One middleware, which hands on to the one outside of it."""

    def __init__(self, name: str, guard: Guard, outer: Edge, record: Record) -> None:
        self.name = name
        self.guard = guard
        self.outer = outer
        self.record = record

    def run(self, hook: str, *seen: object, head: Head | None = None) -> Head | None:
        if hook not in self.guard:
            return None
        self.record.calls.append((self.name, hook, *seen))
        act = self.guard[hook].act
        if act == "append" and head is not None:
            head.headers.append((b"x-seen", self.name.encode()))
        if act == "status" and head is not None:
            head.status = 418
        if act == "raise":
            raise ValueError(f"{self.name} {hook}")
        if act == "refuse":
            raise Refused(f"403: {self.name}")
        if act == "answer":
            status, (field_, value), body = answer_of(self.name)
            return Head(status, [(field_.encode(), value.encode())], body)
        return None

    def enter(self) -> Head | None:
        """Ask about the request; return the settled answer, or ``None`` to go on inwards."""
        try:
            answer = self.run("on_request")
        except Refused:
            status, (field_, value), body = answer_of(self.name)
            answer = Head(status, [(field_.encode(), value.encode())], body)
        except ValueError as error:
            return self.outer.error(error)
        return None if answer is None else self.outer.head(answer)

    def head(self, head: Head) -> Head:
        """Take a head that comes from inside."""
        try:
            other = self.run("on_response", head.status, list(head.headers), head=head)
        except Exception as error:
            return self.outer.error(error)
        return self.outer.head(other or head)

    def error(self, error: Exception) -> Head:
        """Take an error that comes from inside."""
        try:
            answer = self.run("on_error", str(error))
        except Exception as other:
            return self.outer.error(other)
        return self.outer.error(error) if answer is None else self.outer.head(answer)


def linked(chain: Sequence[Guard], record: Record) -> tuple[list[Link], Edge]:
    """Link a chain; return the links from the outermost in, and what the application hands its head to."""
    links: list[Link] = []
    inmost = Edge()
    for name, guard in zip("abcdefgh", chain, strict=False):
        inmost = Link(name, guard, inmost, record)
        links.append(inmost)
    return links, inmost


def finish(links: Sequence[Link], *seen: object) -> None:
    """Tell the end to these, from the innermost out; what fails is logged, and nobody else is kept from his turn."""
    for link in reversed(links):
        with suppress(ValueError, Refused):
            link.run("on_finish", *seen)


class Exchange:
    """One exchange through a chain, over HTTP or WebSocket; a model says what the application does and what is sent.

    Args:
        breaks: Which of the messages the server refuses with ``OSError``; -1 for none.
    """

    def __init__(self, chain: Sequence[Guard], breaks: int) -> None:
        self.breaks = breaks
        self.record = Record()
        self.links, self.inmost = linked(chain, self.record)
        self.entered = 0
        #: Whether a head is settled, or failed to be; whether a middleware's is sent; whether all is told.
        self.decided = self.answered = self.over = False
        #: Whether a socket is open, which the server closes where the application returns.
        self.accepted = False
        self.failed: Exception | None = None
        self.gone = False
        self.status: int | None = None
        self.code: int | None = None
        self.sent = self.received = 0

    def play(self) -> None:
        """Do what the application does, step by step."""
        raise NotImplementedError

    def answer(self, head: Head) -> None:
        """Send what a middleware answers."""
        raise NotImplementedError

    def run(self) -> Record:
        try:
            self.serve()
        except Exception as error:
            self.end("failed", error)
            self.record.raised = str(error)
        else:
            self.end("completed" if self.accepted else "failed")
        return self.record

    def serve(self) -> None:
        for link in self.links:
            self.entered += 1
            answer = link.enter()
            if answer is not None:
                self.answer(answer)
                return
        try:
            self.play()
        except Exception as error:
            if self.decided or self.over:
                raise
            self.answer(self.inmost.error(error))
            return
        if self.failed is not None:
            raise self.failed

    def settle(self, head: Head) -> Head | None:
        """Hand the application's head outwards; return what is sent, or ``None`` where a middleware has answered."""
        self.decided = True
        try:
            head = self.inmost.head(head)
            if head.body is not None:
                self.answer(head)
                return None
        except Exception as error:
            self.failed = error
            raise
        return head

    def wire(self, message: object) -> None:
        """Hand a message to the server."""
        self.record.wire.append(message)
        if len(self.record.wire) - 1 == self.breaks:
            self.gone = True
            raise Broken("gone")

    def end(self, kind: str, error: Exception | None = None) -> None:
        """Tell everybody who was entered, once."""
        if self.over:
            return
        self.over = True
        kind = "aborted" if self.gone else kind
        begun = self.status is not None
        seen = kind, begun, self.status, self.sent, self.received, self.gone, self.code, str(error or "")
        finish(self.links[: self.entered], *seen)
