"""The exceptions of an application under test: each of them reaches the test.

An application may raise several in one request: while it iterates, and again in ``close()``. The test gets the first,
and each other one as a note with its traceback. Some exceptions cannot be raised to the caller, so the package logs
them: those of ``on_finish``, of ``on_stop``, of an application that ended its response before, of a lifespan between
startup and shutdown. A filter of this module takes them from the log, for the request or the client that they belong
to.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from typing import cast

from gateway.errors import ApplicationError
from gateway.testing._record import CURRENT
from gateway.testing.faults import ClientDisconnected

__all__ = ["CLOSING", "OUTSIDE", "add_note", "is_echo", "of_own_cancellation", "together", "watch_the_log"]

#: Failures outside of any request, of the client whose lifespan this task runs.
OUTSIDE: ContextVar[list[BaseException] | None] = ContextVar("gateway.testing.outside", default=None)

#: When an exception was raised, for `add_note`.
CLOSING = "while the client closed"

_LOGGERS = ("gateway.drivers", "gateway.adapters", "gateway.lifespan")


def add_note(error: BaseException, other: BaseException, when: str) -> None:
    """Add another exception of the application to an error, as a note with its traceback."""
    if other is not error:
        if other.__context__ is error:
            other.__context__ = None  # the test shows it already
        lines = "".join(traceback.format_exception(other)).rstrip()
        error.add_note(f"The application also raised {when}:\n{lines}")


def together(errors: Sequence[BaseException]) -> BaseException | None:
    """Return the first of these exceptions, with the others as notes; None if there is none."""
    if not errors:
        return None
    first, *others = errors
    for other in others:
        add_note(first, other, "after that")
    return first


def is_echo(error: BaseException) -> bool:
    """Whether an exception only returns the client's departure: it is, or wraps, our own OSError.

    "errors raised by send() should be swallowed by the server" (ASGI, "Error Handling"). A framework may raise its own
    exception instead, also without ``from``. An exception of Python's own, such as a `KeyError`, that only follows ours
    is a fault in the application's cleanup.
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, ClientDisconnected):
            return True
        if isinstance(one, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", one)  # isinstance leaves the parameter open
            return all(map(is_echo, group.exceptions))
        if one.__cause__ is None and type(one).__module__ == "builtins" and not isinstance(one, OSError):
            return False
        one = one.__cause__ or one.__context__
    return False


def of_own_cancellation(error: BaseException) -> ApplicationError | None:
    """Return the error of an application that raised CancelledError although its task was not cancelled."""
    task = asyncio.current_task() if isinstance(error, asyncio.CancelledError) else None
    if task is None or task.cancelling():
        return None
    own = ApplicationError(
        "the application raised asyncio.CancelledError, and its task was not cancelled: it awaits a task that was"
    )
    own.__cause__ = error
    return own


def _take(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info and record.levelno >= logging.ERROR else None
    if error is not None:
        request = CURRENT.get()
        failures = OUTSIDE.get() if request is None else request.failures if request.late is None else request.late
        if failures is not None and error not in failures:
            failures.append(error)
    return True


def watch_the_log() -> None:
    """Take exceptions from the package's own log from now on. A second call does nothing.

    A filter, not a handler: Python prints errors to standard error only while a logger has no handler.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_take)
