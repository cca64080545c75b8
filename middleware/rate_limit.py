"""Answer 429 to who asks too often; counted in memory, or in Redis and its like for all workers together.

The counting is the ``limits`` library's. A store in memory is asked at once; another is asked by a blocking client on
WSGI and by an asynchronous one on ASGI, each under a time limit, and what happens when it fails is an option.

(Above 400 lines: the options and both kinds of store, which they mean, stand together.)

Sources: RFC 6585 section 4 (429); RFC 9110 section 10.2.3 (Retry-After); draft-ietf-httpapi-ratelimit-headers
(``RateLimit``, ``RateLimit-Policy``), a draft: its dialect is an option.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware, Process, Slot, Steps, io
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.headers import Header
from gateway.middleware._forwarded import parse_peer
from gateway.middleware._options import check_options
from gateway.problems import problem

if TYPE_CHECKING:
    import limits
    from limits.aio.strategies import RateLimiter as AsyncLimiter
    from limits.strategies import RateLimiter

    from gateway.exchange import Request, Response

__all__ = ["RateLimit", "by_client", "by_header"]

_log = logging.getLogger("gateway.middleware.rate_limit")
_STRATEGIES = {"fixed": "fixed-window", "moving": "moving-window", "sliding": "sliding-window-counter"}
#: Schemes of the library's stores that exist in both colours.
_STORES = (
    "memory",
    "redis",
    "rediss",
    "redis+unix",
    "redis+cluster",
    "redis+sentinel",
    "valkey",
    "valkeys",
    "valkey+unix",
    "valkey+cluster",
    "valkey+sentinel",
    "memcached",
    "mongodb",
    "mongodb+srv",
)
Key = Callable[["Request"], "str | None"]


def by_client(request: Request) -> str | None:
    """Count by the client's address; an IPv6 client by its /64, as one has all of it. None for a unix socket's peer."""
    client = request.client
    if client is None:
        return None
    address = client[0]
    return _counted_as(address) if len(address) <= _LONG else address


_LONGEST_KEY = BOUNDS["authorization"].characters
#: No address is longer; a name that is, is counted as it is.
_LONG = 64


@lru_cache(maxsize=1024)
def _counted_as(name: str) -> str:
    address = parse_peer(name)
    if address is None:
        return name
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def by_header(name: str) -> Key:
    """Count by a request field, an API key for example; a request without it is counted by its client."""

    def key(request: Request) -> str | None:
        value = request.headers.get(name)
        if value is None:
            return by_client(request)
        if len(value) > _LONGEST_KEY:  # cut, two tokens of one issuer could be the same
            value = sha256(value.encode()).hexdigest()
        return f"{name.lower()}:{value}"

    return key


@dataclass(frozen=True, kw_only=True)
class RateLimit(Middleware):
    """Limit how often a client may ask; also WebSocket handshakes.

    Args:
        limits: ``"100/minute"``, several by ``";"``: ``"5/second;100/minute"``. All must hold.
        key: Who is counted: a function of the request; None from it counts nobody.
        cost: How much a request counts: a number or a function of the request.
        store: Where it is counted: ``"memory://"``, for one process; ``"redis://host:6379/0"`` and the other addresses
            of the ``limits`` library for all.
        strategy: ``"fixed"`` window, ``"moving"`` window (exact, more memory), ``"sliding"`` window counter.
        namespace: Separates these counts from others' in the same store.
        on_store_error: ``"open"`` lets requests pass while the store fails, ``"closed"`` answers 503; either is logged.
        timeout: Seconds to wait for the store.
        exempt: Paths below the mount point that are not counted, compared exactly.
        dialect: Fields of every response: ``"draft"`` for ``RateLimit`` and ``RateLimit-Policy``, ``"legacy"`` for
            ``X-RateLimit-*``, ``"none"``.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: it counts by the client's address, which is the proxy's until then",
        "AccessLog: a refusal is logged too",
        "Cors: a page must be able to read a refusal, and a preflight is not counted",
        "Health: a probe is never refused",
    )

    limits: str
    key: Callable[[Request], str | None] = by_client
    cost: int | Callable[[Request], int] = 1
    store: str = "memory://"
    strategy: Literal["fixed", "moving", "sliding"] = "sliding"
    namespace: str = "gateway"
    on_store_error: Literal["open", "closed"] = "open"
    timeout: float = 0.5
    exempt: Sequence[str] = ()
    dialect: Literal["draft", "legacy", "none"] = "draft"

    def __post_init__(self) -> None:
        check_options(self)
        try:
            import limits
        except ImportError as error:
            raise MissingExtraError("RateLimit", "ratelimit", package="limits") from error
        try:
            items = limits.parse_many(self.limits)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f'RateLimit(limits=...) takes "100/minute", several joined by ";", got {self.limits!r}'
            ) from error
        if any(item.amount < 1 for item in items):
            raise ConfigurationError(f"RateLimit(limits=...) must allow at least one request, got {self.limits!r}")
        if self.strategy not in _STRATEGIES:
            raise ConfigurationError(
                f"RateLimit(strategy=...) must be one of {', '.join(_STRATEGIES)}, got {self.strategy!r}"
            )
        if self.on_store_error not in ("open", "closed"):
            raise ConfigurationError(
                f'RateLimit(on_store_error=...) must be "open" or "closed", got {self.on_store_error!r}'
            )
        if self.dialect not in ("draft", "legacy", "none"):
            raise ConfigurationError(
                f'RateLimit(dialect=...) must be "draft", "legacy" or "none", got {self.dialect!r}'
            )
        if isinstance(self.cost, int) and self.cost < 1:
            raise ConfigurationError(f"RateLimit(cost=...) must be at least 1, or a function, got {self.cost!r}")
        if self.timeout <= 0:
            raise ConfigurationError(f"RateLimit(timeout=...) must be above 0 seconds, got {self.timeout!r}")
        scheme = self.store.partition("://")[0]
        if "://" not in self.store or scheme not in _STORES:
            raise ConfigurationError(
                f"RateLimit(store=...) must be an address of {', '.join(_STORES)}, got {self.store!r}"
            )
        workers = os.environ.get("WEB_CONCURRENCY", "1")
        if scheme == "memory" and workers.isdigit() and int(workers) > 1:
            warnings.warn(
                f"RateLimit(store='memory://') counts in each of {workers} workers by itself, so that a client gets "
                f"{workers} times the limit; use redis:// to count together",
                stacklevel=3,
            )

    def build(self, context: BuildContext) -> Hooks:
        if self.store.startswith("memory:"):
            return _InMemory(self, context)
        return _InStore(self, context)


