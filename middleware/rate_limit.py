"""Limit the request rate of clients with 429; count in memory, or in a store such as Redis for all workers together.

The ``limits`` library counts. A store in memory needs no IO. Other stores use a blocking client on WSGI and an
asynchronous client on ASGI, each with a time limit. An option decides the result while the store fails. After a
failure the store is not used for a while; see ``_breaker.py``.

(Above 400 lines: the options and both kinds of store belong together.)

Sources: RFC 6585 section 4 (429); RFC 9110 section 10.2.3 (Retry-After); draft-ietf-httpapi-ratelimit-headers
(``RateLimit``, ``RateLimit-Policy``), a draft: its dialect is an option.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import ipaddress
import logging
import math
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from gateway._bounds import BOUNDS
from gateway.contract import BuildContext, Hooks, Middleware, Process, Slot, Steps, io
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.headers import Header
from gateway.middleware._breaker import Breaker
from gateway.middleware._forwarded import parse_peer
from gateway.middleware._generations import Generations
from gateway.middleware._options import check_options, check_paths
from gateway.problems import problem

if TYPE_CHECKING:
    import limits
    from limits.aio.strategies import RateLimiter as AsyncLimiter
    from limits.strategies import RateLimiter

    from gateway.exchange import Request, Response

__all__ = ["RateLimit", "by_client", "by_header"]

_log = logging.getLogger("gateway.middleware.rate_limit")
_STRATEGIES = {"fixed": "fixed-window", "moving": "moving-window", "sliding": "sliding-window-counter"}
#: Schemes of the library's stores that have both a blocking and an asynchronous client.
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
#: Schemes whose clients can be made without a connection.
_CHECKED = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")
Key = Callable[["Request"], "str | None"]
#: Maximum number of clients in one generation of a store in memory; there are three generations.
_MOST_CLIENTS = 50_000


def by_client(request: Request) -> str | None:
    """Count by the client's address, or by the /64 of an IPv6 client, which owns all of it. None for a unix socket."""
    client = request.client
    if client is None:
        return None
    address = client[0]
    return _counted_as(address) if len(address) <= _LONG else address


#: Longer keys are hashed, because Memcached takes 250 bytes, including the namespace and the name of the limit.
_LONGEST_KEY = BOUNDS["authorization"].characters
#: A longer client name bypasses the cache and counts unchanged, because an address is not longer.
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
    """Count by a request header, such as an API key. A request without the header is counted by its client.

    A client can invent values, and each value has its own limit. So use this only for a header that outer middleware or
    a proxy has checked.
    """

    def key(request: Request) -> str | None:
        value = request.headers.get(name)
        if value is None:
            return by_client(request)
        if len(value) > _LONGEST_KEY:  # hashed rather than cut, because tokens of one issuer may begin alike
            value = sha256(value.encode()).hexdigest()
        return f"{name.lower()}:{value}"

    return key


