"""The loop's side of one request of a WSGI application: it sends the response and handles every early end.

In every case the worker ends and calls the iterable's ``close()``. If the client leaves, the request ends
quietly. An error of the application or of the server is raised to the server. An incomplete body never looks complete.

Source: ASGI HTTP 2.4 "Response Start", "Response Body", "Disconnected Client".
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import cast

from gateway.adapters.hand_off._ports import Port, Spawn
from gateway.adapters.wsgi_to_asgi._input import StreamedInput
from gateway.adapters.wsgi_to_asgi._receiver import Receiver
from gateway.adapters.wsgi_to_asgi._run import Run
from gateway.client import ClientGone
from gateway.client.asgi import client_of
from gateway.errors import ApplicationError
from gateway.protocols import ASGIReceive, ASGISend, Message

#: Exceptions that have another meaning when a coroutine raises them, so they cannot be passed on as they are.
_NOT_FOR_COROUTINES = (GeneratorExit, StopIteration, asyncio.CancelledError, concurrent.futures.CancelledError)

#: Maximum number of seconds that a worker waits until the loop has looked for its client.
_LOOK_SECONDS = 1.0


class RequestCycle:
    """One request between its `Run` and the server."""

    __slots__ = (
        "_body_complete", "_expects", "_high", "_join_bytes", "_lock", "_over", "_port", "_receive", "_receiver",
        "_run", "_send", "_spawn",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        port: Port,
        spawn: Spawn,
        receive: ASGIReceive,
        send: ASGISend,
        *,
        body_complete: bool,
        expects: bool,
        join_bytes: int,
        high: int,
    ) -> None:
        """Prepare an exchange.

        Args:
            run: The application's run, not begun.
            port: The port of the running loop.
            spawn: Starts background tasks of this request.
            receive: The server's.
            send: The server's.
            body_complete: Whether the request body was read already.
            expects: Whether the client waits for a 100 response before it sends its body.
            join_bytes: Maximum size of a message that joins waiting chunks; 0 joins none.
            high: Maximum number of bytes of the request body in the buffer.
        """
        self._run = run
        self._port = port
        self._spawn = spawn
        self._receive = receive
        self._send = send
        self._body_complete = body_complete
        self._expects = expects
        self._join_bytes = join_bytes
        self._high = high
        self._lock = threading.Lock()
        self._over = False
        self._receiver: Receiver | None = None

    # ------------------------------------------------------------------------------------------- the request body

    def unread_input(self) -> StreamedInput:
        """Return a ``wsgi.input`` that requests the body from the server when it is first read."""
        return StreamedInput(self._reader().inbox)

    def streamed_input(self, begun: list[bytes]) -> StreamedInput:
        """Return a ``wsgi.input`` that begins with the parts received so far and reads on while the worker runs."""
        receiver = self._reader()
        for part in begun:
            receiver.inbox.feed(part)
        receiver.start()
        return StreamedInput(receiver.inbox)

    def _reader(self) -> Receiver:
        """Return the only reader of this request. The first call makes it, in the worker or on the loop."""
        with self._lock:
            receiver = self._receiver
            if receiver is None:
                receiver = self._receiver = Receiver(
                    client_of(self._receive),
                    self._receive,
                    self._port,
                    self._spawn,
                    self._run.client_left,
                    complete=self._body_complete,
                    high=self._high,
                    low=self._high // 2,
                )
                if self._over:
                    receiver.stop()
            return receiver

    def disconnected(self) -> bool | None:
        """Return whether the client is gone; the value of ``gateway.disconnected``. Not in the loop's thread.

        The first call of a request waits until the loop has looked. None: nothing tells it. The client expects a 100
        response and has not been asked for its body, or the server sends no disconnects.
        """
        receiver = self._receiver
        if receiver is None:
            if self._expects:
                return None
            receiver = self._reader()
        if not receiver.looked:
            looked = threading.Lock()
            looked.acquire()
            self._port.post(lambda: self._look(receiver, looked))
            looked.acquire(timeout=_LOOK_SECONDS)
        return self._run.gone or (None if receiver.is_blind else False)

    def _look(self, receiver: Receiver, looked: threading.Lock) -> None:
        if self._over:
            looked.release()
        else:
            self._spawn(lambda: receiver.look(looked.release))

    # ----------------------------------------------------------------------------------------------- the response

    async def serve(self) -> None:
        """Run the application in a worker and send its response.

        Raises:
            ApplicationError: The application broke PEP 3333.
            BaseException: The error of the application, of ``send`` or of ``receive``.
        """
        run = self._run
        try:
            self._port.submit(run, run.failed)
            await run.progress
            whole = run.whole
            if whole is None:
                await self._stream()
            elif not run.gone:
                await self._send(whole[0])
                await self._send({"type": "http.response.body", "body": whole[1], "more_body": False})
        except Exception:
            run.abort()
            await self._finish()
            raise
        except BaseException:  # cancelled: abort the run, and do not wait for the worker
            run.abandon()
            raise
        finally:
            self._end()
        if run.error is not None or self._receiver is not None:
            self._raise()

    async def serve_inline(self) -> None:
        """Run the application on the loop and send its response. Raises the same errors as `serve`."""
        run = self._run
        steps = run.steps()
        try:
            for _ in steps:
                await self._send_taken()
            whole = run.whole
            if whole is not None:
                await self._send(whole[0])
                await self._send({"type": "http.response.body", "body": whole[1], "more_body": False})
        finally:
            steps.close()
            self._end()
        if run.error is not None:
            self._raise()

    async def _stream(self) -> None:
        run = self._run
        while True:
            if await self._send_taken():
                continue
            if run.left:  # the worker left a file, which has been sent by now
                await self._finish()
            if run.finished:
                return
            if not run.ended and not run.gone:
                self._reader().watch()
            await run.progress

    async def _send_taken(self) -> bool:
        """Send everything that was pushed; tell whether there was anything to send."""
        run, send = self._run, self._send
        entries = run.take()
        if run.gone or not (entries or (run.ended and not run.end_sent)):
            return False
        first = 0
        while first < len(entries) and not isinstance(entries[first], bytes):  # early hints and the response start
            await send(cast(Message, entries[first]))
            first += 1
        parts = cast("list[bytes]", entries[first:])  # after the response start, all entries are chunks
        total = sum(map(len, parts))
        if total > self._join_bytes:
            parts, total = await self._send_all_but_the_last(parts)
        if run.file is not None:
            await send(run.file)
            run.file = None
            run.end_sent = True
        elif run.ended:
            run.end_sent = True
            await self._send_body(parts, total, more_body=False)
        elif parts:
            await self._send_body(parts, total, more_body=True)
        return True

    async def _send_all_but_the_last(self, chunks: list[bytes]) -> tuple[list[bytes], int]:
        """Send chunks in messages of up to ``join_bytes``, or one each; return the parts of the last message."""
        parts: list[bytes] = []
        size = 0
        for chunk in chunks:
            if parts and size + len(chunk) > self._join_bytes:
                await self._send_body(parts, size, more_body=True)
                parts, size = [], 0
            parts.append(chunk)
            size += len(chunk)
        return parts, size

    async def _send_body(self, parts: list[bytes], size: int, *, more_body: bool) -> None:
        if self._run.gone:
            return
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})
        self._run.release(size)

    async def _finish(self) -> None:
        """Wait until the iterable's ``close()`` has run."""
        run = self._run
        while not run.finished:
            if run.left:
                run.left = False
                self._port.submit(run.close, run.failed)
            await run.progress

    def _end(self) -> None:
        with self._lock:
            self._over = True
            receiver = self._receiver
        if receiver is not None:
            receiver.stop()

    def _raise(self) -> None:
        run, receiver = self._run, self._receiver
        error = run.error
        run.error = None  # break the reference cycle: the traceback holds frames that hold the run
        try:
            if receiver is not None and receiver.error is not None:
                raise receiver.error
            if error is None or (run.gone and isinstance(error, ClientGone)):
                return
            if isinstance(error, _NOT_FOR_COROUTINES):
                raise ApplicationError(
                    f"the application must not let {type(error).__name__} escape, because it cannot be re-raised "
                    "in a coroutine; catch it in the application"
                ) from error
            raise error
        finally:
            del error
