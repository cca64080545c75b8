"""One call of an ASGI application on behalf of a WSGI server: the conversation between a loop and a WSGI thread.

Theory of operation. The application runs as a task on the loop. Its ``send()`` puts body bytes into a queue and wakes
the WSGI thread once; the thread takes whatever is there, so the number of wake-ups does not grow with the number of
messages. ``send()`` suspends only while ``HIGH_BYTES`` wait to be taken. Its ``receive()`` is served from what the
thread has read already; when that is used up, it asks the thread, which is the only one that may touch ``wsgi.input``.

The response goes through these states, told by ``_state``:

    START ──http.response.start──▶ BODY ──last body──▶ (TRAILERS ──last trailers──▶) DONE

``finished`` says that nothing more will come for the server, well or badly (``error``). The application may run on
after that: its task is kept by the service, its errors are logged. ``gone`` says that the server has let go: from then
on ``send()`` raises OSError and ``receive()`` gives ``http.disconnect``.

Rules for changing it. Attributes in the first group below are written on the loop only, those in the second in the WSGI
thread only, but for ``_want``, which the loop sets and the thread unsets. News first, then ``signal()`` (see
`_waiting`). Nothing here may block the loop, and no ``await`` may stand between taking a message out and returning it:
an application may cancel ``receive()`` at any time and must not lose one.

(Above 400 lines: one conversation, whose two threads keep to the same rules.)

Sources: ASGI HTTP 2.4 events, "Disconnected Client", extensions; PEP 3333.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from typing import Any, Protocol

from gateway.adapters.asgi_to_wsgi._input import RequestBody
from gateway.adapters.asgi_to_wsgi._parts import EarlyHint, FileBody, Part, SharedFile, octets
from gateway.adapters.asgi_to_wsgi._waiting import Conversation, Runner, start_task
from gateway.errors import ApplicationError, GatewayError
from gateway.protocols import ASGIApplication, Message
from gateway.translate.fields import wsgi_response_headers
from gateway.translate.status import has_content

_log = logging.getLogger("gateway.adapters")

#: How many bytes may wait for the WSGI thread before ``send()`` suspends.
HIGH_BYTES = 128 * 1024

_START, _BODY, _TRAILERS, _DONE = range(4)
_STATE_NAMES = (
    "before http.response.start",
    "within the body",
    "before the trailers",
    "after the response was complete",
)


class ClientGone(BrokenPipeError):
    """Raised in ``send()`` when the server has closed the response (ASGI HTTP "Disconnected Client")."""


class Tasks(Protocol):
    """Who keeps the tasks of the applications: until they end, and at shutdown."""

    tasks: set[asyncio.Task[None]]


class AsgiCall(Conversation):
    """Run one HTTP request through an ASGI application.

    Args:
        app: The application.
        scope: The request.
        body: What can be read of the request body, None where there is none.
        runner: The loop.
        tasks: Keeps the task while it runs.
        context: The WSGI caller's context variables; the task runs in it.
        offers: The extensions that were offered in the scope.
    """

    # Written on the loop.
    _state = _START
    status = 0
    trailers: Sequence[tuple[bytes, bytes]] = ()
    _trailers_follow = False
    _trailers_dropped = False
    _sent = 0
    _drained: asyncio.Future[None] | None = None
    _file_waiter: asyncio.Future[None] | None = None
    finished = False
    error: BaseException | None = None
    gone = False
    _waiters: set[asyncio.Future[None]] | None = None
    _demanded = False
    _delivered = False  # the last http.request was handed to the application
    _disconnected = False
    _chunks: deque[bytes] | None = None
    _more = False
    # Written in the WSGI thread.
    _taken = 0
    _want = False

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        body: RequestBody | None,
        runner: Runner,
        tasks: Tasks,
        context: Context,
        offers: frozenset[str],
    ) -> None:
        self._app = app
        self._scope = scope
        self._runner = runner
        self._tasks = tasks
        self._context = context
        self._offers = offers
        self._body = body
        self.bodiless = scope["method"] == "HEAD"
        self.headers: list[tuple[str, str]] = []
        self.parts: deque[Part] = deque()  # popped in the WSGI thread; a deque's ends are safe for two threads
        if body is not None:
            self._chunks = deque((body.first,)) if body.first else deque()
            self._more = body.more
            self._disconnected = not body.more and not body.first

    # on the loop: the application's side

    def begin(self) -> None:
        """Start the application's task."""
        task = start_task(self._runner.loop, self._run(), self._context)
        if not task.done():
            self._tasks.tasks.add(task)
            task.add_done_callback(self._task_ended)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as error:  # SystemExit out of a task would end the loop, and every request with it
            self._failed(error)
        else:
            if not self.finished:
                self._failed(
                    ApplicationError(
                        f"an application completes its response before it returns, it returned "
                        f"{_STATE_NAMES[self._state]}; send http.response.start and a last http.response.body "
                        f"(ASGI HTTP)"
                    )
                )

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.tasks.discard(task)
        if not self.finished:  # cancelled before its first step
            self._failed(asyncio.CancelledError())

    def _failed(self, error: BaseException) -> None:
        if self.finished or self.gone:
            # A read that fails with an error of ours was refused by middleware outside, which has responded.
            refused = isinstance(self.read_error, GatewayError)
            if refused or isinstance(error, asyncio.CancelledError) or _is_of_client_gone(error):
                _log.debug("an ASGI application ended with its response: %r", error)
            else:
                _log.error("an ASGI application failed after its response had ended", exc_info=error)
            self.finished = True
            return
        if isinstance(error, asyncio.CancelledError):
            cancelled = ApplicationError(
                f"an application answers every request, its task was cancelled {_STATE_NAMES[self._state]}"
            )
            cancelled.__cause__ = error
            error = cancelled
        elif isinstance(error, GeneratorExit):  # the loop is being torn down
            error = ApplicationError("the event loop ended before the application had answered")
        self.error = error
        self.finished = True
        self.signal()

    def end(self, error: BaseException) -> None:
        """Give the WSGI thread an error in the place of a response, while the application runs on; called on the loop.

        Nothing where the conversation has ended.
        """
        if self.gone:
            self.finished = True
        elif not self.finished:
            self._failed(error)

    async def _receive(self) -> Message:
        while True:
            if self.gone or self._disconnected:
                return {"type": "http.disconnect"}
            if not self._delivered:
                chunks = self._chunks
                if chunks is None:
                    self._delivered = True
                    return {"type": "http.request", "body": b"", "more_body": False}
                if chunks:
                    data = chunks.popleft()
                    more = self._more or bool(chunks)
                    self._delivered = not more
                    return {"type": "http.request", "body": data, "more_body": more}
            if self._state == _DONE:
                return {"type": "http.disconnect"}
            if not self._delivered and not self._demanded:
                self._demanded = True
                self._want = True
                self.signal()
            await self._event()

    async def _event(self) -> None:
        """Wait until something changes for ``receive()``: a piece came, the response ended, the client went."""
        waiter: asyncio.Future[None] = self._runner.loop.create_future()
        if self._waiters is None:
            self._waiters = set()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _tell_receive(self) -> None:
        if self._waiters:
            for waiter in tuple(self._waiters):
                if not waiter.done():
                    waiter.set_result(None)

    def _feed(self, data: bytes | None, more: bool) -> None:
        self._demanded = False
        if data is None:
            self._disconnected = True
        elif self._chunks is not None:
            self._chunks.append(data)
        self._more = more
        self._tell_receive()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self.gone:
            raise ClientGone(errno.EPIPE, "the server has closed the response: the client is gone")
        if kind == "http.response.body" and self._state == _BODY:
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = octets(body)
            more = message.get("more_body", False)
            if body and not self.bodiless:
                self.parts.append(body)
                self._sent += len(body)
                if more and not self.signalled:
                    self.signal()
            if not more:
                self._complete_body()
            elif self._sent - self._taken >= HIGH_BYTES:
                await self._drain()
        elif kind == "http.response.start" and self._state == _START:
            self._start(message)
        else:
            await self._send_other(kind, message)

    def _start(self, message: Message) -> None:
        status = message["status"]
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ApplicationError(
                f"http.response.start needs a final status, an integer from 200 to 999, got {status!r}; "
                f"check the code that sends it (ASGI HTTP 'Response Start')"
            )
        self.status = int(status)
        # Translated here, so that a wrong header is raised where it was sent.
        self.headers = wsgi_response_headers(message.get("headers") or ())
        if not self.bodiless and not has_content(self.status):
            self.bodiless = True
        if message.get("trailers"):
            # Promised by an application that did not look at the extensions: they are lost, as HTTP lets them be.
            self._trailers_follow = "http.response.trailers" in self._offers
            self._trailers_dropped = not self._trailers_follow
        self._state = _BODY

    def _complete_body(self) -> None:
        if self._trailers_follow:
            self._state = _TRAILERS
            return
        self._state = _DONE
        self.finished = True
        self.signal()
        if self._waiters:
            self._tell_receive()

    async def _send_other(self, kind: str, message: Message) -> None:
        if kind in self._offers:
            if kind == "http.response.early_hint" and self._state in (_START, _BODY):
                # "At any time after the Response Start message", which is not passed on before there is a body; and
                # before it, where hypercorn, the one server that has the extension, takes it. Later it says nothing.
                if self._sent == 0:
                    self.parts.append(EarlyHint([bytes(link) for link in message.get("links", ())]))
                    self.signal()
                return
            if kind == "http.response.trailers" and self._state == _TRAILERS:
                self.trailers = [*self.trailers, *(message.get("headers") or ())]
                if not message.get("more_trailers", False):
                    self._trailers_follow = False
                    self._complete_body()
                return
            if kind == "http.response.pathsend" and self._state == _BODY and self._sent == 0:
                if not self.bodiless:
                    self.parts.append(FileBody(str(message["path"]), None, None, whole=True))
                self._complete_body()
                return
            if kind == "http.response.zerocopysend" and self._state == _BODY:
                await self._send_file(message)
                return
        elif kind == "http.response.trailers" and self._trailers_dropped and self._state == _DONE:
            self._trailers_dropped = message.get("more_trailers", False)
            return
        elif kind not in ("http.response.start", "http.response.body"):
            raise ApplicationError(
                f"an application sends the events of the ASGI HTTP specification and of the extensions in "
                f"scope['extensions'], got {kind!r}; look into scope['extensions'] before sending it"
            )
        raise ApplicationError(
            f"http.response.start comes first and once, then http.response.body, the last one without more_body; got "
            f"{kind!r} {_STATE_NAMES[self._state]} (ASGI HTTP)"
        )

    async def _send_file(self, message: Message) -> None:
        more = message.get("more_body", False)
        if not self.bodiless:
            file = SharedFile(message["file"], message.get("offset"), self._file_done)
            waiter = self._file_waiter = self._runner.loop.create_future()
            self.parts.append(FileBody(None, file, message.get("count"), whole=not more and self._sent == 0))
            self._sent += 1  # its bytes are not ours to count, but the next part is not the first
            self._taken += 1
            if more:
                self.signal()
            else:
                self._complete_body()
            # The file is the application's, which may move or close it when this returns.
            await waiter
        elif not more:
            self._complete_body()

    async def _drain(self) -> None:
        while self._sent - self._taken >= HIGH_BYTES:
            self._drained = self._runner.loop.create_future()
            # Read again: the WSGI thread looks for ``_drained`` after it has written ``_taken``.
            if self._sent - self._taken < HIGH_BYTES:
                break
            await self._drained
            if self.gone and self._taken < self._sent:  # what was taken was not refused
                raise ClientGone(errno.EPIPE, "the server has closed the response: the client is gone")
        self._drained = None

    def _resume(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _release_file(self) -> None:
        if self._file_waiter is not None and not self._file_waiter.done():
            self._file_waiter.set_result(None)

    def _let_go(self) -> None:
        self.gone = True
        for part in self.parts:
            if isinstance(part, FileBody) and part.file is not None:
                part.file.close()
        self.parts.clear()
        self._resume()
        self._release_file()
        self._tell_receive()

    # in the WSGI thread: the server's side

    def news(self) -> bool:
        """Tell whether there are parts to take, a piece to be read, or the end."""
        return bool(self.parts) or self.finished or self._want

    def pull(self) -> bool:
        """Wait until there are parts to take, or nothing more will come.

        Returns:
            Whether ``parts`` holds something. Otherwise the response is finished; ``error`` tells how.
        """
        while True:
            finished = self.finished  # read first: parts are written before it
            if self.parts:
                return True
            if finished:
                return False
            if self._want:
                self._want = False
                self._read()
                continue
            self._runner.wait(self)
            self.signalled = False

    def _read(self) -> None:
        body = self._body
        assert body is not None  # receive() asks only where there is one
        data = body.read()
        more = body.more
        self._runner.post(lambda: self._feed(data, more))

    def took(self, size: int) -> None:
        """Tell the application that bytes were taken, so that it may go on."""
        self._taken += size
        if self._drained is not None:
            self._runner.post(self._resume)

    def _file_done(self) -> None:
        self._runner.post(self._release_file)

    def abandon(self) -> None:
        """Tell the application that the server has let go of the response. Safe to call at any time."""
        self._runner.post(self._let_go)

    @property
    def read_error(self) -> Exception | None:
        """What reading the request body raised."""
        return None if self._body is None else self._body.error


def _is_of_client_gone(error: BaseException | None) -> bool:
    """Tell whether an error is, or was raised because of, the OSError that tells the client's absence."""
    while error is not None:
        if isinstance(error, ClientGone):
            return True
        error = error.__cause__ or error.__context__
    return False
