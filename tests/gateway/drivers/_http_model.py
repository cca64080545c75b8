"""What a request through a chain must come to on ASGI, told without the drivers.

An exchange is a script: what the application does, whether the client stays, where the server breaks. :class:`Model`
reads it as a table is read; the test runs the same script through the drivers. No middleware touches a body here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.gateway.drivers._links import Broken, Guard, Head, Record, finish, linked


@dataclass
class Script:
    """A script.

    Attributes:
        steps: What the application does: ``("read",)``, ``("start", status)``, ``("body", bytes, more)``,
            ``("raise",)``.
        method: The request's.
        incoming: The request's body, a message each.
        swallows: Whether the application goes on after what ``send`` raised.
        breaks: Which of the messages the server refuses with ``OSError``; -1 for none.
    """

    steps: list[tuple[Any, ...]]
    method: str = "GET"
    incoming: tuple[bytes, ...] = ()
    swallows: bool = False
    breaks: int = -1


class Model:
    """One exchange through a chain."""

    def __init__(self, chain: Sequence[Guard], script: Script) -> None:
        self.script = script
        self.record = Record()
        self.links, self.inmost = linked(chain, self.record)
        self.entered = 0
        self.incoming = [*script.incoming]
        #: Whether a head is settled, or failed to be; whether a middleware's is sent; whether all is told.
        self.decided = self.answered = self.over = False
        self.failed: Exception | None = None
        self.gone = False
        self.status: int | None = None
        self.sent = self.received = 0

    def run(self) -> Record:
        try:
            self.serve()
        except Exception as error:
            self.end("failed", error)
            self.record.raised = str(error)
        else:
            self.end("failed")
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
            if self.decided:
                raise
            self.answer(self.inmost.error(error))
            return
        if self.failed is not None:
            raise self.failed

    def play(self) -> None:
        """Do what the application does, step by step."""
        for kind, *what in self.script.steps:
            if kind == "raise":
                raise ValueError("the application")
            if kind == "read":
                self.received += len(self.incoming.pop(0)) if self.incoming else 0
                continue
            try:
                self.say(kind, *what)
            except Exception:
                if not self.script.swallows:
                    raise

    def say(self, kind: str, *what: Any) -> None:
        """Take one message of the application."""
        if self.failed is not None:
            raise self.failed
        if self.answered:
            return
        if kind == "start" and self.decided:
            self.wire("start", what[0], [(b"x-app", b"1")])  # the server's to refuse
        elif kind == "start":
            self.decided = True
            try:
                head = self.inmost.head(Head(what[0], [(b"x-app", b"1")]))
                if head.body is not None:
                    self.answer(head)
                    return
            except Exception as error:
                self.failed = error
                raise
            self.status = head.status
            self.wire("start", head.status, head.headers)
        else:
            chunk, more = what
            self.wire("body", chunk, more)
            self.sent += len(chunk)
            if not more:
                self.end("completed")

    def answer(self, head: Head) -> None:
        """Send what a middleware answers."""
        self.answered = self.decided = True
        self.status = head.status
        body = b"" if self.script.method == "HEAD" or head.body is None else head.body
        self.wire("start", head.status, head.headers)
        self.wire("body", body, False)
        self.sent += len(body)
        self.end("completed")

    def wire(self, kind: str, *what: Any) -> None:
        """Hand a message to the server."""
        self.record.wire.append((kind, *what))
        if len(self.record.wire) - 1 == self.script.breaks:
            self.gone = True
            raise Broken("gone")

    def end(self, kind: str, error: Exception | None = None) -> None:
        """Tell everybody who was entered, from the innermost out, once."""
        if self.over:
            return
        self.over = True
        kind = "aborted" if self.gone else kind
        begun = self.status is not None
        seen = kind, begun, self.status, self.sent, self.received, self.gone, None, str(error or "")
        finish(self.links[: self.entered], *seen)