class _Stand(NamedTuple):
    """How a client stands with one limit: the window's amount and length, what is left, and when it is whole again."""

    amount: int
    window: int
    remaining: int
    reset: float


class _Verdict(NamedTuple):
    passed: bool
    stands: tuple[_Stand, ...]


class _OwnLimiter:
    """One limiter for this process: made by the first request, anew after a fork, as a store's threads and connections
    do not survive one.
    """

    def __init__(self, options: RateLimit) -> None:
        self._options = options
        self._making = threading.Lock()
        self._made: tuple[int, RateLimiter] | None = None

    def get(self) -> RateLimiter:
        """Return it; threads that come first together get the same one."""
        pid = os.getpid()
        if self._made is None or self._made[0] != pid:
            with self._making:
                if self._made is None or self._made[0] != pid:
                    self._made = (pid, _limiter(self._options))
        return self._made[1]

    def close(self) -> None:
        """Close the store's connections, where it has any."""
        made, self._made = self._made, None
        close = getattr(getattr(made[1].storage, "storage", None), "close", None) if made else None
        if close is not None:
            close()


class _Counting(Hooks):
    """What both have in common: who is counted, and what the answer says."""

    websocket: ClassVar[bool] = True

    def __init__(self, options: RateLimit, context: BuildContext) -> None:
        import limits

        self._options = options
        self._items = sorted(limits.parse_many(options.limits), key=lambda item: item.get_expiry())
        self._exempt = frozenset(options.exempt)
        self._slot: Slot[_Verdict] = context.slot(_Verdict)
        policy = ", ".join(f'"{_name(item)}";q={item.amount};w={item.get_expiry()}' for item in self._items)
        self._policy = Header("RateLimit-Policy", policy)
        self._names = [f'"{_name(item)}"' for item in self._items]

    def _who(self, request: Request) -> tuple[str, int] | None:
        """Return the key and the cost of a request, None where it is not counted."""
        if self._exempt and request.local_path in self._exempt:
            return None
        key = self._options.key(request)
        if key is None:
            return None
        cost = self._options.cost
        return key, cost if isinstance(cost, int) else cost(request)

    def _judge(self, request: Request, verdict: _Verdict) -> Response | None:
        self._slot[request] = verdict
        if verdict.passed:
            return None
        now = time.time()
        wait = max((stand.reset - now for stand in verdict.stands if stand.remaining <= 0), default=1.0)
        fields = [("Retry-After", str(max(1, math.ceil(wait))))]
        response = problem(request, 429, "Too many requests; try again later.", headers=fields)
        self.on_response(request, response)  # a driver does not show a middleware its own refusal
        return response

    def on_response(self, request: Request, response: Response) -> None:
        """Put how the client stands on the response, in the dialect."""
        dialect = self._options.dialect
        verdict = self._slot.get(request)
        if dialect == "none" or verdict is None or not verdict.stands:
            return
        now, headers = time.time(), response.headers
        if dialect == "draft":
            parts = [
                f"{name};r={max(stand.remaining, 0)};t={max(0, math.ceil(stand.reset - now))}"
                for name, stand in zip(self._names, verdict.stands, strict=False)
            ]
            headers.append(self._policy)
            headers.append("RateLimit", ", ".join(parts))
            return
        tightest = min(verdict.stands, key=lambda stand: stand.remaining)
        headers.append("X-RateLimit-Limit", str(tightest.amount))
        headers.append("X-RateLimit-Remaining", str(max(tightest.remaining, 0)))
        headers.append("X-RateLimit-Reset", str(math.ceil(tightest.reset)))