@dataclass(frozen=True, kw_only=True)
class RateLimit(Middleware):
    """Limit the rate of requests and WebSocket handshakes of each client.

    Args:
        limits: ``"100/minute"``, or several, separated by ``";"``: ``"5/second;100/minute"``. All of them
            apply.
        key: Function that returns the key to count by. Requests for which it returns None are not limited. An exception
            from it is an error of the request.
        cost: Number that a request adds to the count, or a function of the request that returns it; 0 means
            that the request is not counted.
        store: Place of the counts: ``"memory://"`` for one process; ``"redis://host:6379/0"`` or another
            address of the ``limits`` library for all processes.
        strategy: ``"fixed"`` window, ``"moving"`` window (exact, more memory), ``"sliding"`` window counter.
        namespace: Name that separates these counts from other counts in the same store.
        on_store_error: ``"open"`` lets requests pass if the store fails, ``"closed"`` sends 503. An outage is
            logged once. During it, only one request at a time tries the store: 0.1 seconds after the first
            failure, then with growing pauses of up to 30 seconds.
        timeout: Seconds to wait for the store.
        exempt: Paths below the mount point that are not counted, compared exactly.
        dialect: Headers of every response: ``"draft"`` for ``RateLimit`` and ``RateLimit-Policy``, ``"legacy"``
            for ``X-RateLimit-*``, or ``"none"``.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: requests are counted by the client's address, and before it the address is the proxy's",
        "AccessLog: refused requests are logged too",
        "Cors: pages of other origins can read the refusal, and preflight requests are not counted",
        "Health: probes are not limited",
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
        check_paths(self, "exempt")
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
        if isinstance(self.cost, int) and self.cost > min(item.amount for item in items):
            raise ConfigurationError(
                "RateLimit(cost=...) must be at most the smallest limit, otherwise every request is refused, "
                f"got {self.cost!r} for {self.limits!r}"
            )
        if self.timeout <= 0:
            raise ConfigurationError(f"RateLimit(timeout=...) must be above 0 seconds, got {self.timeout!r}")
        scheme = self.store.partition("://")[0]
        if "://" not in self.store or scheme not in _STORES:
            raise ConfigurationError(
                f"RateLimit(store=...) must be an address of {', '.join(_STORES)}, got {self.store!r}"
            )
        self._check_store(scheme)
        workers = os.environ.get("WEB_CONCURRENCY", "1")
        if scheme == "memory" and workers.isdigit() and int(workers) > 1:
            warnings.warn(
                f"RateLimit(store='memory://') counts separately in each of the {workers} workers, so that a "
                f"client gets {workers} times the limit; use redis:// for a common count",
                stacklevel=3,
            )

    def _check_store(self, scheme: str) -> None:
        """Refuse an invalid store address, and a store whose client is not installed; does not connect."""
        import limits.errors
        import limits.storage

        if scheme not in _CHECKED:  # memory needs no client; the other clients connect or are imported at first use
            return
        try:
            _limiter(self)
        except limits.errors.ConfigurationError as error:
            if scheme.startswith("valkey"):
                raise ConfigurationError(
                    f"RateLimit(store={_safe(self.store)!r}) needs the package 'valkey'; run: pip install valkey"
                ) from error
            raise MissingExtraError(f"RateLimit(store={_safe(self.store)!r})", "ratelimit", package="redis") from error
        except (ValueError, TypeError):
            raise ConfigurationError(
                f"RateLimit(store=...) must be an address such as redis://host:6379/0, got {_safe(self.store)!r}; "
                "check the port and the options, and percent-encode the password"
            ) from None  # the original text may contain a part of the password

    def build(self, context: BuildContext) -> Hooks:
        if self.store.startswith("memory:"):
            return _InMemory(self, context)
        return _InStore(self, context)


class _Stand(NamedTuple):
    """A client's state for one limit: amount and seconds of the window, remaining requests, and time of the reset."""

    amount: int
    window: int
    remaining: int
    reset: float


class _Verdict(NamedTuple):
    """Whether a request passes, its client's state for each limit, and the cost of the request."""

    passed: bool
    stands: tuple[_Stand, ...]
    cost: int


class _OwnLimiter:
    """The limiter of this process, made by the first request.

    A forked child makes a new limiter, because the threads and connections of a store do not survive a fork.
    """

    def __init__(self, options: RateLimit) -> None:
        self._options = options
        self._making = threading.Lock()
        self._made: tuple[int, RateLimiter] | None = None

    def get(self) -> RateLimiter:
        """Return the limiter; concurrent threads get the same limiter."""
        pid = os.getpid()
        if self._made is None or self._made[0] != pid:
            with self._making:
                if self._made is None or self._made[0] != pid:  # again, because another thread may have been faster
                    self._made = (pid, _limiter(self._options))
        return self._made[1]

    def close(self) -> None:
        """Close the store's connections, if it has any."""
        made, self._made = self._made, None
        close = getattr(getattr(made[1].storage, "storage", None), "close", None) if made else None
        if close is not None:
            close()


