"""How an exchange ended, decided by one rule for every driver.

A cancellation, a ``GeneratorExit``, a ``SystemExit`` and a client that went away are *aborted*; another exception
and an application that did not finish are *failed*; an application that took the connection from a WSGI server is
*upgraded*; all else is *completed*.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import ApplicationError
from gateway.exchange import Outcome

__all__ = ["judge", "refused"]


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
    upgraded: bool = False,
) -> Outcome:
    """Return the outcome of an exchange."""
    if upgraded:
        # The application has sent the 101 itself. The signal by which it left the server is not an error.
        return Outcome("upgraded", 101, bytes_received=bytes_received, duration=duration)
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


def refused(error: BaseException, send: Callable[..., object], awaited: object) -> BaseException | None:
    """Return the exception that came out of the server's ``send``, if one did: what was sent then was not taken.

    The specialised driver hands the server's awaitable back untouched, so it looks afterwards: at the exception that
    came, and at what it was raised for, as applications put their own in the place of the server's.

    Args:
        error: What the application raised.
        send: The server's.
        awaited: What ``send`` returned for the head; a coroutine's code is what is looked for in tracebacks, also where
            ``send`` is a plain function that hands on another's.
    """
    codes = {getattr(awaited, "cr_code", None), getattr(getattr(send, "__func__", send), "__code__", None)} - {None}
    looked: set[int] = set()
    raised: BaseException | None = error
    while raised is not None and id(raised) not in looked:
        looked.add(id(raised))
        trace = raised.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code in codes:
                return raised
            trace = trace.tb_next
        # A `send` that is no coroutine function leaves no frame: a class of the server's own is all there is to see.
        if not codes and isinstance(raised, OSError) and type(raised).__module__ != "builtins":
            return raised
        raised = raised.__cause__ or raised.__context__
    return None
