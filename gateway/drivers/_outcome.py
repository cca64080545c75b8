"""How an exchange ended, decided by one rule for every driver.

A cancellation, a ``GeneratorExit``, a ``SystemExit`` and a client that went away are *aborted*; another exception
and an application that did not finish are *failed*; all else is *completed*.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import ApplicationError
from gateway.exchange import Outcome

__all__ = ["judge", "raised_in"]


def judge(
    *,
    completed: bool,
    error: BaseException | None,
    disconnected: bool,
    status: int | None,
    bytes_sent: int,
    bytes_received: int,
    first_byte_at: float | None,
    duration: float,
) -> Outcome:
    """Return the outcome of an exchange."""
    if error is not None:
        kind = "aborted" if disconnected or not isinstance(error, Exception) else "failed"
    elif disconnected:
        # Also where everything was handed over: a server takes what an application sends to a client that is gone.
        kind = "aborted"
    elif completed:
        kind = "completed"
    else:
        kind = "failed"
        error = ApplicationError("the application returned before its response was complete")
    return Outcome(
        "aborted" if kind == "aborted" else "failed" if kind == "failed" else "completed",
        status,
        bytes_sent,
        bytes_received,
        first_byte_at,
        duration,
        error,
        disconnected,
    )


def raised_in(send: Callable[..., object], error: BaseException) -> bool:
    """Return whether an ``OSError`` came out of the server's ``send``, which says that the client went away.

    The specialised driver hands the server's awaitable back untouched, so it looks afterwards: the traceback passes the
    code of ``send``, or the class is the server's own.
    """
    if not isinstance(error, OSError):
        return False
    if isinstance(error, ConnectionError) or type(error).__module__ != "builtins":
        return True
    function = getattr(send, "__func__", send)
    code = getattr(function, "__code__", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is code:
            return True
        trace = trace.tb_next
    return False
