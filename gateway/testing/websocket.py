"""A WebSocket between a test and an ASGI application, without a socket.

`AsyncWebSocket` runs in the event loop of the application; `WebSocket` is the same for a thread. It does
not use frames: it passes ASGI messages, and a close is an ASGI event.
(Above 400 lines: the two classes have the same methods, and are read side by side.)

Sources: ASGI WebSocket 2.5; RFC 6455 section 7.4.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Literal, TypeVar

import anyio
import anyio.lowlevel

from gateway.errors import ApplicationError, GatewayError
from gateway.protocols import ASGIApplication, Message, Scope
from gateway.testing._asgi_exchange import reason_of
from gateway.testing._concurrency import ClientLoop, Notifier, spawn
from gateway.testing._failures import is_echo, of_own_cancellation, together
from gateway.testing._http import http
from gateway.testing._record import CURRENT, Record
from gateway.testing._response import Response
from gateway.testing.faults import ClientDisconnected
from gateway.testing.leaks import ENDS_BY, GRACE

__all__ = ["AsyncWebSocket", "WebSocket", "WebSocketClosed", "WebSocketDenied"]

#: Number of messages that wait for the test; then ``send()`` waits, as it does when a client does not read.
_MOST_WAITING = 1000

T = TypeVar("T")
Phase = Literal["connecting", "open", "denying", "closed"]


class WebSocketClosed(GatewayError):  # without "Error" in its name, because a test may expect it
    """The application closed the WebSocket.

    Attributes:
        code: The close code; 1006 if the application ended without closing.
        reason: The reason, or "".
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the application closed the WebSocket: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class WebSocketDenied(GatewayError):  # without "Error" in its name, because a test may expect it
    """The application refused the handshake.

    Attributes:
        response: A denial response, or the 403 that a server sends for a close before the accept.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"the application denied the WebSocket: {response.status_code}")
        self.response = response


class AsyncWebSocket:
    """The client's end of a WebSocket, in the application's loop.

    Attributes:
        timeout: Seconds that the application may take for the handshake or a message; None means no limit.
        accepted_subprotocol: The subprotocol that the application chose, or None.
        accept_headers: The headers of the application's accept.
        messages: All messages, in order.
        app_error: Exception that the application raised, or None.
    """

    def __init__(
        self, app: ASGIApplication, scope: Scope, timeout: float | None, *, record: Record | None = None
    ) -> None:
        self.accepted_subprotocol: str | None = None
        self.accept_headers: list[tuple[bytes, bytes]] = []
        self.record: Record = record if record is not None else Record()
        self.messages: list[Message] = self.record.messages
        self.app_error: BaseException | None = None
        self._app = app
        self._scope = scope
        self.timeout = timeout
        self._phase: Phase = "connecting"
        self._to_app: deque[Message] = deque([{"type": "websocket.connect"}])
        self._from_app: deque[Message] = deque()
        self._signal = Notifier()
        self._closed: WebSocketClosed | None = None
        self._accepted = False
        self._left = False
        self._ended = False
        self._cancel_scope: anyio.CancelScope | None = None

    # -- the client's end

    async def connect(self) -> None:
        """Send the handshake and wait for the application's response."""
        spawn(self._run, "gateway.testing: websocket")
        await self._until(lambda: self._phase in ("open", "closed") or self._ended, "answer the handshake")
        if self._accepted:
            return
        await self._ends_within(GRACE)
        self._raise_error()
        if self._phase != "closed" and self.app_error is not None:
            self.record.status, self.record.reason = 500, reason_of(500)  # as a server refuses the handshake then
        elif self._phase != "closed":
            raise ApplicationError(
                "an application must accept, close or deny a WebSocket, and it returned without doing so "
                "(ASGI WebSocket: Connection Scope)"
            )
        record = self.record
        response = Response(record.status, headers=record.headers, stream=http.ByteStream(b"".join(record.chunks)))
        response.record = record
        response.read()
        raise WebSocketDenied(response)

    async def send_text(self, text: str) -> None:
        """Send a text message."""
        self._post({"type": "websocket.receive", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._post({"type": "websocket.receive", "bytes": data})

    async def send_json(self, value: object) -> None:
        """Send a value as a JSON text message."""
        await self.send_text(json.dumps(value))

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message.

        Raises:
            WebSocketClosed: No message is left, and the application has closed or ended.
            TimeoutError: No message came in time; the WebSocket stays usable.
        """
        with anyio.fail_after(self.timeout if timeout is None else timeout):
            while not self._from_app and self._closed is None and not self._ended:
                await self._signal.wait()
        if self._from_app:
            message = self._from_app.popleft()
            self._signal.notify()
            text, data = message.get("text"), message.get("bytes")
            return text if text is not None else bytes(data or b"")
        self._raise_error()
        raise self._closed or WebSocketClosed(1006)

    async def send_message(self, message: Message) -> None:
        """Give the application an ASGI message as it is, for example a ``websocket.receive`` with both keys."""
        self._post(message)

    async def receive_message(self, timeout: float | None = None) -> Message:
        """Return the application's next ASGI message as it is: ``websocket.send`` or ``websocket.close``.

        Raises:
            WebSocketClosed: The application ended without closing.
            TimeoutError: No message came in time; the WebSocket stays usable.
        """
        with anyio.fail_after(self.timeout if timeout is None else timeout):
            while not self._from_app and self._closed is None and not self._ended:
                await self._signal.wait()
        if self._from_app:
            self._signal.notify()
            return self._from_app.popleft()
        self._raise_error()
        if self._closed is None:
            raise WebSocketClosed(1006)
        return {"type": "websocket.close", "code": self._closed.code, "reason": self._closed.reason}

    async def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which must be text."""
        message = await self.receive(timeout)
        if not isinstance(message, str):
            raise ApplicationError(f"expected a text message, got bytes {message!r}; use receive_bytes()")
        return message

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Return the next message, which must be binary."""
        message = await self.receive(timeout)
        if not isinstance(message, bytes):
            raise ApplicationError(f"expected a binary message, got text {message!r}; use receive_text()")
        return message

    async def receive_json(self, timeout: float | None = None) -> object:
        """Return the next message, read as JSON."""
        value: object = json.loads(await self.receive(timeout))
        return value

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; the application receives this code. A second close does nothing."""
        self._leave(code, reason)

    async def drop(self) -> None:
        """Leave without a close, as a lost connection does: the application receives 1006."""
        self._leave(1006, "")

    async def finish(self) -> None:
        """Close if still open, wait for the application to end, and raise its exception.

        An application that goes on for half a second is cancelled: many only look at the connection when they send.
        """
        self._leave(1000, "")
        if not await self._ends_within(GRACE) and not await self._ends_within(ENDS_BY):
            raise ApplicationError(
                "the application did not end after the WebSocket was closed, although it was cancelled"
            )
        self._raise_error()

    # -- the application's end

    async def _receive(self) -> Message:
        while not self._to_app:
            await self._signal.wait()
        message = self._to_app[0]
        if message["type"] != "websocket.disconnect":  # keep it: every later receive() returns it
            self._to_app.popleft()
        else:
            await anyio.lowlevel.checkpoint()  # an application that asks again and again must not stop the loop
        self.messages.append(message)
        return message

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        while len(self._from_app) >= _MOST_WAITING and not self._left:
            await self._signal.wait()
        if self._left:
            raise ClientDisconnected
        kind = message.get("type")
        if kind == "websocket.accept" and self._phase == "connecting":
            self.accepted_subprotocol = message.get("subprotocol")
            self.accept_headers.extend((bytes(name), bytes(value)) for name, value in message.get("headers") or ())
            self._phase = "open"
            self._accepted = True
        elif kind == "websocket.send" and self._phase == "open":
            self._from_app.append(message)
        elif kind == "websocket.close" and self._phase in ("connecting", "open"):
            code = message.get("code", 1000)
            if self._phase == "connecting":
                self.record.status, self.record.reason = 403, reason_of(403)
                self.record.complete = True
            self._end(code, message.get("reason") or "", told=1006 if self._phase == "connecting" else code)
        elif kind == "websocket.http.response.start" and self._phase == "connecting":
            self.record.status, self.record.reason = message["status"], reason_of(message["status"])
            self.record.headers.extend((bytes(name), bytes(value)) for name, value in message.get("headers") or ())
            self._phase = "denying"
        elif kind == "websocket.http.response.body" and self._phase == "denying":
            if message.get("body"):
                self.record.chunks.append(bytes(message["body"]))
            if not message.get("more_body", False):
                self.record.complete = True
                self._end(1006, "", told=1006)
        else:
            raise ApplicationError(
                "an application must accept a WebSocket once, then may send messages, then may close it "
                f"once; got {kind!r} while {self._phase} (ASGI WebSocket)"
            )
        self._signal.notify()

    # -- within

    async def _run(self) -> None:
        CURRENT.set(self.record)  # no reset, because this task does nothing else
        with anyio.CancelScope() as self._cancel_scope:
            try:
                await self._app(self._scope, self._receive, self._send)
            except anyio.get_cancelled_exc_class() as error:
                self.record.error = of_own_cancellation(error)
                raise
            except BaseException as error:
                if not (self._left and is_echo(error)):
                    self.record.error = error
            finally:
                self._ended = True
                self._signal.notify()

    def _end(self, code: int, reason: str, *, told: int) -> None:
        self._phase = "closed"
        self._closed = WebSocketClosed(code, reason)
        self._to_app.clear()
        self._to_app.append({"type": "websocket.disconnect", "code": told, "reason": reason or None})

    def _leave(self, code: int, reason: str) -> None:
        if self._phase == "closed" or self._left:
            return
        self._left = True
        self._phase = "closed"
        self._closed = WebSocketClosed(code, reason)
        self._to_app.append({"type": "websocket.disconnect", "code": code, "reason": reason or None})
        self.record.disconnected = True
        self._signal.notify()

    def _post(self, message: Message) -> None:
        if self._phase != "open":
            self._raise_error()
            raise self._closed or WebSocketClosed(1006)
        self._to_app.append(message)
        self._signal.notify()

    def _raise_error(self) -> None:
        record = self.record
        error = together([*([] if record.error is None else [record.error]), *record.failures])
        record.error, record.failures = None, []
        if error is not None:
            self.app_error = error
            if record.raises:
                raise error

    async def _until(self, done: Callable[[], bool], what: str) -> None:
        with anyio.move_on_after(self.timeout) as limit:
            while not done():
                await self._signal.wait()
        if limit.cancelled_caught:
            self._cancel()
            raise ApplicationError(f"the application did not {what} within {self.timeout} seconds")

    async def _ends_within(self, seconds: float) -> bool:
        """Wait for the application to end; after ``seconds``, cancel it."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(seconds):
            while not self._ended:
                await self._signal.wait()
        if not self._ended:
            self._cancel()
        return self._ended

    def _cancel(self) -> None:
        if self._cancel_scope is not None:
            self._cancel_scope.cancel()


class WebSocket:
    """The client's end of a WebSocket, for a thread. The methods are those of `AsyncWebSocket`, without ``await``."""

    def __init__(self, core: AsyncWebSocket, loop: ClientLoop) -> None:
        self._core = core
        self._loop = loop

    def _run(self, call: Callable[[], Coroutine[object, object, T]], timeout: float | None = None) -> T:
        return self._loop.run(call, self._core.timeout if timeout is None else timeout)

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the application chose, or None."""
        return self._core.accepted_subprotocol

    @property
    def accept_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the application's accept."""
        return self._core.accept_headers

    @property
    def messages(self) -> list[Message]:
        """All messages, in order."""
        return self._core.messages

    @property
    def app_error(self) -> BaseException | None:
        """The exception that the application raised, or None."""
        return self._core.app_error

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self._run(partial(self._core.send_text, text))

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._run(partial(self._core.send_bytes, data))

    def send_json(self, value: object) -> None:
        """Send a value as a JSON text message."""
        self._run(partial(self._core.send_json, value))

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message. See `AsyncWebSocket.receive`."""
        return self._run(partial(self._core.receive, timeout), timeout)

    def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which must be text."""
        return self._run(partial(self._core.receive_text, timeout), timeout)

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Return the next message, which must be binary."""
        return self._run(partial(self._core.receive_bytes, timeout), timeout)

    def receive_json(self, timeout: float | None = None) -> object:
        """Return the next message, read as JSON."""
        return self._run(partial(self._core.receive_json, timeout), timeout)

    def send_message(self, message: Message) -> None:
        """Give the application an ASGI message as it is. See `AsyncWebSocket.send_message`."""
        self._run(partial(self._core.send_message, message))

    def receive_message(self, timeout: float | None = None) -> Message:
        """Return the application's next ASGI message as it is. See `AsyncWebSocket.receive_message`."""
        return self._run(partial(self._core.receive_message, timeout), timeout)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; the application receives this code."""
        self._run(partial(self._core.close, code, reason))

    def drop(self) -> None:
        """Leave without a close: the application receives 1006."""
        self._run(self._core.drop)