class _InMemory(_Counting):
    """Counts in this process, for microseconds under a lock, which is no IO.

    The lock is our own: the library's store drops a key's lock when it cleans up, and two threads that meet then would
    both count the same request.
    """

    def __init__(self, options: RateLimit, context: BuildContext) -> None:
        super().__init__(options, context)
        self._limiter, self._counting = context.shared("counts", lambda: (_OwnLimiter(options), threading.Lock()))

    def on_request(self, request: Request) -> Response | None:
        who = self._who(request)
        if who is None:
            return None
        limiter = self._limiter.get()
        with self._counting:
            verdict = _ask(limiter, self._items, self._options.namespace, *who)
        return self._judge(request, verdict)


class _InStore(_Counting):
    """Counts where every worker can: one IO step a request, in the driver's own colour."""

    def __init__(self, options: RateLimit, context: BuildContext) -> None:
        super().__init__(options, context)
        self._plain = _OwnLimiter(options)
        self._async: tuple[asyncio.AbstractEventLoop, AsyncLimiter] | None = None
        self._failing = False

    def on_request(self, request: Request) -> Steps[Response | None]:
        who = self._who(request)
        if who is None:
            return None
        try:
            verdict = yield from io(self._ask_plain, self._ask_async, *who)
        except Exception as error:
            return self._without_store(request, error)
        if self._failing:
            self._failing = False
            _log.warning("RateLimit: the store %s answers again", _safe(self._options.store))
        return self._judge(request, verdict)

    def _without_store(self, request: Request, error: Exception) -> Response | None:
        closed = self._options.on_store_error == "closed"
        if not self._failing:  # once for an outage, not once for each request in it
            self._failing = True
            _log.error(
                "RateLimit: the store %s fails, requests %s: %r",
                _safe(self._options.store),
                "are refused" if closed else "pass uncounted",
                error,
            )
        if closed:
            return problem(request, 503, "Requests cannot be counted now.", headers=[("Retry-After", "1")])
        return None

    def _ask_plain(self, key: str, cost: int) -> _Verdict:
        return _ask(self._plain.get(), self._items, self._options.namespace, key, cost)

    async def _ask_async(self, key: str, cost: int) -> _Verdict:
        loop = asyncio.get_running_loop()
        if self._async is None or self._async[0] is not loop:
            self._async = (loop, _async_limiter(self._options))
        limiter = self._async[1]
        namespace = self._options.namespace
        async with asyncio.timeout(self._options.timeout):
            passed = True
            for item in self._items:
                passed = await limiter.hit(item, namespace, key, cost=cost)
                if not passed:
                    break
            stands = [await limiter.get_window_stats(item, namespace, key) for item in self._items]
        return _Verdict(passed, tuple(_stand(item, *stats) for item, stats in zip(self._items, stands, strict=True)))

    def on_stop(self, process: Process) -> Steps[None]:
        """Close the clients, so that no connection is left to the garbage collector."""
        yield from io(self._plain.close, self._close_async)

    async def _close_async(self) -> None:
        limiter = self._async[1] if self._async else None
        self._async = None
        storage = getattr(getattr(limiter, "storage", None), "bridge", None)
        close = getattr(getattr(storage, "storage", None), "aclose", None)
        if close is not None:
            await close()


