"""Where and how a client misbehaves: the faults that a test places into one exchange.

A fault says *where* the client leaves, *how* the application is told, how the request body is cut and how fast the
response is read. It holds no state of an exchange; the exchanges (`_asgi_exchange`, `_wsgi_exchange`) act it out.

Sources: ASGI HTTP 2.5 "Disconnect Receive Event", "Response Body Send Event"; PEP 3333 "Specification Details" (close).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from gateway.errors import ConfigurationError

__all__ = ["BytesPerSecond", "ClientDisconnected", "Fault", "Stop"]

Disconnect: TypeAlias = Literal["before_headers", "mid_request", "after_bytes", "after_chunks"]
How: TypeAlias = Literal["event", "oserror", "both"]
LifespanFault: TypeAlias = Literal["no", "raise", "fail", "hang"]

_DISCONNECTS = ("before_headers", "mid_request", "after_bytes", "after_chunks")
_HOWS = ("event", "oserror", "both")
_LIFESPANS = ("no", "raise", "fail", "hang")


class ClientDisconnected(ConnectionResetError):
    """What an application's ``send()``, ``write()`` or ``wsgi.input`` raises when the test's client has left.

    It is an OSError, as ASGI HTTP 2.4 asks for. Coming out of the application again it is no error of the application.
    """

    def __init__(self) -> None:
        super().__init__("the client has disconnected (injected by gateway.testing)")


@dataclass(frozen=True)
class BytesPerSecond:
    """A slow reader: the client takes the response body at this rate, so ``send()`` waits."""

    rate: float

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ConfigurationError(f"BytesPerSecond(rate) must be above 0, got {self.rate!r}")


@dataclass(frozen=True)
class Stop:
    """A stopped reader: the client takes ``after`` bytes, reads nothing for ``seconds``, then leaves."""

    after: int
    seconds: float = 0.1

    def __post_init__(self) -> None:
        if self.after < 0 or self.seconds < 0:
            raise ConfigurationError(f"Stop(after, seconds) must not be negative, got {self!r}")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong in one exchange, and where.

    Args:
        disconnect: Where the client leaves. ``before_headers``: the request is delivered, the response has not begun.
            ``mid_request``: after ``at`` bytes of the request body. ``after_bytes``: after ``at`` bytes of the response
            body, the chunk that passes it is cut there. ``after_chunks``: after ``at`` non-empty chunks of it.
        at: The place, in the unit of ``disconnect``.
        how: How the application is told. ``event``: ``receive()`` says ``http.disconnect`` and ``send()`` does nothing
            (servers before ASGI HTTP 2.4). ``oserror``: ``send()`` raises `ClientDisconnected`. ``both``: either,
            whichever the application asks first (servers since 2.4). A WSGI application has no event: reading raises
            with ``oserror`` and ``both`` and ends early with ``event``; ``write()`` likewise; an iterable is closed.
        request_chunks: How the request body is cut: sizes (what is left is one last chunk), or a `random.Random`.
        request_delay: Seconds before each chunk of the request body.
        reader: How the client reads: ``"slow"`` (1 KiB in a second), `BytesPerSecond` or `Stop`.
        lifespan: What the application's lifespan does, for testing whoever drives it: ``no`` (raises at once, as one
            that knows no lifespan), ``raise`` (after the startup event), ``fail`` (``lifespan.startup.failed``),
            ``hang`` (never answers). Given to a client, not to a request.
    """

    disconnect: Disconnect | None = None
    at: int = 0
    how: How = "both"
    request_chunks: Sequence[int] | Random | None = None
    request_delay: float = 0.0
    reader: Literal["slow"] | BytesPerSecond | Stop | None = None
    lifespan: LifespanFault | None = None

    def __post_init__(self) -> None:
        _one_of("disconnect", self.disconnect, _DISCONNECTS)
        _one_of("how", self.how, _HOWS)
        _one_of("lifespan", self.lifespan, _LIFESPANS)
        if self.at < 0 or self.request_delay < 0:
            raise ConfigurationError(f"Fault(at, request_delay) must not be negative, got {self!r}")
        sizes = self.request_chunks
        if sizes is not None and not isinstance(sizes, Random) and any(size < 0 for size in sizes):
            raise ConfigurationError(f"Fault(request_chunks) must be sizes of 0 and more, got {sizes!r}")

    @property
    def tells_by_event(self) -> bool:
        """Whether ``receive()`` says that the client left."""
        return self.how != "oserror"

    @property
    def tells_by_error(self) -> bool:
        """Whether ``send()`` and ``write()`` say that the client left."""
        return self.how != "event"

    @property
    def cuts_body_at(self) -> int | None:
        """After how many bytes of the response body the client stops reading, if it does."""
        if self.disconnect == "after_bytes":
            return self.at
        return self.reader.after if isinstance(self.reader, Stop) else None

    @property
    def rate(self) -> float | None:
        """Bytes in a second that the client reads, or None: at once."""
        if self.reader == "slow":
            return 1024.0
        return self.reader.rate if isinstance(self.reader, BytesPerSecond) else None


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise ConfigurationError(f"Fault({name}=...) must be one of {', '.join(allowed)}; got {value!r}")
