"""What a WebSocket through a chain must come to, told without the driver.

A conversation is a script: what the client sends, what the application does, where the server breaks. :class:`Model`
reads it as a table is read; the test runs the same script through the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.gateway.drivers._links import Broken, Guard, Head, Record, finish, linked


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


class Model:
    """One conversation through a chain."""

    def __init__(self, chain: Sequence[Guard], script: Conversation) -> None:
        self.script = script
        self.record = Record()
        self.links, self.inmost = linked(chain, self.record)
        self.entered = 0
        self.incoming = [*script.incoming]
        self.connected = self.accepted = self.denied = self.over = False
        #: Whether a head is settled, or failed to be.
        self.decided = False
        self.broken_by: Exception | None = None
        self.gone = False
        self.status: int | None = None
        self.code: int | None = None
        self.sent = self.received = 0

    def run(self) -> Record:
        try:
            self.serve()
        except Exception as error:
            self.end("aborted" if self.gone else "failed", error)
            self.record.raised = str(error)
        else:
            self.end("aborted" if self.gone else "completed" if self.accepted else "failed")
        return self.record

    def serve(self) -> None:
        for link in self.links:
            self.entered += 1
            answer = link.enter()
            if answer is not None:
                self.deny(answer)
                return
        try:
            self.play()
        except Exception as error:
            if self.decided or self.over:
                raise
            self.deny(self.inmost.error(error))
            return
        if self.broken_by is not None:
            raise self.broken_by

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
                self.end("aborted" if self.gone else "completed")
        self.record.read.append(kind)
        return kind

    def say(self, step: tuple[Any, ...]) -> None:
        """Take one message of the application, or the three of a denial."""
        if self.broken_by is not None:
            raise self.broken_by
        if self.denied:
            return
        kind, *given = step
        if kind in ("accept", "close", "deny") and not self.decided and not self.over:
            status = {"accept": 101, "close": 403}.get(kind) or 404
            headers = [] if kind == "close" else [(b"x-app", b"1")]
            self.decided = True
            try:
                head = self.inmost.head(Head(status, headers))
                if head.body is not None:
                    self.deny(head)
                    return
            except Exception as error:
                self.broken_by = error
                raise
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

    def deny(self, head: Head) -> None:
        """Send what a middleware answers."""
        self.denied = self.decided = True
        if not self.connected and not self.script.connects:
            self.gone = True
            self.end("aborted")
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

    def wire(self, message: dict[str, Any]) -> None:
        """Hand a message to the server."""
        self.record.wire.append(message)
        if len(self.record.wire) - 1 == self.script.breaks:
            self.gone = True
            raise Broken("gone")

    def end(self, kind: str, error: Exception | None = None) -> None:
        """Tell everybody who was entered, from the innermost out, once."""
        if self.over:
            return
        self.over = True
        if self.gone and kind == "completed":
            kind = "aborted"
        seen = (
            kind,
            self.status is not None,
            self.status,
            self.sent,
            self.received,
            self.gone,
            self.code,
            str(error or ""),
        )
        finish(self.links[: self.entered], *seen)
