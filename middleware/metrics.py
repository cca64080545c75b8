"""Measure requests for Prometheus: duration, concurrency and size, by method, route template and status.

A request is measured when it ends: at the last byte, when the client leaves, or at an exception. The route is the
template that the application put into ``request.state["route"]``. It is never the path, because clients can invent any
number of paths. ``prometheus_client`` holds the series, in one process or over Gunicorn's workers.

Sources: Prometheus documentation "Metric and label naming", "Exposition formats"; OpenMetrics 1.0.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.contract import BuildContext, Hooks, Middleware, Slot, Steps, io
from gateway.errors import ConfigurationError, MissingExtraError
from gateway.exchange import Response
from gateway.loops import in_thread
from gateway.middleware import _multiprocess
from gateway.middleware._forwarded import Trust
from gateway.middleware._options import check_options
from gateway.problems import preferred_media_type, problem

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Gauge, Histogram

    from gateway.exchange import Outcome, Request

__all__ = ["Metrics"]

_log = logging.getLogger("gateway.middleware.metrics")
#: Methods of RFC 9110 section 9.3, RFC 5789, and QUERY. Any other method is counted as "other".
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_OPENMETRICS = "application/openmetrics-text"
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0, 100_000_000.0)


@dataclass(frozen=True, kw_only=True)
class Metrics(Middleware):
    """Measure every request, also WebSockets, and serve the metrics at ``path``.

    With the ``prefix`` ``http_server``, the histograms are ``http_server_request_duration_seconds``,
    ``http_server_request_size_bytes`` and ``http_server_response_size_bytes``, by method, route and status. The gauge
    ``http_server_requests_in_progress`` is by method. A WebSocket has the method ``WEBSOCKET``. The status is 499 if
    the client left before the response headers, and 500 if an exception came before them. A request without a template
    has the route ``unmatched``.

    A second ``Metrics`` with the same registry and prefix counts nothing. Scrapes are not counted.

    Measuring never fails a request: an exception from ``prometheus_client`` is logged, once for each type of exception,
    and the request continues uncounted. A scrape that fails gives 500. If ``PROMETHEUS_MULTIPROC_DIR`` is set,
    ``build`` makes its folder, and raises :class:`~gateway.errors.ConfigurationError` if it cannot be written.

    Args:
        path: Path of the endpoint for scrapers, below the mount point; None removes the endpoint.
        allow: Networks (CIDR) or addresses that may scrape, ``"unix:"`` for the peer of a unix socket, ``"*"``
            for all. Behind a proxy, list ``ProxyHeaders`` before ``Metrics``; otherwise every client has the
            proxy's private address.
        prefix: Prefix of the names of the series.
        buckets: Upper bounds of the buckets for durations, in seconds.
        size_buckets: Upper bounds of the buckets for sizes, in bytes.
        sizes: Measure sizes too.
        max_routes: Maximum number of routes that are counted separately; others count as ``other``.
        registry: Registry of the library; None is its default registry, which also has the series of the
            process.
    """

    websocket: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = (
        "ProxyHeaders: the client's address decides about scraping, and before it the address is the proxy's",
        "Health: probes are not counted",
    )
    short_circuits: ClassVar[bool | None] = False

    path: str | None = "/metrics"
    allow: Sequence[str] = (
        "127.0.0.0/8",
        "::1",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    )
    prefix: str = "http_server"
    buckets: Sequence[float] = _DURATIONS
    size_buckets: Sequence[float] = _SIZES
    sizes: bool = True
    max_routes: int = 500
    registry: CollectorRegistry | None = None

    def __post_init__(self) -> None:
        check_options(self)
        try:
            from prometheus_client import CollectorRegistry
        except ImportError as error:
            raise MissingExtraError("Metrics", "metrics", package="prometheus_client") from error
        if not isinstance(self.registry, CollectorRegistry | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"Metrics(registry=...) must be a CollectorRegistry, got {self.registry!r}")
        if self.path is not None and not self.path.startswith("/"):
            raise ConfigurationError(f'Metrics(path=...) must start with "/", or be None, got {self.path!r}')
        try:
            Trust.parse(self.allow)
        except ValueError as error:
            raise ConfigurationError(
                f'Metrics(allow=...) takes networks such as 10.0.0.0/8, addresses, "unix:" or "*"; {error}'
            ) from error
        for option in ("buckets", "size_buckets"):
            bounds = list(getattr(self, option))
            if not bounds or bounds != sorted(set(bounds)):
                raise ConfigurationError(f"Metrics({option}=...) must be increasing bounds, got {bounds!r}")
        if not self.prefix.isascii() or not self.prefix.isidentifier():
            raise ConfigurationError(
                "Metrics(prefix=...) may have only letters, digits and _, like the name of a metric, got "
                f"{self.prefix!r}"
            )
        if self.max_routes < 1:
            raise ConfigurationError(f"Metrics(max_routes=...) must be at least 1, got {self.max_routes!r}")

    def build(self, context: BuildContext) -> Hooks:
        _multiprocess.prepare()
        series = _series(self)
        return (_Measuring if self.path is None else _Exposing)(self, series, context)


class _Series:
    """The series of one registry and one prefix, with their labelled children."""

    def __init__(self, options: Metrics) -> None:
        from prometheus_client import Gauge, Histogram

        prefix, labels = options.prefix, ("method", "route", "status")
        self.options = _shape(options)
        self.duration = Histogram(
            f"{prefix}_request_duration_seconds",
            "Time from a request's arrival to its end.",
            labels,
            registry=None,
            buckets=options.buckets,
        )
        self.in_progress = Gauge(
            f"{prefix}_requests_in_progress",
            "Requests in progress.",
            ("method",),
            registry=None,
            multiprocess_mode="livesum",
        )
        self.request_size = self.response_size = None
        if options.sizes:
            self.request_size = Histogram(
                f"{prefix}_request_size_bytes",
                "Body bytes that the application read.",
                labels,
                registry=None,
                buckets=options.size_buckets,
            )
            self.response_size = Histogram(
                f"{prefix}_response_size_bytes",
                "Body bytes that were passed to the server.",
                labels,
                registry=None,
                buckets=options.size_buckets,
            )
        self.collectors = [
            each
            for each in (self.duration, self.in_progress, self.request_size, self.response_size)
            if each is not None
        ]
        self.routes: set[str] = set()
        self.children: dict[tuple[str, str, int], tuple[Histogram, Histogram | None, Histogram | None]] = {}
        self.gauges: dict[str, Gauge] = {}
        self.told: set[type[Exception]] = set()

    def failed(self, error: Exception) -> None:
        """Log an exception from the library, once for each type, because every request may raise it."""
        if type(error) not in self.told:
            self.told.add(type(error))
            _log.error(
                "Metrics: prometheus_client raised an error, so a measurement or a scrape is lost", exc_info=error
            )

    def register(self, registry: CollectorRegistry) -> None:
        """Register all collectors, or none if one of them fails."""
        done: list[Histogram | Gauge] = []
        try:
            for each in self.collectors:
                registry.register(each)
                done.append(each)
        except ValueError as error:
            for each in done:
                registry.unregister(each)
            raise ConfigurationError(
                "Metrics: the registry already has series with these names that Metrics did not create "
                f"({error}); choose another prefix=, or a separate registry="
            ) from error

    def gauge(self, method: str) -> Gauge:
        child = self.gauges.get(method)
        if child is None:
            child = self.gauges[method] = self.in_progress.labels(method)
        return child

    def observe(self, method: str, route: str, status: int, outcome: Outcome, max_routes: int) -> None:
        key = (method, route, status)
        children = self.children.get(key)
        if children is None:
            children = self._child(method, route, status, max_routes)
        duration, request_size, response_size = children
        duration.observe(outcome.duration)
        if request_size is not None and response_size is not None:
            request_size.observe(outcome.bytes_received)
            response_size.observe(outcome.bytes_sent)

    def _child(
        self, method: str, route: str, status: int, max_routes: int
    ) -> tuple[Histogram, Histogram | None, Histogram | None]:
        if route not in self.routes:
            if len(self.routes) >= max_routes:
                if route != "other":  # do not store it under the route's name, because that would grow without limit
                    known = self.children.get((method, "other", status))
                    return known or self._make(method, "other", status)
            else:
                self.routes.add(route)
        return self._make(method, route, status)

    def _make(self, method: str, route: str, status: int) -> tuple[Histogram, Histogram | None, Histogram | None]:
        # A label that is not UTF-8 would make every later scrape fail.
        values = (method, route.encode("utf-8", "replace").decode(), str(status))
        children = (
            self.duration.labels(*values),
            self.request_size.labels(*values) if self.request_size is not None else None,
            self.response_size.labels(*values) if self.response_size is not None else None,
        )
        self.children[method, route, status] = children
        return children


_MAKING = threading.Lock()
_MADE: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, _Series]] = weakref.WeakKeyDictionary()


def _shape(options: Metrics) -> tuple[object, ...]:
    return (tuple(options.buckets), tuple(options.size_buckets) if options.sizes else None)


def _registry(options: Metrics) -> CollectorRegistry:
    import prometheus_client

    return options.registry if options.registry is not None else prometheus_client.REGISTRY


def _series(options: Metrics) -> _Series:
    """Return the series of a registry and a prefix. Made once, because a chain is built for each interface."""
    registry = _registry(options)
    with _MAKING:
        made = _MADE.setdefault(registry, {})
        series = made.get(options.prefix)
        if series is None:
            series = _Series(options)
            series.register(registry)
            made[options.prefix] = series
    if series.options != _shape(options):
        raise ConfigurationError(
            f"Metrics: the registry already has series with the prefix {options.prefix!r}, and they have "
            "other buckets or sizes; use the same buckets and sizes, or another prefix="
        )
    return series


class _Measuring(Hooks):
    """Count requests, without an endpoint."""

    websocket: ClassVar[bool] = True

    def __init__(self, options: Metrics, series: _Series, context: BuildContext) -> None:
        self._options = options
        self._series = series
        # By series, so that a second Metrics in the chain counts too if it has another registry or prefix.
        self._mark = f"gateway.metrics.{id(series):x}"
        self._method: Slot[str] = context.slot(str)

    def on_request(self, request: Request) -> Response | Steps[Response | None] | None:
        self._begin(request)
        return None

    def _begin(self, request: Request) -> None:
        state = request.state
        if self._mark in state:
            return
        state[self._mark] = True
        method = request.method
        if request.is_websocket:
            method = "WEBSOCKET"
        elif method not in _METHODS:
            method = "other"
        try:
            self._series.gauge(method).inc()
        except Exception as error:
            self._series.failed(error)  # leave the request uncounted, so that its end does not lower the gauge
        else:
            self._method[request] = method

    def on_finish(self, request: Request, outcome: Outcome) -> None:
        method = self._method.get(request)
        if method is None:
            return
        try:
            self._series.gauge(method).dec()
        except Exception as error:
            self._series.failed(error)
        status = outcome.status
        if status is None:
            status = 499 if outcome.kind == "aborted" else 500
        route = request.state.get("route")
        try:
            self._series.observe(
                method, route if isinstance(route, str) else "unmatched", status, outcome, self._options.max_routes
            )
        except Exception as error:
            self._series.failed(error)


class _Exposing(_Measuring):
    """Count requests, and respond to scrapers."""

    def __init__(self, options: Metrics, series: _Series, context: BuildContext) -> None:
        super().__init__(options, series, context)
        self._allow = Trust.parse(options.allow)
        self._path = options.path

    def on_request(self, request: Request) -> Steps[Response | None] | None:
        if request.local_path != self._path or request.is_websocket:
            self._begin(request)
            return None
        return self._scraped(request)

    def _scraped(self, request: Request) -> Steps[Response | None]:
        client = request.client
        if not self._allow.holds(client[0] if client else None):
            return problem(request, 403, "This address may not read metrics.")
        if request.method not in ("GET", "HEAD"):
            return problem(
                request, 405, "The metrics endpoint supports GET and HEAD only.", headers=[("Allow", "GET, HEAD")]
            )
        # In a thread, because reading the workers' files or writing thousands of lines would block an event loop.
        accept = request.headers.get("accept") or ""
        try:
            content, media_type = yield from io(self._expose, lambda accept: in_thread(self._expose, accept), accept)
        except Exception as error:
            self._series.failed(error)
            return problem(request, 500, "The metrics are not available now; see the server's log.")
        fields = [("Content-Type", media_type), ("Cache-Control", "no-store"), ("Vary", "Accept")]
        return Response(200, fields, content)

    def _expose(self, accept: str) -> tuple[bytes, str]:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.multiprocess import MultiProcessCollector

        # The library's own parser of Accept ignores q, fails on an unknown version and repeats it in Content-Type.
        chosen = preferred_media_type(accept, ("text/plain", _OPENMETRICS))
        encode, media_type = choose_encoder(f"{_OPENMETRICS}; version=1.0.0" if chosen == _OPENMETRICS else "")
        folder = _multiprocess.directory()
        if folder is None:
            return encode(_registry(self._options)), media_type
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # the library has no types here
        with _multiprocess.reading(folder):
            return encode(registry), media_type
