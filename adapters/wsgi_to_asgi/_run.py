"""One run of a WSGI application, on the worker's side, as PEP 3333 demands it of a server.

The worker calls the application and pushes its response into the `Outflow` that the run is. The loop takes the response
from there and sends it. A list needs no buffer, because it is handed over whole.

States, in this order:

- No headers.
- Headers set (`start_response` was called).
- Committed (at the first non-empty chunk, or the end): from here on the headers cannot change.
- Closed: no byte will follow.
- Finished: ``close()`` was called, and the worker is free.

The loop may call `abort` at any time: the worker stops at the next chunk, and still calls ``close()``.

(Above 400 lines: one state machine, which is read best on one page.)

Sources: PEP 3333 "The start_response() Callable", "Handling the Content-Length Header", "Buffering and Streaming",
"Error Handling"; RFC 9110 sections 6.4.1, 8.6.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from contextvars import Context
from types import GeneratorType, TracebackType
from typing import Any, NoReturn, TypeAlias
from wsgiref.types import WSGIApplication

from gateway._sign_off import SignedOff, signs_off
from gateway.adapters.hand_off._ports import Port
from gateway.adapters.wsgi_to_asgi._files import FileWrapper, file_message
from gateway.adapters.wsgi_to_asgi._outflow import Outflow
from gateway.client import ClientGone
from gateway.errors import ApplicationError
from gateway.protocols import Environ, Message
from gateway.translate.fields import asgi_response_headers
from gateway.translate.status import has_content, status_code

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
#: An entry on its way to the loop: a chunk, or a message such as the response start.
Entry: TypeAlias = bytes | Message

logger = logging.getLogger("gateway.adapters")


class Run(Outflow[Entry]):
    """One call of a WSGI application: made on the loop, run by a worker, its response taken by the loop."""

    # Defaults on the class; an instance sets an attribute when it changes.
    finished = False
    error: BaseException | None = None
    #: The response start and the body of a response that was handed over whole.
    whole: tuple[Message, bytes] | None = None
    #: The message of a file to send.
    file: Message | None = None
    #: True if the worker has gone without calling `close`, which must run as a second job after the file was sent.
    left = False
    #: Set by the loop: the last message was sent.
    end_sent = False
    _abandoned = False
    _closing: Callable[[], object] | None = None
    _declared = False  # whether the response has a Content-Length
    _streaming = False  # at least one entry was handed over

    def __init__(
        self,
        application: WSGIApplication,
        environ: Environ,
        context: Context,
        port: Port,
        *,
        extensions: Container[str],
        coalesce_bytes: int,
        high: int,
    ) -> None:
        """Prepare a run.

        Args:
            application: The WSGI application.
            environ: Its environ, with ``wsgi.input``.
            context: Context variables for the application, its iterator and ``close()``.
            port: The port of the loop that takes the response.
            extensions: Names of the ASGI server's extensions.
            coalesce_bytes: Maximum size up to which the chunks of a list are joined; 0 joins none.
            high: Maximum number of bytes in the buffer, except for one chunk.
        """
        super().__init__(port, high)
        self._application = application
        self._environ: Environ | None = environ
        self._head_only = environ["REQUEST_METHOD"] == "HEAD"
        self._context = context
        self._coalesce = coalesce_bytes
        self.extensions = extensions
        self.committed = False
        self._head: Message | None = None
        #: Bytes that may still be sent: 0 before the headers are committed and for responses without content,
        #: `sys.maxsize` without a Content-Length. A smaller chunk takes the fast path.
        self._rest = 0

    # ------------------------------------------------------------------------------------ the application's side

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take the status and headers; the ``start_response`` of PEP 3333."""
        if exc_info is not None:
            try:
                if self.committed and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # break the reference cycle: the traceback holds this frame
        elif self._head is not None:
            raise ApplicationError(
                f"start_response may be called only once without exc_info; got {status!r} after "
                f"{self._head['status']!r}. To replace headers that are not sent yet, pass exc_info (PEP 3333)"
            )
        code, fields = status_code(status), asgi_response_headers(headers)
        if code == 204:
            # RFC 9110 section 8.6 forbids it with 204. WSGI servers remove it; ASGI servers would send it.
            fields = [field for field in fields if field[0] != b"content-length"]
        self._head = {"type": "http.response.start", "status": code, "headers": fields}
        return self.write

    def write(self, data: bytes) -> None:
        """Send data before the iterable; the ``write`` callable of PEP 3333. The first call sends the headers.

        Raises:
            ClientGone: The client left before the response was complete.
        """
        if not self.committed and not data:
            self._put(self._commit(), 0)
        if not self._push(data) and self.gone and not self._closed:
            raise ClientGone("before the response was complete")

    def early_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send links before the response; the ``wsgi.early_hints`` of gunicorn."""
        links = [value.encode("latin-1") for name, value in headers if name.lower() == "link"]
        if links and not self.committed:
            self._streaming = True
            self._put({"type": "http.response.early_hint", "links": links}, 0)

    # ---------------------------------------------------------------------------------------------- without a worker

    def steps(self) -> Generator[None, None, None]:
        """Run the application in its context, step by step. After each step there may be entries to take.

        The buffer must be unbounded, because the loop takes nothing from it while a step runs.
        """
        steps = self._steps()
        try:
            while self._context.run(next, steps, False) is None:
                yield
        finally:
            self._context.run(steps.close)

    def _steps(self) -> Generator[None, None, None]:
        try:
            result = self._application(self._take_environ(), self.start_response)
            kind: type = type(result)
            if (kind is list or kind is tuple) and not self.committed:
                self._take_whole(result)  # type: ignore[arg-type]  # the type was just compared
                yield
                return
            try:
                if kind is FileWrapper and self._take_file(result):
                    yield
                    return
                for chunk in _chunks(result):
                    if not self._push(chunk):
                        break
                    yield
                self._end(wake=False)
                yield
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except Exception as error:
            self.error = error

    # ------------------------------------------------------------------------------------------ the worker's side

    def __call__(self) -> None:
        """Run the application; the worker's job. Never raises."""
        self._context.run(self._run)
        self._port.leave(self._done)

    def _run(self) -> None:
        environ = self._take_environ()
        try:
            result = self._application(environ, self.start_response)
            kind: type = type(result)
            if (kind is list or kind is tuple) and not self.committed:
                self._take_whole(result)  # type: ignore[arg-type]  # the type was just compared; neither has close()
            elif kind is FileWrapper and self._take_file(result):
                self._closing = result.close  # type: ignore[attr-defined]  # the type was just compared
            else:
                self._iterate(result)
        except BaseException as error:  # raised again by the loop's side
            taken_over = self._head is None and signs_off(environ, error)
            self.error = SignedOff(error) if taken_over else error
        finally:
            del environ  # break the reference cycle: the traceback of the error holds this frame

    def _take_environ(self) -> Environ:
        environ = self._environ
        assert environ is not None
        self._environ = None  # break the reference cycle: the environ holds the input, which holds this object
        return environ

    def _take_whole(self, chunks: Sequence[bytes]) -> None:
        if len(chunks) == 1 and type(chunks[0]) is bytes:  # the common case
            body = chunks[0]
        else:
            for chunk in chunks:
                if not isinstance(chunk, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]  # an application's value
                    _refuse_chunk(chunk)
            parts = [chunk for chunk in chunks if chunk]
            if len(parts) > 1 and (not self._coalesce or sum(map(len, parts)) > self._coalesce):
                for part in parts:
                    if not self._push(part):
                        break
                self._end(wake=False)
                return
            body = parts[0] if len(parts) == 1 else b"".join(parts)
        head = self._commit()
        if not self._rest and not self._declared:  # no content
            body = b""
        elif self._declared and self._rest != len(body):
            if len(body) < self._rest:
                self._refuse_short(self._rest - len(body))
            _warn_of_overrun(head)
            body = body[: self._rest]
        if self._streaming:  # an early hint was pushed before, so the order must be kept
            self._put(head, 0)
            self._put(body, len(body), last=True)
        else:
            self.whole = head, body

    def _take_file(self, wrapper: Iterable[bytes]) -> bool:
        assert isinstance(wrapper, FileWrapper)  # narrows the type
        if self._head is None or self.committed:
            return False
        length = _content_length(self._head)
        message = file_message(wrapper, length, self.extensions)
        if message is None or self._head_only or not has_content(self._head["status"]):
            return False
        self.file = message
        self._put(self._commit(), 0, last=True)
        return True

    def _iterate(self, result: Iterable[bytes]) -> None:
        append, high = self._entries.append, self._high
        try:
            for chunk in _chunks(result):
                if type(chunk) is not bytes or not 0 < (size := len(chunk)) < self._rest:
                    if self._push(chunk):
                        continue
                    break
                # The ordinary chunk. The lines below are `_put` inline, because they run for each of many chunks.
                if self.gone:
                    break
                self._rest -= size
                append(chunk)
                self._produced += size
                if not self._notified:
                    self._notify()
                if self._produced - self._released > high:
                    self._wait_for_room()
            if not self.gone:
                # A generator that has ended has nothing to do in close(), so the end of the job wakes the loop at once.
                # Another close() may take long, and the end of the response must not wait for it.
                self._end(wake=type(result) is not GeneratorType and hasattr(result, "close"))
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _push(self, chunk: bytes) -> bool:
        """Hand over any chunk, and sleep while the buffer is full. Returns whether the loop wants more."""
        if self.gone:
            return False
        if not isinstance(chunk, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]  # an application's value
            _refuse_chunk(chunk)
        size = len(chunk)
        if not size:
            return True
        if not self.committed:
            self._entries.append(self._commit())  # no wake-up: a chunk or the end follows at once
        rest = self._rest
        if size < rest:
            self._rest = rest - size
            return self._put(chunk, size)
        if size > rest and self._declared and self._head is not None:
            _warn_of_overrun(self._head)
        if not rest:
            return False
        # The Content-Length is reached, so the response is complete: send the end now, even if the application runs on.
        self._rest = 0
        return self._put(chunk[:rest], rest, last=True)

    def _end(self, *, wake: bool) -> None:
        if not self.committed:
            self._entries.append(self._commit())
        if self._declared and self._rest:
            self._refuse_short(self._rest)
        self._put_end(wake=wake)

    def _commit(self) -> Message:
        head = self._head
        if head is None:
            raise ApplicationError(
                "the application must call start_response before its first non-empty chunk, and did not; "
                "check that it is a WSGI application, and every path through it (PEP 3333)"
            )
        self.committed = True
        if not self._head_only and has_content(head["status"]):
            length = _content_length(head)
            self._declared = length is not None
            self._rest = sys.maxsize if length is None else length
        return head

    def _refuse_short(self, missing: int) -> NoReturn:
        raise ApplicationError(
            f"a body must be as long as its Content-Length, and it ended {missing} bytes too early; the connection "
            "is closed, so that the response does not look complete (PEP 3333, RFC 9110 section 8.6)"
        )

    def close(self) -> None:
        """Call the iterable's ``close()`` after its file was sent. This is the worker's second job. Never raises."""
        closing = self._closing
        assert closing is not None
        try:
            self._context.run(closing)
        except BaseException as error:
            self.error = error
        self._closing = None
        self._port.leave(self._done)

    # -------------------------------------------------------------------------------------------- the loop's side

    def _done(self) -> None:
        self._port.workers.pending -= 1
        self.left = self._closing is not None
        self.finished = not self.left
        if self.left and self._abandoned:
            self._port.submit(self.close, self.failed)
        self.progress.set()

    def failed(self, error: Exception) -> None:
        """Finish a run if no worker could begin it, or could call its ``close()``."""
        self.error = error
        self._closing = None
        self._done()

    def client_left(self) -> None:
        """Abort, unless the end was sent. After the end, the iterable may run to its own end."""
        if not self.end_sent:
            self.abort()

    def abandon(self) -> None:
        """Abort, and call ``close()`` without waiting for it, because the loop's task has gone."""
        self._abandoned = True
        self.abort()
        if self.left:
            self.left = False
            self._port.submit(self.close, self.failed)


def _content_length(head: Message) -> int | None:
    for name, value in head["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


def _chunks(result: Any) -> Iterator[bytes]:
    """Return the iterator of an application's result.

    Raises:
        ApplicationError: The result is not an iterable of bytes.
    """
    try:
        if not isinstance(result, (str, bytes)):
            return iter(result)
        error = None
    except TypeError as raised:
        error = raised
    raise ApplicationError(
        f"a WSGI application must return an iterable of bytes, got {result!r:.80}; "
        f"return a list such as [b'...'] (PEP 3333)"
    ) from error


def _refuse_chunk(chunk: object) -> NoReturn:
    raise ApplicationError(
        f"a response body must consist of bytes, got {type(chunk).__name__}: {chunk!r:.80}; encode it (PEP 3333)"
    )


def _warn_of_overrun(head: Message) -> None:
    logger.warning(
        "a body is longer than its Content-Length; the bytes beyond it were not sent (PEP 3333): status %s",
        head["status"],
    )