class _Counting(Hooks):
    """The common part of both kinds of store: the key of a request, and the headers of its response."""

    websocket: ClassVar[bool] = True

    def __init__(self, options: RateLimit, context: BuildContext) -> None:
        import limits

        self._options = options
        # Shortest window first: counting stops at the first exceeded limit, so a burst does not use up longer limits.
        self._items = sorted(limits.parse_many(options.limits), key=lambda item: item.get_expiry())
        self._exempt = frozenset(options.exempt)
        self._slot: Slot[_Verdict] = context.slot(_Verdict)
        policy = ", ".join(f'"{_name(item)}";q={item.amount};w={item.get_expiry()}' for item in self._items)
        self._policy = Header("RateLimit-Policy", policy)
        self._names = [f'"{_name(item)}"' for item in self._items]

    def _who(self, request: Request) -> tuple[str, int] | None:
        """Return the key and the cost of a request, or None if it is not counted."""
        if self._exempt and request.local_path in self._exempt:
            return None
        key = self._options.key(request)
        if key is None:
            return None
        cost = self._options.cost
        if not isinstance(cost, int):
            cost = cost(request)
            if cost < 1:
                return None
        return key, cost

    def _judge(self, request: Request, verdict: _Verdict) -> Response | None:
        self._slot[request] = verdict
        if verdict.passed:
            return None
        now = time.time()
        wait = max((stand.reset - now for stand in verdict.stands if stand.remaining < verdict.cost), default=1.0)
        fields = [("Retry-After", str(max(1, math.ceil(wait))))]
        response = problem(request, 429, "Too many requests; try again later.", headers=fields)
        self.on_response(request, response)  # a driver does not call on_response for a middleware's own response
        return response

    def _without_store(self, request: Request, seconds: float) -> Response | None:
        """Decide about a request that cannot be counted; ``seconds`` until the next try of the store."""
        if self._options.on_store_error == "open":
            return None
        fields = [("Retry-After", str(max(1, math.ceil(seconds))))]
        return problem(request, 503, "Requests cannot be counted now.", headers=fields)

    def _outage(self, error: Exception) -> None:
        """Log the begin of an outage."""
        options = self._options
        _log.error(
            "RateLimit: the store %s fails, so requests %s: %s",
            _safe(options.store),
            "are refused" if options.on_store_error == "closed" else "are not limited",
            f"no answer within {options.timeout} seconds" if isinstance(error, TimeoutError) else _reason(error),
        )

    def on_response(self, request: Request, response: Response) -> None:
        """Add the client's state to the response, in the headers of the dialect."""
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


class _Memory:
    """The counts of one position in a chain, in this process."""

    def __init__(self, options: RateLimit, items: Sequence[limits.RateLimitItem]) -> None:
        self.limiter = _OwnLimiter(options)
        self.lock = threading.Lock()
        self.failing = False
        self._items = items
        self._namespace = options.namespace
        # Twice the window, because the sliding window also uses the count of the previous window.
        longest = 2.0 * max(item.get_expiry() for item in items)
        self.clients = Generations(self._forget, most=_MOST_CLIENTS, seconds=longest)

    def _forget(self, key: str) -> None:
        """Delete the data of a client, because the library keeps an empty list for every client it has seen."""
        limiter = self.limiter.get()
        for item in self._items:
            limiter.clear(item, self._namespace, key)


class _InMemory(_Counting):
    """Count in this process, under a lock. That takes microseconds, so it needs no ``io``.

    The lock is our own, because the library's store drops the lock of a key when it cleans up. Two threads could then
    count at the same time and exceed the limit.
    """

    def __init__(self, options: RateLimit, context: BuildContext) -> None:
        super().__init__(options, context)
        self._memory = context.shared("counts", lambda: _Memory(options, self._items))

    def on_request(self, request: Request) -> Response | None:
        who = self._who(request)
        if who is None:
            return None
        memory = self._memory
        try:
            with memory.lock:
                memory.clients.use(who[0])
                verdict = _ask(memory.limiter.get(), self._items, self._options.namespace, *who)
        except Exception as error:
            if not memory.failing:
                memory.failing = True
                self._outage(error)
            return self._without_store(request, 1.0)
        return self._judge(request, verdict)


class _InStore(_Counting):
    """Count in a store that all workers share: one ``io`` step for each request, blocking or asynchronous."""

    def __init__(self, options: RateLimit, context: BuildContext) -> None:
        super().__init__(options, context)
        self._plain = context.shared("limiter", lambda: _OwnLimiter(options))
        self._breaker = context.shared("breaker", lambda: Breaker(lease=2 * options.timeout))
        # An asynchronous client belongs to its event loop, and a process may run several loops one after another.
        self._async: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncLimiter] = weakref.WeakKeyDictionary()

    def on_request(self, request: Request) -> Steps[Response | None]:
        who = self._who(request)
        if who is None:
            return None
        breaker = self._breaker
        ticket = breaker.enter()
        if ticket is None:
            return self._without_store(request, breaker.seconds_left)
        try:
            verdict = yield from io(self._ask_plain, self._ask_async, _storable(who[0]), who[1])
        except Exception as error:
            if breaker.failed(ticket):  # True once for each outage, not for each request
                self._outage(error)
            return self._without_store(request, breaker.seconds_left)
        if breaker.succeeded(ticket):
            _log.warning("RateLimit: the store %s works again", _safe(self._options.store))
        return self._judge(request, verdict)

    def _ask_plain(self, key: str, cost: int) -> _Verdict:
        return _ask(self._plain.get(), self._items, self._options.namespace, key, cost)

    async def _ask_async(self, key: str, cost: int) -> _Verdict:
        loop = asyncio.get_running_loop()
        limiter = self._async.get(loop)
        if limiter is None:
            limiter = self._async[loop] = _async_limiter(self._options)
        namespace = self._options.namespace
        async with asyncio.timeout(self._options.timeout):
            passed = True
            for item in self._items:
                passed = await limiter.hit(item, namespace, key, cost=cost)
                if not passed:
                    break
            stands = [await limiter.get_window_stats(item, namespace, key) for item in self._items]
        now = time.time()
        told = tuple(_stand(item, now, *stats) for item, stats in zip(self._items, stands, strict=True))
        return _Verdict(passed, told, cost)

    def on_stop(self, process: Process) -> Steps[None]:
        """Close the clients, so that the garbage collector does not find open connections."""
        yield from io(self._plain.close, self._close_async)

    async def _close_async(self) -> None:
        limiter = self._async.pop(asyncio.get_running_loop(), None)
        storage = getattr(getattr(limiter, "storage", None), "bridge", None)
        close = getattr(getattr(storage, "storage", None), "aclose", None)
        if close is not None:
            await close()


