"""What a request through a chain must come to on ASGI, told without the drivers.

An exchange is a script: what the application does, whether the client stays, where the server breaks. :class:`Model`
reads it as a table is read; the test runs the same script through the drivers. No middleware touches a body here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.gateway.drivers._links import Exchange, Guard, Head


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


class Model(Exchange):
    """One exchange through a chain."""

    def __init__(self, chain: Sequence[Guard], script: Script) -> None:
        super().__init__(chain, script.breaks)
        self.script = script
        self.incoming = [*script.incoming]
        #: Whether the application was called.
        self.playing = False

    def play(self) -> None:
        """Do what the application does, step by step."""
        self.playing = True
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
            self.wire(("start", what[0], [(b"x-app", b"1")]))  # the server's to refuse
        elif kind == "start":
            head = self.settle(Head(what[0], [(b"x-app", b"1")]))
            if head is None:
                return
            self.status = head.status
            self.wire(("start", head.status, head.headers))
        else:
            chunk, more = what
            self.wire(("body", chunk, more))
            self.sent += len(chunk)
            if not more:
                self.end("completed")

    def answer(self, head: Head) -> None:
        """Send what a middleware answers."""
        self.answered = self.decided = True
        self.status = head.status
        body = b"" if self.script.method == "HEAD" or head.body is None else head.body
        self.wire(("start", head.status, head.headers))
        early = bool(self.script.incoming) and not self.playing
        self.wire(("body", body, early))
        self.sent += len(body)
        if early:  # what the client still sends is dropped, and a client that leaves meanwhile has its response
            self.record.wire.append(("body", b"", False))
        self.end("completed")
