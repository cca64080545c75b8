"""The warning about an option that has no effect."""

from __future__ import annotations

import warnings

from gateway.compat import CompatWarning

__all__ = ["warn_ignored"]


def warn_ignored(option: str, reason: str) -> None:
    """Warn about an option, at the line that calls the constructor that calls this function.

    Args:
        option: The option as the user wrote it: ``WSGIMiddleware(send_queue_size=20)``.
        reason: Sentence that says why it has no effect, and what to use instead.
    """
    warnings.warn(f"{option} has no effect: {reason}", CompatWarning, stacklevel=3)
