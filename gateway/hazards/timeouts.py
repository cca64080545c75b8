"""Rules about time: idle connections, requests that take long, slow clients (R1, R2, R7 to R10, R14, R16)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.hazards.facts import Fact, Files, Finding, Route, Server, value_of
from gateway.hazards.numbers import PLATFORMS
from gateway.hazards.table import HazardTable, finding

__all__ = ["RULES", "drain", "longest"]

RULES = HazardTable()

#: Seconds that connections and slow clients may take at most before a rule speaks; `Numbers` computes less.
_LONGEST_CONNECT = 5
_LONGEST_HEADERS = 30
_SHORTEST_STREAM = 60


def _idle(files: Files) -> Iterator[tuple[Fact[float], str, Server]]:
    """Return the idle times of what connects to each server, with its name."""
    for route, server in files.served():
        idle = route.numbers.get("idle")
        if idle is not None:
            yield idle, {"nginx": "NGINX", "haproxy": "HAProxy", "caddy": "Caddy"}.get(route.front.kind, "it"), server
    inside = [front for front in files.fronts if front.kind != "route"]
    for pod in files.pods:
        known = pod.numbers.get("balancer_idle")
        for server in files.servers if not inside else ():
            if known is not None:
                yield known, "the load balancer", server
    platform = _platform(files)
    for server in files.servers if not inside else ():
        if platform is not None:
            yield platform, PLATFORMS[platform.place.text.rpartition(" ")[2]].title, server


def _platform(files: Files) -> Fact[float] | None:
    """Return the idle time of the platform that the chain or a unit names."""
    named = files.texts.get("platform") or (files.chain.texts.get("platform") if files.chain else None)
    if named is None:
        return None
    key = {"aws": "aws-alb", "google": "gcp", "google-cloud": "gcp", "gcp-lb": "gcp", "azure": "azure-front-door"}
    name = key.get(named.value, named.value)
    if name not in PLATFORMS or name == "kubernetes":
        return None
    place = named.place
    return Fact(PLATFORMS[name].idle, type(place)(place.file, place.line, f"{place.text.rpartition(' ')[0]} {name}"))


@RULES.rule(
    "R1",
    "A server keeps an idle connection longer than the layer in front that opened it.",
    "RFC 9112 9.5; ngx_http_upstream_module, keepalive_timeout; HAProxy, pool-purge-delay; measured",
    computes=("keep_alive", "proxy_idle"),
)
def keep_alive(files: Files) -> Iterator[Finding]:
    for idle, front, server in _idle(files):
        kept = server.number("keep_alive")
        if kept is None or server.worker == "sync" or kept.value > idle.value:
            continue  # Gunicorn's sync worker announces that it closes each connection
        yield finding(
            f"{server.name} closes an idle connection after {kept.value:g} s, {front} after {idle.value:g} s",
            f"set the keep-alive of {server.name} above {idle.value:g} s",
            kept,
            idle,
        )


@RULES.rule(
    "R2",
    "NGINX keeps an idle connection longer than the load balancer in front of it.",
    "RFC 9112 9.5; ngx_http_core_module, keepalive_timeout",
    computes=("client_keep_alive",),
)
def client_keep_alive(files: Files) -> Iterator[Finding]:
    for front in files.fronts:
        if front.kind != "nginx":
            continue
        kept, outer = front.numbers.get("keep_alive"), files.outer(front)
        idle: Fact[float] | None = _platform(files) if front.behind is not None else None
        if idle is None and outer is not None:
            idle = next((r.numbers["idle"] for r in outer.routes if "idle" in r.numbers), None)
        if idle is None and front.behind is not None:
            idle = next((p.numbers["balancer_idle"] for p in files.pods if "balancer_idle" in p.numbers), None)
        seconds = 60.0 if idle is None else idle.value
        if kept is None or not kept.written or (idle is None and front.behind is None) or kept.value > seconds:
            continue
        yield finding(
            f"NGINX closes an idle connection after {kept.value:g} s, the balancer in front after {seconds:g} s",
            f"set keepalive_timeout above {seconds:g}s",
            kept,
            idle or front.behind,
        )


@RULES.rule(
    "R7",
    "Gunicorn's asgi worker stops within its graceful timeout: proxies keep idle connections for less, or the "
    "hooks of this package close them.",
    "gunicorn.workers.gasgi, ASGIWorker._shutdown; measured",
    computes=("proxy_idle", "graceful_timeout"),
)
def asgi_worker_stops(files: Files) -> Iterator[Finding]:
    for idle, front, server in _idle(files):
        graceful = server.number("graceful_timeout")
        if server.worker != "asgi" or server.name != "gunicorn" or server.hooks or graceful is None:
            continue
        if idle.value < graceful.value:
            continue
        yield finding(
            f"{front} keeps idle connections for {idle.value:g} s, and the asgi worker waits for them until "
            f"graceful_timeout, {graceful.value:g} s, and then runs no shutdown",
            "let the proxy close them after 3 s, or import gateway.servers.gunicorn_hooks in gunicorn.conf.py"
            + ("; on this platform choose uvicorn" if front in ("Heroku's router", "Cloud Run") else ""),
            graceful,
            idle,
        )


@RULES.rule(
    "R8",
    "Timeouts grow outwards: the server's is shorter than its proxy's, and that is shorter than the balancer's.",
    "gunicorn settings, timeout; ngx_http_proxy_module, proxy_read_timeout; Gateway API, HTTPRouteTimeouts",
    computes=("timeout", "proxy_read", "outer_read"),
)
def timeouts_grow(files: Files) -> Iterator[Finding]:
    for route, server in files.served(streams=False):
        yield from _grows(server.number("timeout"), f"{server.name}'s timeout", route)
    router = PLATFORMS["heroku"]
    for stop in files.stops:
        for server in files.servers if stop.kind == "heroku" else ():
            limit = server.number("timeout")
            if server.unit == stop.unit and limit is not None and limit.value > (router.response or 0):
                yield finding(
                    f"{router.title} waits {router.response} s for a response, and {server.name} {limit.value:g} s",
                    f"set a timeout of less than {router.response} s",
                    limit,
                    stop.place,
                )
    for pod in files.pods:
        inside = max(
            (
                r.numbers["read"]
                for r in files.routes
                if "read" in r.numbers and not r.stream and r.front.kind != "route"
            ),
            key=lambda f: f.value,
            default=None,
        )
        waits = pod.numbers.get("balancer_response")
        for server in files.servers:
            inner = inside or server.number("timeout")
            if waits is not None and inner is not None and waits.value <= inner.value:
                yield finding(
                    f"the load balancer waits {waits.value:g} s for a response, and the layer behind it "
                    f"{inner.value:g} s",
                    f"set the balancer's timeout above {inner.value:g} s",
                    inner,
                    waits,
                )
    for front in files.fronts:
        behind = files.inner(front)
        if behind is None:
            continue
        reads = [r.numbers["read"] for r in behind.routes if "read" in r.numbers and not r.stream]
        longest = max(reads, key=lambda fact: fact.value, default=None)
        for route in front.routes:
            if not route.stream:
                yield from _grows(longest, f"the inner proxy's timeout ({behind.kind})", route)


def _grows(inner: Fact[float] | None, what: str, route: Route) -> Iterator[Finding]:
    outer = route.numbers.get("read")
    if inner is None or outer is None or not (inner.written or outer.written):
        return
    if outer.value > inner.value or (route.front.kind == "route" and outer.value == inner.value):
        return
    yield finding(
        f"{what} is {inner.value:g} s, and {route.front.kind} gives up after {outer.value:g} s at {route.path}",
        f"let the outer layer wait longer: more than {inner.value:g} s",
        inner,
        outer,
    )


RULES.unseen(
    "R9",
    "Each request has a time limit in the application: of its database, of its HTTP client.",
    "gunicorn settings, timeout: it does not end a hung thread; measured",
    "only the application's code shows it",
    computes=("longest_request",),
)


@RULES.rule(
    "R10",
    "A proxy gives up a connection to the server within seconds; only connections are tried again.",
    "ngx_http_proxy_module, proxy_connect_timeout; HAProxy, timeout connect",
    computes=("connect",),
)
def connects_quickly(files: Files) -> Iterator[Finding]:
    for route in files.routes:
        connect = route.numbers.get("connect")
        if connect is not None and connect.written and connect.value > _LONGEST_CONNECT:
            yield finding(
                f"{route.front.kind} waits {connect.value:g} s for a connection at {route.path}",
                "set 1 to 3 seconds",
                connect,
                route.place,
            )


@RULES.rule(
    "R14",
    "A proxy keeps a stream open for three pings or longer.",
    "ngx_http_proxy_module, proxy_read_timeout; HAProxy, timeout tunnel; Gateway API, HTTPRouteTimeouts",
    computes=("stream_seconds",),
    unseen="the interval of the application's own pings",
)
def streams_stay_open(files: Files) -> Iterator[Finding]:
    for route in files.routes:
        limit, tunnel = route.numbers.get("read"), route.numbers.get("tunnel")
        if tunnel is not None:
            yield finding(
                f"a WebSocket ends after {tunnel.value:g} s of silence", "timeout tunnel 1h", tunnel, route.place
            )
        if not route.stream or limit is None or limit.value <= 0:
            continue
        # A route's time counts for the whole stream; the other proxies' for the silence between two messages.
        least = 3600 if route.front.kind == "route" else _SHORTEST_STREAM
        if limit.value < least:
            yield finding(
                f"the stream {route.path} ends after {limit.value:g} s",
                "set 1 h" if route.front.kind != "route" else "set request: 0s",
                limit,
                route.place,
            )
        if route.front.kind == "nginx" and route.websocket and "upgrade" not in route.headers and not route.unknown:
            yield finding(
                f"the WebSocket path {route.path} does not pass Upgrade on",
                "proxy_set_header Upgrade $http_upgrade, and Connection from a map",
                route.place,
            )


@RULES.rule(
    "R16",
    "A client has 10 to 15 seconds for its headers, and between two pieces of its body.",
    "ngx_http_core_module, client_header_timeout; HAProxy, timeout http-request; measured",
    computes=("header_timeout", "body_timeout"),
)
def slow_clients_end(files: Files) -> Iterator[Finding]:
    for front in files.fronts:
        for name, what in (("header_timeout", "headers"), ("body_timeout", "a pause in its body")):
            limit = front.numbers.get(name)
            if limit is None or (limit.written and 0 < limit.value <= _LONGEST_HEADERS):
                continue
            if not limit.written and front.kind != "haproxy":
                continue
            yield finding(
                f"{front.kind} gives a client "
                + (f"{limit.value:g} s for {what}" if limit.value else f"any time for {what}"),
                "set 10 to 15 seconds",
                limit,
                front.place,
            )


def longest(files: Files, server: Server) -> Fact[float] | None:
    """Return the longest ordinary request, as far as files show it.

    `longest_request` of the numbers is exact. Otherwise Gunicorn's `timeout` is the bound for its sync worker. The
    other workers do not end a thread or a task by it, so half of it counts.
    """
    known = files.numbers.get("longest_request")
    timeout = server.number("timeout")
    if known is not None or timeout is None or server.name != "gunicorn":
        return known
    return timeout if server.worker == "sync" else Fact(timeout.value / 2, timeout.place, timeout.written)


def drain(files: Files) -> float:
    """Return the seconds for which the application itself drains."""
    return 0.0 if files.chain is None else value_of(files.chain.numbers, "drain_seconds") or 0.0