def _limiter(options: RateLimit) -> RateLimiter:
    import limits.storage
    import limits.strategies

    more: dict[str, float | str | bool] = {}
    if options.store.startswith(("redis", "rediss", "valkey")):
        more = {"socket_timeout": options.timeout, "socket_connect_timeout": options.timeout}
    storage = limits.storage.storage_from_string(options.store, **more)
    strategy = limits.strategies.STRATEGIES[_STRATEGIES[options.strategy]]
    return strategy(storage)


def _async_limiter(options: RateLimit) -> AsyncLimiter:
    import limits.aio.strategies
    import limits.storage

    more: dict[str, float | str | bool] = {}
    if options.store.startswith("redis"):
        more["implementation"] = "redispy"
    storage = limits.storage.storage_from_string(f"async+{options.store}", **more)
    strategies: dict[str, Callable[..., AsyncLimiter]] = {
        "fixed": limits.aio.strategies.FixedWindowRateLimiter,
        "moving": limits.aio.strategies.MovingWindowRateLimiter,
        "sliding": limits.aio.strategies.SlidingWindowCounterRateLimiter,
    }
    return strategies[options.strategy](storage)


def _ask(limiter: RateLimiter, items: Sequence[limits.RateLimitItem], namespace: str, key: str, cost: int) -> _Verdict:
    """Count a request against every limit; the first that does not hold ends it."""
    passed = True
    for item in items:
        passed = limiter.hit(item, namespace, key, cost=cost)
        if not passed:
            break
    return _Verdict(passed, tuple(_stand(item, *limiter.get_window_stats(item, namespace, key)) for item in items))


def _stand(item: limits.RateLimitItem, reset: float, remaining: int) -> _Stand:
    return _Stand(item.amount, item.get_expiry(), remaining, reset)


def _name(item: limits.RateLimitItem) -> str:
    return f"{item.amount}-per-{item.get_expiry()}s"


def _safe(store: str) -> str:
    """Return a store's address without what may be a password."""
    scheme, _, rest = store.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
