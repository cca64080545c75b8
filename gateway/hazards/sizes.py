"""Rules about sizes and work: bodies, headers, queues, compression, files (R11, R13, R15, R17 to R22, R33, R43).

(Above 400 lines, because each rule is beside its check.)
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.hazards.facts import Fact, Files, Finding, Place
from gateway.hazards.table import HazardTable, finding
from gateway.hazards.trust import front_of

__all__ = ["RULES", "server_limits"]

RULES = HazardTable()

#: Limit of the kernel for waiting connections, unless a file sets another one (Linux 5.4 and newer).
_SOMAXCONN = 4096
#: Two sizes count as equal if they differ by rounding only: 10 MB and 10 MiB.
_ROUNDING = 0.05
_SLIGHTLY = 1.25
#: A queue may be longer than the concurrency by this factor.
_QUEUE = 4
_HEADER_BYTES = 8190
_FEWEST_CONNECTIONS = 512
_WORKER_MEMORY = 128 * 2**20
_WORKERS_PER_CPU = 8


@RULES.rule(
    "R11",
    "The queue of a listening socket is not longer than the kernel allows.",
    "listen(2); Linux, net.core.somaxconn; systemd.socket, Backlog",
    computes=("backlog",),
)
def backlog(files: Files) -> Iterator[Finding]:
    kernel = files.numbers.get("somaxconn")
    most = _SOMAXCONN if kernel is None else kernel.value
    queues: list[tuple[str, Fact[float]]] = []
    for socket in files.sockets:
        if socket.backlog is not None:
            queues.append(("the socket unit", socket.backlog))
    for server in files.servers:
        queue = server.number("backlog")
        if queue is not None and not files.sockets:  # on an inherited socket only the unit's counts
            queues.append((server.name, queue))
    for front in files.fronts:
        if "backlog" in front.numbers:
            queues.append((front.kind, front.numbers["backlog"]))
    for what, queue in queues:
        if queue.value > most and (queue.written or kernel is not None):
            yield finding(
                f"{what} asks for {queue.value:g} waiting connections, and the kernel keeps {most:g}",
                f"set 512, or {most:g} at most",
                queue,
                kernel or Place("Linux", 0, f"net.core.somaxconn is {most:g} by default"),
            )


@RULES.rule(
    "R13",
    "No layer sends a request a second time that may have an effect, and one layer retries.",
    "RFC 9110 9.2.2; ngx_http_proxy_module, proxy_next_upstream; HAProxy, retry-on; measured",
)
def no_request_twice(files: Files) -> Iterator[Finding]:
    for route in files.routes:
        twice = route.texts.get("retried_posts")
        if twice is not None:
            yield finding(
                f"{front_of(route)} may send a POST again at {route.path}",
                {
                    "nginx": "proxy_next_upstream error timeout",
                    "haproxy": "retry-on conn-failure",
                }.get(route.front.kind, "retry GET only"),
                twice,
                route.place,
            )
    retrying = [
        (front, next(r.texts["retries"] for r in front.routes if "retries" in r.texts))
        for front in files.fronts
        if any("retries" in r.texts for r in front.routes)
    ]
    if len(retrying) > 1:
        yield finding(
            "two layers send requests again, so one request becomes several",
            "retry in one layer",
            retrying[0][1],
            retrying[1][1],
        )


@RULES.rule(
    "R15",
    "Something in front of threads and processes takes slow request bodies: a proxy that buffers, or an asynchronous "
    "server.",
    "ngx_http_proxy_module, proxy_request_buffering; HAProxy, option http-buffer-request; measured",
)
def slow_bodies_are_buffered(files: Files) -> Iterator[Finding]:
    for route, server in files.served(streams=False):
        if not server.blocks:
            continue
        request, response = route.texts.get("request_buffering"), route.texts.get("response_buffering")
        outer = files.outer(route.front)
        if outer is not None and outer.kind == "nginx":
            continue
        if request is not None and request.value == "off":
            yield finding(
                f"{front_of(route)} passes slow bodies on to {server.name}'s {server.worker} worker at {route.path}",
                "proxy_request_buffering on" if route.front.kind == "nginx" else "option http-buffer-request",
                request,
                server.place,
            )
        if response is not None and response.value == "off":
            yield finding(
                f"a slow reader occupies a {server.worker} worker of {server.name} at {route.path}",
                "proxy_buffering on, except for streams",
                response,
                server.place,
            )


@RULES.rule(
    "R17",
    "Every layer has the same limit for a request body.",
    "ngx_http_core_module, client_max_body_size; Django, DATA_UPLOAD_MAX_MEMORY_SIZE; measured",
    computes=("max_bytes",),
)
def one_body_limit(files: Files) -> Iterator[Finding]:
    own = files.chain.numbers.get("max_bytes") if files.chain is not None else None
    django = files.chain.numbers.get("django_max") if files.chain is not None else None
    for route in files.routes:
        outer = route.numbers.get("body")
        inner_front = files.inner(route.front)
        inner = own
        if inner_front is not None:
            limits = [r.numbers["body"] for r in inner_front.routes if "body" in r.numbers]
            inner = max(limits, key=lambda fact: fact.value, default=own)
        if outer is None or inner is None or (outer.value == 0 and not outer.written):
            if outer is not None and django is not None and 0 < outer.value < django.value * (1 - _ROUNDING):
                yield finding(
                    f"{front_of(route)} takes {_bytes(outer.value)}, and Django {_bytes(django.value)}",
                    f"client_max_body_size {django.value:g}",
                    outer,
                    django,
                )
            continue
        low, high = inner.value * (1 - _ROUNDING), inner.value * _SLIGHTLY
        if outer.value == 0 or not low <= outer.value <= high:
            yield finding(
                f"{front_of(route)} takes {_bytes(outer.value)} at {route.path}, and the layer behind it "
                f"{_bytes(inner.value)}",
                f"write the same limit in both: {_bytes(inner.value)}",
                outer,
                inner,
            )


def _bytes(number: float) -> str:
    if number == 0:
        return "bodies of any size"
    return f"{number / 2**20:g} MiB" if number >= 2**20 else f"{number:g} bytes"


#: HAProxy's own tune.bufsize, for all headers together.
_BUFSIZE = 16384


@RULES.rule(
    "R18",
    "A proxy passes no longer request line or header on than the server takes.",
    "ngx_http_core_module, large_client_header_buffers; gunicorn settings, limit_request_line",
    computes=("header_bytes", "limit_header_bytes"),
)
def headers_fit(files: Files) -> Iterator[Finding]:
    for front in files.fronts:
        outer = front.numbers.get("header_bytes")
        for server in files.servers if server_limits(front.kind) else ():
            for name, what in (("limit_request_line", "a request line"), ("limit_request_field_size", "a header")):
                inner = server.number(name)
                if inner is None or inner.value == 0 or outer is None:
                    continue
                # Two defaults are the programs' own affair; rounding is allowed: 8k against 8190.
                wrong = outer.value > inner.value * (1 + _ROUNDING)
                if not wrong or not (outer.written or inner.written):
                    continue
                if not inner.written and name == "limit_request_line" and outer.value <= 8192:
                    continue
                if front.kind == "haproxy" and (not outer.written or outer.value <= _BUFSIZE):
                    continue
                yield finding(
                    f"{front.kind} passes {outer.value:g} bytes of {what} on, and {server.name} takes {inner.value:g}",
                    f"{name} = 8190, and large_client_header_buffers 4 8k",
                    outer,
                    inner,
                )


def server_limits(kind: str) -> bool:
    return kind in ("nginx", "haproxy")


@RULES.rule(
    "R19",
    "A proxy sends no more requests to a server at once than the server can run or soon will.",
    "HAProxy, server maxconn; ngx_http_upstream_module, max_conns",
    computes=("concurrency", "queue"),
    unseen="the pool of the database",
)
def concurrency_fits(files: Files) -> Iterator[Finding]:
    for route, server in files.served(streams=False):
        most = route.numbers.get("max_conns")
        workers, threads = server.number("workers"), server.number("threads")
        limit = server.number("limit_concurrency")
        if most is None or most.value == 0:
            continue
        if limit is not None and most.value > limit.value:
            yield finding(
                f"{front_of(route)} sends {most.value:g} requests at once, and {server.name} refuses above "
                f"{limit.value:g}",
                f"set {limit.value:g} at most",
                most,
                limit,
            )
        if not server.blocks or workers is None:
            continue
        runs = workers.value * (threads.value if threads is not None and server.worker != "sync" else 1)
        if most.value > _QUEUE * runs:
            yield finding(
                f"{front_of(route)} sends {most.value:g} requests at once, and {server.name} runs {runs:g}",
                f"set {2 * runs:g}",
                most,
                workers,
                threads,
            )


@RULES.rule(
    "R20",
    "Server-sent events are not held back.",
    "ngx_http_proxy_module, proxy_buffering, X-Accel-Buffering; measured: with TLS NGINX holds events to the end",
    computes=("streams",),
)
def events_are_not_held(files: Files) -> Iterator[Finding]:
    chain = files.chain
    says = (chain is not None and "unbuffered" in chain.names) or "accel" in files.texts
    for route in files.routes:
        buffered = route.texts.get("response_buffering")
        ignored = route.texts.get("accel_ignored")
        events = route.front.kind == "nginx" and route.stream and not route.websocket and not route.unknown
        buffers = (buffered is None or buffered.value == "on") and (not says or ignored is not None)
        if events and buffers:
            yield finding(
                f"NGINX holds the events of {route.path} back",
                "proxy_buffering off there, or Unbuffered() in the application",
                ignored or buffered or route.place,
                chain.place if chain is not None else route.front.place,
            )
        if route.front.kind == "caddy" and route.stream and buffered is not None and buffered.value == "on":
            yield finding(f"Caddy holds the events of {route.path} back", "flush_interval -1", buffered, route.place)
        if route.front.kind == "nginx" and not route.stream and ignored is not None and says and chain is not None:
            yield finding(
                "NGINX ignores X-Accel-Buffering of the application",
                "remove X-Accel-Buffering from proxy_ignore_headers",
                ignored,
                chain.names.get("unbuffered") or chain.place,
            )


@RULES.rule(
    "R21",
    "One layer compresses, never server-sent events, and it sends Vary.",
    "RFC 9110 12.5.5; ngx_http_gzip_module; measured",
)
def one_layer_compresses(files: Files) -> Iterator[Finding]:
    own = files.chain.names.get("compression") if files.chain is not None else None
    compressing: list[tuple[str, Fact[str]]] = []
    for front in files.fronts:
        gzip, types, vary = front.texts.get("gzip"), front.texts.get("gzip_types"), front.texts.get("gzip_vary")
        if gzip is not None:
            compressing.append((front.kind, gzip))
        if types is not None and {"text/event-stream", "*", "text/*"} & set(types.value.split()):
            yield finding(
                f"{front.kind} compresses server-sent events, and holds them back",
                "name the types, without text/event-stream",
                types,
                gzip or front.place,
            )
        if gzip is not None and vary is not None and vary.value == "off":
            yield finding("NGINX compresses without Vary, so caches mix responses", "gzip_vary on", vary, gzip)
        if gzip is not None and own is not None:
            yield finding(f"{front.kind} and the application both compress", "remove one of them", gzip, own)
    if len(compressing) > 1:
        yield finding(
            f"{compressing[0][0]} and {compressing[1][0]} both compress",
            "remove one of them",
            compressing[0][1],
            compressing[1][1],
        )


@RULES.rule(
    "R22",
    "One layer serves the static files.",
    "ngx_http_core_module, alias; WhiteNoise",
    computes=("static", "static_url"),
)
def one_layer_serves_files(files: Files) -> Iterator[Finding]:
    chain = files.chain
    own = None if chain is None else chain.names.get("static_files") or chain.names.get("whitenoise")
    for front in files.fronts:
        theirs = front.texts.get("static")
        if theirs is not None and own is not None:
            yield finding(
                f"{front.kind} and the application both serve static files", "leave them to the proxy", theirs, own
            )


@RULES.rule(
    "R33",
    "The workers fit into the memory and the processors of a container.",
    "Kubernetes, Resource Management; HorizontalPodAutoscaler",
    computes=("workers", "request_memory", "limit_memory", "cpu"),
    unseen="the real memory of a worker; 128 MiB count",
)
def workers_fit(files: Files) -> Iterator[Finding]:
    container = files.texts.get("container")
    for server in files.servers:
        by_cpu = server.text("cpu_workers")
        if by_cpu is not None and container is not None:
            yield finding(
                "the number of workers follows the processors of the machine, not of the container",
                'workers = int(os.environ.get("WEB_CONCURRENCY", "2"))',
                by_cpu,
                container,
            )
    for stop in files.stops:
        limit = stop.numbers.get("memory")
        for server in files.servers if limit is not None else ():
            workers = server.number("workers")
            if limit is None or workers is None or server.unit != stop.unit:
                continue
            if workers.value * _WORKER_MEMORY > limit.value:
                yield finding(
                    f"{workers.value:g} workers of 128 MiB, and a limit of {limit.value / 2**20:g} MiB",
                    "raise the limit, or start fewer workers",
                    workers,
                    limit,
                )
    for pod in files.pods:
        memory, cpu = pod.numbers.get("memory"), pod.numbers.get("cpu")
        asked = pod.texts.get("hpa_cpu")
        if asked is not None and cpu is None:
            yield finding(
                "the autoscaler measures the processor against a request that the container does not have",
                "resources: requests: cpu",
                asked,
                pod.place,
            )
        for server in files.servers:
            workers = server.number("workers")
            if workers is None or (server.unit and server.unit != pod.unit):
                continue
            if memory is not None and workers.value * _WORKER_MEMORY > memory.value:
                yield finding(
                    f"{workers.value:g} workers of 128 MiB, and a limit of {memory.value / 2**20:g} MiB",
                    "raise the limit, or start fewer workers",
                    workers,
                    memory,
                )
            if cpu is not None and workers.value > max(1.0, cpu.value * _WORKERS_PER_CPU) and workers.value > 2:
                yield finding(
                    f"{workers.value:g} workers on {cpu.value:g} of a processor",
                    "ask for more, or start fewer workers",
                    workers,
                    cpu,
                )


@RULES.rule(
    "R43",
    "A process may open two files for each of its connections, and a proxy has connections enough.",
    "nginx, worker_connections, worker_rlimit_nofile; systemd.exec, LimitNOFILE",
    computes=("nofile", "connections"),
)
def files_are_enough(files: Files) -> Iterator[Finding]:
    for front in files.fronts:
        open_files, connections = front.numbers.get("nofile"), front.numbers.get("connections")
        if connections is None:
            continue
        if open_files is not None and open_files.value < 2 * connections.value:
            yield finding(
                f"{front.kind} may open {open_files.value:g} files, and has {connections.value:g} connections",
                f"set {2 * connections.value:g} or more",
                open_files,
                connections,
            )
        if front.kind == "nginx" and connections.written and connections.value < _FEWEST_CONNECTIONS:
            yield finding(
                f"{connections.value:g} connections for clients and servers together",
                "worker_connections 4000",
                connections,
                front.place,
            )
    for stop in files.stops:
        limit = stop.numbers.get("nofile")
        servers = [s for s in files.servers if s.unit == stop.unit]
        for server in servers if limit is not None else ():
            most = server.number("worker_connections")
            needed = 2 * (most.value if most is not None else 1000.0)
            if limit is not None and limit.value < needed:
                yield finding(
                    f"a worker may open {limit.value:g} files, and takes {needed / 2:g} connections",
                    f"LimitNOFILE={max(8192, int(needed))}",
                    limit,
                    most or server.place,
                )
