"""Faults of a client: where and how it misbehaves in one request.

A fault defines *where* the client leaves and *how* the application learns of it. It also defines how the request body
is cut, and how fast the client reads the response. It holds no state; `_asgi_call` and `_wsgi_exchange` apply it.

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
    """Raised by an application's ``send()``, ``write()`` or ``wsgi.input`` after the test's client has left.

    It is an OSError, as ASGI HTTP 2.4 demands. If it comes out of the application, it is not an application error.
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
    """A fault in one request: its kind and its place.

    Args:
        disconnect: Point at which the client leaves. ``before_headers``: after the request, before the response begins.
            ``mid_request``: after ``at`` bytes of the request body. ``after_bytes``: after ``at`` bytes of the response
            body; this cuts the chunk. ``after_chunks``: after ``at`` non-empty chunks of the response body.
        at: The place, in the unit of ``disconnect``.
        how: Signal to the application. ``event``: ``receive()`` returns ``http.disconnect`` and ``send()`` does nothing
            (servers before ASGI HTTP 2.4). ``oserror``: ``send()`` raises `ClientDisconnected`. ``both``: either,
            whichever the application calls first (servers since 2.4). For WSGI, reads and ``write()`` raise with
            ``oserror`` and ``both``. With ``event``, the input ends early and ``write()`` does nothing. The iterable is
            closed in each case.
        request_chunks: Sizes that the request body is cut into (the rest is one last chunk), or a `random.Random`.
        request_delay: Seconds before each chunk of the request body.
        reader: Speed of the client: ``"slow"`` (1 KiB a second), `BytesPerSecond` or `Stop`.
        lifespan: Fault of the application's lifespan, to test the code that drives it. ``no``: raises at once, as an
            application without lifespan. ``raise``: raises after the startup event. ``fail``: sends
            ``lifespan.startup.failed``. ``hang``: never responds. Only for a client, not for a request.
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
            raise ConfigurationError(f"Fault(request_chunks=...) must be a list of sizes of at least 0, got {sizes!r}")

    @property
    def tells_by_event(self) -> bool:
        """Whether ``receive()`` reports that the client left."""
        return self.how != "oserror"

    @property
    def tells_by_error(self) -> bool:
        """Whether ``send()`` and ``write()`` raise after the client left."""
        return self.how != "event"

    @property
    def cuts_body_at(self) -> int | None:
        """Number of bytes of the response body after which the client stops reading, or None."""
        if self.disconnect == "after_bytes":
            return self.at
        return self.reader.after if isinstance(self.reader, Stop) else None

    @property
    def rate(self) -> float | None:
        """Bytes per second that the client reads, or None for no limit."""
        if self.reader == "slow":
            return 1024.0
        return self.reader.rate if isinstance(self.reader, BytesPerSecond) else None


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise ConfigurationError(f"Fault({name}=...) must be one of {', '.join(allowed)}; got {value!r}")
