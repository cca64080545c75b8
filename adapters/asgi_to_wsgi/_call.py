"""One call of an ASGI application on behalf of a WSGI server: the conversation between a loop and a WSGI thread.

Theory of operation. The application runs as a task on the loop. Its ``send()`` puts body bytes into a queue and wakes
the WSGI thread once. The thread takes all that the queue holds, so the number of wake-ups does not grow with the number
of messages. ``send()`` suspends only while ``HIGH_BYTES`` wait to be taken. Its ``receive()`` returns bytes that the
thread has read already. When those are used up, it requests more from the thread, because only that thread may touch
``wsgi.input``.

``_state`` holds the state of the response:

    START ──http.response.start──▶ BODY ──last body──▶ (TRAILERS ──last trailers──▶) DONE

``finished`` is True when nothing more will come for the server, after success or failure (``error``). The application
may run on after that: the service keeps its task, and its errors are logged. ``gone`` is True once the server has
closed the response: from then on ``send()`` raises OSError and ``receive()`` returns ``http.disconnect``. ``receive()``
also returns it if the connection is closed, or if the process ends soon (`_ending`), while ``send()`` still works.

The headers alone are no reason to wake the thread, because the body nearly always follows in the same step of the task.
If it does not, ``head_due`` wakes the thread after `HEAD_SECONDS`. Only a thread that waits turns this on
(``_watched``), so a response that is complete without a wait costs no timer.

Rules for changes. Only the loop writes the attributes of the first group below. Only the WSGI thread writes those of
the second group, except ``_want``, which the loop sets and the thread clears. Write the news first, then call
``signal()`` (see `_waiting`). Code on the loop must not block. Do not ``await`` between taking a message out and
returning it: an application may cancel ``receive()`` at any time and must not lose a message.

(Above 400 lines: one conversation, whose two threads keep to the same rules.)

Sources: ASGI HTTP 2.4 events, "Disconnected Client", extensions; PEP 3333.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, Protocol

from gateway.adapters._options import HEAD_SECONDS
from gateway.adapters.asgi_to_wsgi._ending import Ending
from gateway.adapters.asgi_to_wsgi._input import BodyReader
from gateway.adapters.asgi_to_wsgi._parts import EarlyHint, FilePart, Part, SharedFile, octets
from gateway.adapters.asgi_to_wsgi._waiting import Conversation, Runner, start_task
from gateway.client import ClientGone
from gateway.client.wsgi import asking, unknown
from gateway.errors import ApplicationError, GatewayError
from gateway.protocols import ASGIApplication, Message
from gateway.translate.fields import wsgi_response_headers
from gateway.translate.status import has_content

_log = logging.getLogger("gateway.adapters")

#: Number of bytes that may wait for the WSGI thread before ``send()`` suspends.
HIGH_BYTES = 128 * 1024
#: Seconds between two questions whether the client is gone, or the process ends, while ``receive()`` waits for it.
ASK_SECONDS = 0.5

_START, _BODY, _TRAILERS, _DONE = range(4)
_STATE_NAMES = (
    "before http.response.start",
    "before the body was complete",
    "before the trailers",
    "after the response was complete",
)


class Tasks(Protocol):
    """Keeps the tasks of the applications until they end, and ends them at shutdown."""

    tasks: set[asyncio.Task[None]]
    ending: Ending


class AsgiCall(Conversation):
    """Run one HTTP request through an ASGI application.

    Args:
        app: The application.
        scope: The request.
        body: The request body, None if the request has no body.
        runner: The loop.
        tasks: Keeps the task while it runs.
        context: The WSGI caller's context variables; the task runs in it.
        offers: Names of the extensions in the scope that this package added.
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
    head_due = False  # the headers have waited long enough; the WSGI thread clears it
    _head_watched = False
    _head_released = False
    _waiters: set[asyncio.Future[None]] | None = None
    _demanded = False
    _delivered = False  # the application has received its last http.request
    _disconnected = False
    _asked: Callable[[], bool | None] | None = None
    _chunks: deque[bytes] | None = None
    _more = False
    # Written in the WSGI thread.
    _taken = 0
    _want = False
    _watched = False  # the thread waits for the headers

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        body: BodyReader | None,
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
        self.parts: deque[Part] = deque()  # popped in the WSGI thread; both ends of a deque are safe to use at once
        if body is not None:
            self._chunks = deque((body.first,)) if body.first else deque()
            self._more = body.more
            self._disconnected = not body.more and not body.first

    # On the loop: methods for the application.

    def begin(self) -> None:
        """Start the application's task."""
        task = start_task(self._runner.loop, self._run(), self._context)
        if not task.done():
            self._tasks.tasks.add(task)
            task.add_done_callback(self._task_ended)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as error:  # SystemExit from a task would end the loop, and every request with it
            self._failed(error)
        else:
            if self._disconnected and not self.finished:
                self._failed(ClientGone("before the response was complete"))
            elif not self.finished:
                self._failed(
                    ApplicationError(
                        "an application must complete its response before it returns; it returned "
                        f"{_STATE_NAMES[self._state]}; send http.response.start and a last http.response.body "
                        "(ASGI HTTP)"
                    )
                )

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.tasks.discard(task)
        if not self.finished:  # cancelled before its first step
            self._failed(asyncio.CancelledError())

    def _failed(self, error: BaseException) -> None:
        if self.finished or self.gone:
            # A read error of this package means that an outer middleware refused the body and has responded itself.
            refused = isinstance(self.read_error, GatewayError)
            if refused or isinstance(error, asyncio.CancelledError) or _is_of_client_gone(error):
                _log.debug("an ASGI application stopped after its response had ended: %r", error)
            else:
                _log.error("an ASGI application failed after its response had ended", exc_info=error)
            self.finished = True
            return
        if isinstance(error, asyncio.CancelledError):
            cancelled = ApplicationError(
                f"the application's task was cancelled {_STATE_NAMES[self._state]}; an application must "
                "complete its response"
            )
            cancelled.__cause__ = error
            error = cancelled
        elif isinstance(error, GeneratorExit):  # the loop is ending and closes its coroutines
            error = ApplicationError("the event loop stopped before the application had completed its response")
        self.error = error
        self.finished = True
        self.signal()

    def end(self, error: BaseException) -> None:
        """Give the WSGI thread an error instead of a response, while the application runs on. Loop thread only.

        Does nothing if the conversation has ended.
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
            if self._delivered:
                self._look()

    def _look(self) -> None:
        """Look whether the client is gone, or the process ends soon."""
        ending = self._tasks.ending
        if (self._asked is not None and self._asked()) or ending.is_near():
            self._disconnected = True
        elif ending.wakes:
            self.signal()

    async def _event(self) -> None:
        """Wait until something changes for ``receive()``: a piece arrived, the response ended, the client left.

        While the application has nothing more to receive, the server and its connection are asked from time to time.
        """
        loop = self._runner.loop
        waiter: asyncio.Future[None] = loop.create_future()
        if self._waiters is None:
            self._waiters = set()
        self._waiters.add(waiter)
        again: asyncio.TimerHandle | None = None
        if self._delivered:
            if self._asked is None:
                self._asked = asking(self._scope["gateway.environ"])
            if self._asked is not unknown or self._tasks.ending.may_come:
                again = loop.call_later(ASK_SECONDS, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if again is not None:
                again.cancel()

    def _tell_receive(self) -> None:
        if self._waiters:
            for waiter in tuple(self._waiters):
                _wake(waiter)

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
            raise ClientGone("before the response was complete")
        if kind == "http.response.body" and self._state == _BODY:
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = octets(body)
            more = message.get("more_body", False)
            if body and not self.bodiless:
                self.parts.append(body)
                self._sent += len(body)
                if more and not self.signalled:  # the last chunk needs no signal of its own: `_complete_body` sends it
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
                f"the status of http.response.start must be an integer from 200 to 999, got {status!r}; check "
                "the code that sends it (ASGI HTTP 'Response Start')"
            )
        self.status = int(status)
        # Translated here, so that the ``send()`` with a wrong header raises.
        self.headers = wsgi_response_headers(message.get("headers") or ())
        if not self.bodiless and not has_content(self.status):
            self.bodiless = True
        if message.get("trailers"):
            # An application that ignores the extensions may promise trailers. HTTP allows to drop them.
            self._trailers_follow = "http.response.trailers" in self._offers
            self._trailers_dropped = not self._trailers_follow
        self._state = _BODY
        if self._watched:  # read after `_state` is written, see `pull_head`
            self._runner.loop.call_soon(self._watch_head)

    def _watch_head(self) -> None:
        """Wake the WSGI thread for the headers alone, unless the body follows soon."""
        if self._has_only_head() and not self._head_watched:
            self._head_watched = True
            self._runner.loop.call_later(HEAD_SECONDS, self._release_head)

    def _release_head(self) -> None:
        if self._has_only_head():
            self._head_released = self.head_due = True
            self.signal()

    def _has_only_head(self) -> bool:
        return self._state == _BODY and not self._sent and not self.finished and not self.gone

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
                # The specification allows hints "at any time after the Response Start message", which waits here for
                # the body. hypercorn, the only server with this extension, takes them before it too. Later hints are
                # useless, so they are ignored.
                if self._sent == 0 and not self._head_released:
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
                    self.parts.append(FilePart(str(message["path"]), None, None, whole=True))
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
                "an application may only send messages of ASGI HTTP and of the extensions in "
                f"scope['extensions'], got {kind!r}; check scope['extensions'] before sending it"
            )
        raise ApplicationError(
            "an application must send http.response.start once, then http.response.body, and the last one "
            f"without more_body; got {kind!r} {_STATE_NAMES[self._state]} (ASGI HTTP)"
        )

    async def _send_file(self, message: Message) -> None:
        more = message.get("more_body", False)
        if not self.bodiless:
            file = SharedFile(message["file"], message.get("offset"), self._file_done)
            waiter = self._file_waiter = self._runner.loop.create_future()
            self.parts.append(FilePart(None, file, message.get("count"), whole=not more and self._sent == 0))
            self._sent += 1  # the server counts the file's bytes, but the next part is not the first one any more
            self._taken += 1
            if more:
                self.signal()
            else:
                self._complete_body()
            # The file belongs to the application, which may move or close it when this returns.
            await waiter
        elif not more:
            self._complete_body()

    async def _drain(self) -> None:
        while self._sent - self._taken >= HIGH_BYTES:
            self._drained = self._runner.loop.create_future()
            # Check again, because the WSGI thread reads ``_drained`` after it has written ``_taken``.
            if self._sent - self._taken < HIGH_BYTES:
                break
            await self._drained
            if self.gone and self._taken < self._sent:  # if everything was taken before the client left, do not raise
                raise ClientGone("before the response was complete")
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
            if isinstance(part, FilePart) and part.file is not None:
                part.file.close()
        self.parts.clear()
        self._resume()
        self._release_file()
        self._tell_receive()

    # In the WSGI thread: methods for the server.

    def news(self) -> bool:
        """Tell whether there are parts to take, headers to send, a piece to be read, or the end."""
        return bool(self.parts) or self.finished or self.head_due or self._want

    def pull_head(self) -> bool:
        """Wait as `pull` does, or until ``head_due``: then return False too."""
        if not self.parts and not self.finished and not self._watched:
            # Written before `_state` is read: either this thread or `_start` sees what the other has written.
            self._watched = True
            if self._state == _BODY:
                self._runner.post(self._watch_head)
        return self.pull()

    def pull(self) -> bool:
        """Wait until there are parts to take, or nothing more will come.

        Returns:
            True if ``parts`` holds something. False if the response is finished; ``error`` is then its error or None.
        """
        while True:
            finished = self.finished  # read before `parts`, because the loop writes `parts` first
            if self.parts:
                return True
            if finished or self.head_due:
                return False
            if self._want:
                self._want = False
                self._read()
                continue
            self._runner.wait(self)
            self.signalled = False  # cleared before `parts` is read again, see `_waiting`

    def _read(self) -> None:
        body = self._body
        assert body is not None  # receive() sets `_want` only if there is a body
        data = body.read()
        more = body.more
        self._runner.post(lambda: self._feed(data, more))

    def took(self, size: int) -> None:
        """Count bytes as taken, and resume a ``send()`` that waits for it."""
        self._taken += size
        if self._drained is not None:
            self._runner.post(self._resume)

    def _file_done(self) -> None:
        self._runner.post(self._release_file)

    def abandon(self) -> None:
        """Tell the application that the server has closed the response. Safe to call at any time."""
        self._runner.post(self._let_go)

    @property
    def read_error(self) -> Exception | None:
        """The error that reading the request body raised, or None."""
        return None if self._body is None else self._body.error


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _is_of_client_gone(error: BaseException | None) -> bool:
    """Tell whether an error is a `ClientGone`, or was raised because of one."""
    while error is not None:
        if isinstance(error, ClientGone):
            return True
        error = error.__cause__ or error.__context__
    return False
