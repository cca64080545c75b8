"""What a WebSocket through a chain must come to, told without the driver.

A conversation is a script: what the client sends, what the application does, where the server breaks. :class:`Model`
reads it as a table is read; the test runs the same script through the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.gateway.drivers._links import Exchange, Guard, Head


@dataclass
class Conversation:
    """A script.

    Attributes:
        steps: What the application does after it received the connect, see :meth:`Model.play`.
        incoming: What the client sends after the connect.
        code: The close code by which the client ends.
        swallows: Whether the application goes on after what ``send`` raised.
        denial: Whether the server offers denial responses.
        connects: Whether the client is still there when the connect is asked for.
        breaks: Which of the messages the server refuses with ``OSError``; -1 for none.
    """

    steps: list[tuple[Any, ...]]
    incoming: list[str | bytes]
    code: int = 1000
    swallows: bool = False
    denial: bool = True
    connects: bool = True
    breaks: int = -1


class Model(Exchange):
    """One conversation through a chain."""

    def __init__(self, chain: Sequence[Guard], script: Conversation) -> None:
        super().__init__(chain, script.breaks)
        self.script = script
        self.incoming = [*script.incoming]
        self.connected = False

    def play(self) -> None:
        """Do what the application does, step by step."""
        if self.read() != "websocket.connect":
            return
        for step in self.script.steps:
            if step[0] == "raise":
                raise ValueError("the application")
            if step[0] == "read":
                if self.read() == "websocket.disconnect":
                    return
                continue
            try:
                self.say(step)
            except Exception:
                if not self.script.swallows:
                    raise

    def read(self) -> str:
        """Give the application its next message."""
        if not self.connected and self.script.connects:
            self.connected = True
            kind = "websocket.connect"
        elif self.connected and self.incoming:
            part = self.incoming.pop(0)
            self.received += len(part.encode() if isinstance(part, str) else part)
            kind = "websocket.receive"
        else:
            kind = "websocket.disconnect"
            if not self.over:
                self.code = self.script.code
                regular = self.script.code in (1000, 1001, 1005) or 3000 <= self.script.code < 5000
                self.gone = not (self.accepted and regular)
                self.end("completed")
        self.record.read.append(kind)
        return kind

    def say(self, step: tuple[Any, ...]) -> None:
        """Take one message of the application, or the three of a denial."""
        if self.failed is not None:
            raise self.failed
        if self.answered:
            return
        kind, *given = step
        if kind in ("accept", "close", "deny") and not self.decided and not self.over:
            status = {"accept": 101, "close": 403}.get(kind) or 404
            headers = [] if kind == "close" else [(b"x-app", b"1")]
            head = self.settle(Head(status, headers))
            if head is None:
                return
            self.status = head.status if kind == "deny" else status  # an accept, and a close, carry none
            if kind == "accept":
                self.accepted = True
                self.wire({"type": "websocket.accept", "headers": head.headers})
            elif kind == "close":
                self.close(given[0])
            else:
                self.wire({"type": "websocket.http.response.start", "status": head.status, "headers": head.headers})
                for part in given[0]:
                    self.wire({"type": "websocket.http.response.body", "body": part, "more_body": True})
                    self.sent += len(part)
                self.wire({"type": "websocket.http.response.body", "body": b""})
                self.end("completed")
        elif kind == "send":
            name = "text" if isinstance(given[0], str) else "bytes"
            self.wire({"type": "websocket.send", name: given[0]})
            self.sent += len(given[0].encode() if isinstance(given[0], str) else given[0])
        elif kind == "close":
            self.close(given[0])

    def close(self, code: int) -> None:
        self.code = code
        self.wire({"type": "websocket.close", "code": code})
        self.end("completed")

    def answer(self, head: Head) -> None:
        """Send what a middleware answers."""
        self.answered = self.decided = True
        if not self.connected and not self.script.connects:
            self.gone = True
            self.end("completed")
            return
        if not self.script.denial:
            self.status = 403
            self.wire({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            self.status = head.status
            body = head.body or b""
            self.wire({"type": "websocket.http.response.start", "status": head.status, "headers": head.headers})
            self.wire({"type": "websocket.http.response.body", "body": body, "more_body": False})
            self.sent += len(body)
        self.end("completed")