def _limiter(options: RateLimit) -> RateLimiter:
    import limits.storage
    import limits.strategies

    more: dict[str, Any] = {}
    if options.store.startswith(("redis", "valkey")):
        more = {
            "socket_timeout": options.timeout,
            "socket_connect_timeout": options.timeout,
            **_once_more(options, "redis.retry"),
        }
    elif options.store.startswith("memcached"):
        more = {"timeout": options.timeout, "connect_timeout": options.timeout}
    elif options.store.startswith("mongodb"):
        milliseconds = max(1, int(options.timeout * 1000))
        names = ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS")
        more = dict.fromkeys(names, milliseconds)
    storage = limits.storage.storage_from_string(options.store, **more)
    strategy = limits.strategies.STRATEGIES[_STRATEGIES[options.strategy]]
    return strategy(storage)


def _once_more(options: RateLimit, retry: str) -> dict[str, Any]:
    """Return options to retry once, without a pause, if the connection was lost, as after a restart of the store.

    By default the client retries ten times with pauses, which takes far longer than the time limit.
    """
    if options.store.partition("://")[0] not in ("redis", "rediss", "redis+unix"):
        return {}
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as LostConnection

    make: Callable[..., object] = importlib.import_module(retry).Retry
    return {"retry": make(NoBackoff(), 1, supported_errors=(LostConnection,))}


def _async_limiter(options: RateLimit) -> AsyncLimiter:
    import limits.aio.strategies
    import limits.storage

    more: dict[str, Any] = {}
    if options.store.startswith("redis"):
        more = {"implementation": "redispy", **_once_more(options, "redis.asyncio.retry")}
    storage = limits.storage.storage_from_string(f"async+{options.store}", **more)
    strategies: dict[str, Callable[..., AsyncLimiter]] = {
        "fixed": limits.aio.strategies.FixedWindowRateLimiter,
        "moving": limits.aio.strategies.MovingWindowRateLimiter,
        "sliding": limits.aio.strategies.SlidingWindowCounterRateLimiter,
    }
    return strategies[options.strategy](storage)


def _ask(limiter: RateLimiter, items: Sequence[limits.RateLimitItem], namespace: str, key: str, cost: int) -> _Verdict:
    """Count a request against every limit, up to the first limit that it exceeds."""
    passed = True
    for item in items:
        passed = limiter.hit(item, namespace, key, cost=cost)
        if not passed:
            break
    now = time.time()
    told = tuple(_stand(item, now, *limiter.get_window_stats(item, namespace, key)) for item in items)
    return _Verdict(passed, told, cost)


def _stand(item: limits.RateLimitItem, now: float, reset: float, remaining: int) -> _Stand:
    # The clock of the store or of another worker may be wrong, so the reset never lies beyond the window.
    window = item.get_expiry()
    return _Stand(item.amount, window, remaining, min(reset, now + window))


def _storable(key: str) -> str:
    """Return a key that every store accepts, or the hash of another key, so that a client cannot make a store fail."""
    if len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key:
        return key
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _name(item: limits.RateLimitItem) -> str:
    return f"{item.amount}-per-{item.get_expiry()}s"


def _reason(error: BaseException) -> str:
    """Describe an exception and its cause, because a refused password may appear as a lost connection."""
    cause = error.__cause__ or error.__context__
    said = f"{type(error).__name__}: {error}"
    return said if cause is None or type(cause) is type(error) else f"{said} ({type(cause).__name__}: {cause})"


def _safe(store: str) -> str:
    """Return a store's address without its user and options, because they may contain a password."""
    scheme, _, rest = store.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
