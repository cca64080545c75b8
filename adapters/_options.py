"""The options of the adapters that a ``Gateway`` builds, and which adapter each of them is for.

``Gateway(app, threads=100)`` takes the most common option directly, and ``adapter=AdapterOptions(...)`` the rest. The
defaults equal those of the adapters; a test compares them. The adapters check their options here too, and
this module imports no adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from gateway.errors import ConfigurationError
from gateway.lifespan import LifespanMode

__all__ = [
    "ADAPTERS",
    "HEAD_SECONDS",
    "NO_OPTIONS",
    "AdapterOptions",
    "Direction",
    "LoopKind",
    "check_asgi_to_wsgi",
    "check_wsgi_to_asgi",
    "given",
    "spelled",
    "whole",
]

Direction: TypeAlias = Literal["wsgi_to_asgi", "asgi_to_wsgi"]
LoopKind: TypeAlias = Literal["auto", "shared", "lend"]

_BOTH: Final = frozenset({"coalesce"})
_WSGI_TO_ASGI: Final = frozenset(
    {"threads", "queue", "inline", "thread_sensitive", "prefetch_bytes", "buffer_bytes", "websocket_threads"}
)
_ASGI_TO_WSGI: Final = frozenset({"loop", "lifespan", "startup_timeout", "shutdown_timeout", "drain_timeout"})
#: The adapter of each direction, and the options that it takes.
ADAPTERS: Final[Mapping[Direction, tuple[str, frozenset[str]]]] = {
    "wsgi_to_asgi": ("WsgiToAsgi", _BOTH | _WSGI_TO_ASGI),
    "asgi_to_wsgi": ("AsgiToWsgi", _BOTH | _ASGI_TO_WSGI),
}

#: Seconds that the headers of an ASGI application wait for its body. A body that follows at once goes out with them,
#: and the client of a quiet stream need not wait for the first event.
HEAD_SECONDS: Final = 0.05

#: No option differs from the default.
NO_OPTIONS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """Options of the adapters that a ``Gateway`` builds. ``threads`` is an argument of ``Gateway`` itself.

    The first six apply to a WSGI application under an ASGI server. The last five apply to an ASGI application under a
    WSGI server. ``coalesce`` applies to both.

    Attributes:
        queue: Maximum number of requests that wait for a thread; the next one gets a 503. None: no limit.
        inline: Run the application on the event loop, without a thread; only for an application that never blocks.
        thread_sensitive: Run every request in the one thread that asgiref keeps for thread-sensitive code.
        prefetch_bytes: Maximum length of a request body that is read before a thread starts the application.
        buffer_bytes: Maximum size of the buffer for a longer request body, and of the buffer for a response.
        websocket_threads: Maximum number of WebSockets of a WSGI application at once, per event loop; needs
            ``websockets=True`` of the ``Gateway``.
        coalesce: Join chunks that wait to be sent, up to 64 KiB.
        loop: Where the ASGI application runs: ``"shared"``, ``"lend"``, ``"auto"``, or an event loop that runs in
            another thread.
        lifespan: ``"auto"``, ``"on"`` (refuse an application without lifespan) or ``"off"``.
        startup_timeout: Seconds for the startup of the application; None: no limit.
        shutdown_timeout: Seconds for the shutdown of the application; None: no limit.
        drain_timeout: Seconds that tasks may run on at the end before they are cancelled.

    Raises:
        ConfigurationError: An option is out of range, or two options exclude each other.

    >>> AdapterOptions(queue=-1)
    Traceback (most recent call last):
        ...
    gateway.errors.ConfigurationError: AdapterOptions(queue=...) must be a whole number, 0 or more, got -1
    """

    queue: int | None = None
    inline: bool = False
    thread_sensitive: bool = False
    prefetch_bytes: int = 64 * 1024
    buffer_bytes: int = 256 * 1024
    websocket_threads: int = 100
    coalesce: bool = True
    loop: LoopKind | asyncio.AbstractEventLoop = "auto"
    lifespan: LifespanMode = "auto"
    startup_timeout: float | None = 60.0
    shutdown_timeout: float | None = 30.0
    drain_timeout: float = 10.0

    def __post_init__(self) -> None:
        check_wsgi_to_asgi(
            "AdapterOptions",
            queue=self.queue,
            coalesce=self.coalesce,
            inline=self.inline,
            thread_sensitive=self.thread_sensitive,
            prefetch_bytes=self.prefetch_bytes,
            buffer_bytes=self.buffer_bytes,
            websocket_threads=self.websocket_threads,
        )
        check_asgi_to_wsgi(
            "AdapterOptions",
            loop=self.loop,
            coalesce=self.coalesce,
            lifespan=self.lifespan,
            startup_timeout=self.startup_timeout,
            shutdown_timeout=self.shutdown_timeout,
            drain_timeout=self.drain_timeout,
        )


def check_wsgi_to_asgi(
    owner: str,
    *,
    queue: object,
    coalesce: object,
    inline: object,
    thread_sensitive: object,
    prefetch_bytes: object,
    buffer_bytes: object,
    websocket_threads: object,
) -> None:
    """Check options of ``WsgiToAsgi``, all but ``threads`` and ``websockets``; an error names ``owner``.

    Raises:
        ConfigurationError: An option is out of range, or two options exclude each other.
    """
    if queue is not None:
        whole(queue, 0, f"{owner}(queue=...)")
    whole(prefetch_bytes, 0, f"{owner}(prefetch_bytes=...)")
    whole(buffer_bytes, 1, f"{owner}(buffer_bytes=...)")
    whole(websocket_threads, 1, f"{owner}(websocket_threads=...)")
    _flags(owner, coalesce=coalesce, inline=inline, thread_sensitive=thread_sensitive)
    if inline and thread_sensitive:
        raise ConfigurationError(
            f"{owner}(inline=True, thread_sensitive=True) is contradictory, because inline=True uses no "
            "thread; remove one of them"
        )


def check_asgi_to_wsgi(
    owner: str,
    *,
    loop: object,
    coalesce: object,
    lifespan: object,
    startup_timeout: object,
    shutdown_timeout: object,
    drain_timeout: object,
) -> None:
    """Check the options of ``AsgiToWsgi``, without ``websockets``; an error names them as options of ``owner``.

    Raises:
        ConfigurationError: An option is out of range.
    """
    if not isinstance(loop, asyncio.AbstractEventLoop):
        _one_of(loop, get_args(LoopKind), f"{owner}(loop=...)", "an event loop or ")
    _one_of(lifespan, get_args(LifespanMode), f"{owner}(lifespan=...)")
    _flags(owner, coalesce=coalesce)
    _seconds(drain_timeout, f"{owner}(drain_timeout=...)", zero=True)
    for name, value in (("startup_timeout", startup_timeout), ("shutdown_timeout", shutdown_timeout)):
        if value is not None:
            _seconds(value, f"{owner}({name}=...)")


def given(threads: int | None, options: AdapterOptions | None) -> dict[str, Any]:
    """Return the options whose value is not the default, by name.

    >>> given(100, AdapterOptions(queue=20, coalesce=True))
    {'threads': 100, 'queue': 20}
    """
    found: dict[str, Any] = {} if threads is None else {"threads": threads}
    if options is not None:
        values = {each.name: (getattr(options, each.name), each.default) for each in fields(options)}
        found |= {name: value for name, (value, default) in values.items() if value != default}
    return found


def spelled(options: Mapping[str, Any]) -> str:
    """Write the first of the options as a user of ``Gateway`` writes it.

    >>> spelled({"threads": 100}), spelled({"queue": 20, "inline": True})
    ('threads=100', 'adapter=AdapterOptions(queue=20)')
    """
    name, value = next(iter(options.items()))
    return f"threads={value!r}" if name == "threads" else f"adapter=AdapterOptions({name}={value!r})"


def whole(value: object, least: int, option: str) -> None:
    """Check a whole number.

    Raises:
        ConfigurationError: The value is not a whole number, or is below the least.
    """
    if type(value) is not int or value < least:
        raise ConfigurationError(f"{option} must be a whole number, {least} or more, got {value!r}")


def _seconds(value: object, option: str, *, zero: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (cast("float", value) > 0 or (zero and value == 0)):
        raise ConfigurationError(f"{option} must be seconds, {'0 or more' if zero else 'above 0'}, got {value!r}")


def _one_of(value: object, choices: tuple[str, ...], option: str, other: str = "") -> None:
    if value not in choices:
        raise ConfigurationError(f"{option} must be {other}one of {', '.join(map(repr, choices))}, got {value!r}")


def _flags(owner: str, **flags: object) -> None:
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ConfigurationError(f"{owner}({name}=...) must be True or False, got {value!r}")
