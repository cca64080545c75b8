"""How an exchange ended, decided by one rule for every driver.

A cancellation, a ``GeneratorExit``, a ``SystemExit`` and a client that went away are *aborted*. Another exception and
an application that did not finish are *failed*. Everything else is *completed*.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import ApplicationError
from gateway.exchange import Outcome

__all__ = ["judge"]

#: Made bare and filled here: a call of the class costs as much as a hook.
_new: Callable[[type[Outcome]], Outcome] = Outcome.__new__


def judge(
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
    outcome = _new(Outcome)
    if error is not None:
        outcome.kind = "aborted" if disconnected or not isinstance(error, Exception) else "failed"
    elif disconnected:
        # Even if everything was handed over: servers accept messages for a client that is gone.
        outcome.kind = "aborted"
    elif completed:
        outcome.kind = "completed"
    else:
        outcome.kind = "failed"
        error = ApplicationError("the application returned before its response was complete")
    outcome.status = status
    outcome.bytes_sent = bytes_sent
    outcome.bytes_received = bytes_received
    outcome.first_byte_at = first_byte_at
    outcome.duration = duration
    outcome.error = error
    outcome.disconnected = disconnected
    outcome.websocket_close_code = None
    return outcome
