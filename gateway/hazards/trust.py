"""Rules about trust: hosts, client addresses, request ids, HTTPS, metrics (R23 to R27, R29, R30, R41, R42).

(Above 400 lines, because each rule is beside its check, and the headers of one request are read together.)
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.hazards.facts import Chain, Fact, Files, Finding, Front, Route, joined
from gateway.hazards.table import HazardTable, finding

__all__ = ["RULES", "front_of"]

RULES = HazardTable()

#: Headers about the client's request that only a proxy may set, beside X-Forwarded-For and -Proto.
_FAMILY = ("x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "forwarded")
_EVERYBODY = ("*", "0.0.0.0/0", "::/0", "all", "0.0.0.0")
_LONGEST_STORE_TIMEOUT = 1.0


def _proxied(files: Files) -> Iterator[tuple[Front, Route]]:
    """Return the routes of proxies whose headers can be seen."""
    for front in files.fronts:
        if front.kind != "route":
            for route in front.routes:
                yield front, route


def _allowed(chain: Chain | None) -> Fact[str] | None:
    return None if chain is None else chain.texts.get("hosts")


def _matches(host: str, pattern: str) -> bool:
    bare = pattern.removeprefix("*").removeprefix(".") if pattern[:1] in "*." else ""
    return host == pattern or (bool(bare) and (host == bare or host.endswith("." + bare)))


@RULES.rule(
    "R23",
    "The Host header passes unchanged, and every layer has the same list of hosts.",
    "RFC 9110 7.2; ngx_http_proxy_module, proxy_set_header; Django, ALLOWED_HOSTS",
    computes=("hosts",),
    unseen="the names of the certificate",
)
def host_is_passed(files: Files) -> Iterator[Finding]:
    allowed = _allowed(files.chain)
    if allowed is not None and "*" in allowed.value.split():
        yield finding("every host is allowed", "name your hosts", allowed, files.chain.place if files.chain else None)
    for front, route in _proxied(files):
        host = route.headers.get("host")
        if front.kind == "nginx" and host is None and not route.unknown:
            yield finding(
                f"NGINX sends the name of the upstream as Host at {route.path}",
                "proxy_set_header Host $host",
                type(route.place)(route.place.file, route.place.line, f"{route.place.text} without a Host header"),
                next((place.place for place in route.hosts), front.place),
            )
        elif host is not None and _replaced(front, route, host.value):
            yield finding(
                f"Host is {host.value or 'removed'} at {route.path}",
                "proxy_set_header Host $host" if front.kind == "nginx" else "remove the line: the proxy passes Host on",
                host,
                route.place,
            )
    for route in files.routes:
        for name in route.hosts:
            if allowed is None or "*" in allowed.value.split():
                break
            if not any(_matches(name.value, pattern) for pattern in allowed.value.split()):
                yield finding(
                    f"{front_of(route)} serves {name.value}, and the application refuses that host",
                    f"allow {name.value} in the application, or remove it from the proxy",
                    name,
                    allowed,
                )
    served = {name.value for route in files.routes for name in route.hosts}
    if allowed is not None and served and not any(name.startswith(("*", ".")) for name in served):
        public = [h for h in allowed.value.split() if "." in h.strip(".") and h[0] not in "*." and not _is_address(h)]
        missing = [h for h in public if h not in served]
        if missing and all(route.hosts for route in files.routes):
            yield finding(
                f"the application allows {joined(missing)}, and no proxy serves it",
                "write the same hosts in both",
                allowed,
                next(name for route in files.routes for name in route.hosts),
            )


def _replaced(front: Front, route: Route, host: str) -> bool:
    """Whether a proxy sends another Host than the client's: the upstream's name, none, or a constant."""
    if host in ("$http_host", "$proxy_host", ""):
        return True
    constant = front.kind == "caddy" or (front.kind == "nginx" and "$" not in host)
    return constant and host not in [name.value for name in route.hosts]


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdecimal() or ":" in host


def front_of(route: Route) -> str:
    return {"nginx": "NGINX", "haproxy": "HAProxy", "caddy": "Caddy", "route": "the route"}[route.front.kind]


@RULES.rule(
    "R24",
    "The outermost layer refuses hosts that it does not know, and health checks pass the check of hosts.",
    "RFC 9110 7.4; ngx_http_core_module, listen default_server",
)
def unknown_hosts_are_refused(files: Files) -> Iterator[Finding]:
    for front in files.fronts:
        open_to = front.texts.get("unknown_hosts")
        inner = files.inner(front)
        if open_to is None or (inner is not None and inner.complete and "unknown_hosts" not in inner.texts):
            continue
        if not files.at_edge(front) and front.kind != "haproxy" and files.outer(front) is not None:
            outer = files.outer(front)
            if outer is not None and "unknown_hosts" not in outer.texts:
                continue
        yield finding(
            f"{front.kind} passes requests for any host on",
            {
                "nginx": "add a default_server that returns 444",
                "haproxy": "http-request deny deny_status 421 unless { hdr(host),host_only -i example.com }",
            }.get(front.kind, "name the hosts of the site"),
            open_to,
            next((route.place for route in front.routes if route.place != open_to.place), front.place),
        )
    chain = files.chain
    if chain is not None and {"health", "trusted_host"} <= set(chain.names):
        names = list(chain.names)
        if names.index("trusted_host") < names.index("health"):
            yield finding(
                "TrustedHost refuses health checks that use an address as their host",
                "put health before trusted_host",
                chain.names["trusted_host"],
                chain.names["health"],
            )


@RULES.rule(
    "R25",
    "The client's address and scheme come from proxies only: the outermost one sets them, and one place decides.",
    "RFC 7239 8.1; gunicorn settings, forwarded_allow_ips; uvicorn, --forwarded-allow-ips; measured",
    computes=("balancers",),
)
def addresses_are_not_forged(files: Files) -> Iterator[Finding]:
    for front, route in _proxied(files):
        edge = files.at_edge(front)
        address, scheme = route.headers.get("x-forwarded-for"), route.headers.get("x-forwarded-proto")
        if front.kind == "nginx":
            yield from _nginx_addresses(front, route, edge, address, scheme)
        elif address is not None and address.value in ("append", "client", "if-none") and edge:
            yield finding(
                f"{front.kind} keeps a client's own X-Forwarded-For at {route.path}",
                "http-request del-header X-Forwarded-For, before option forwardfor"
                if front.kind == "haproxy"
                else "remove the line: Caddy sets the header",
                address,
                route.place,
            )
        elif front.kind == "haproxy" and address is None:
            yield finding(
                f"HAProxy passes a client's own X-Forwarded-For on at {route.path}",
                "http-request del-header X-Forwarded-For, and option forwardfor",
                type(front.place)(front.place.file, 0, "X-Forwarded-For is not set"),
                route.place,
            )
        if front.kind == "haproxy" and scheme is None and edge:
            yield finding(
                f"HAProxy passes a client's own X-Forwarded-Proto on at {route.path}",
                "http-request set-header X-Forwarded-Proto https",
                type(front.place)(front.place.file, 0, "X-Forwarded-Proto is not set"),
                route.place,
            )
        trusted = front.texts.get("trusted")
        if trusted is not None and set(trusted.value.split()) & set(_EVERYBODY):
            yield finding(
                f"{front_of(route)} takes the client's address from everybody",
                "name the networks of your balancers",
                trusted,
                front.place,
            )
    yield from _server_trust(files)
    yield from _chain_trust(files)


def _nginx_addresses(
    front: Front, route: Route, edge: bool, address: Fact[str] | None, scheme: Fact[str] | None
) -> Iterator[Finding]:
    if not route.unknown:
        for name, value in (("X-Forwarded-For", address), ("X-Forwarded-Proto", scheme)):
            if value is None:
                yield finding(
                    f"NGINX passes a client's own {name} on at {route.path}",
                    f"proxy_set_header {name} {'$remote_addr' if name.endswith('For') else '$scheme'}, in the same "
                    "block as the other headers",
                    type(front.place)(route.place.file, route.place.line, f"{name} is not set for {route.path}"),
                    front.place,
                )
    if address is not None and edge and "$proxy_add_x_forwarded_for" in address.value:
        yield finding(
            f"NGINX at the edge keeps a client's own X-Forwarded-For at {route.path}",
            "proxy_set_header X-Forwarded-For $remote_addr; behind a balancer, name it with set_real_ip_from",
            address,
            route.place,
        )
    if address is not None and "$http_x_forwarded_for" in address.value:
        yield finding(
            f"X-Forwarded-For is the client's own at {route.path}",
            "proxy_set_header X-Forwarded-For $remote_addr",
            address,
            route.place,
        )
    if scheme is not None and edge and "$http_x_forwarded_proto" in scheme.value:
        yield finding(
            f"X-Forwarded-Proto is the client's own at {route.path}",
            "proxy_set_header X-Forwarded-Proto $scheme",
            scheme,
            route.place,
        )


def _server_trust(files: Files) -> Iterator[Finding]:
    """Judge the servers' own belief in addresses."""
    for server in files.servers:
        trusted = server.text("forwarded_allow_ips")
        unix = bool(server.binds) and all(b.startswith("unix:") for b in server.binds)
        held = any(s.address.value.startswith(("/", "unix:")) for s in files.sockets)
        everybody = trusted is not None and set(trusted.value.replace(",", " ").split()) & set(_EVERYBODY)
        if everybody and not (unix or held):
            yield finding(
                f"{server.name} takes the client's address from everybody",
                "name the proxies, or leave it to ProxyHeaders",
                trusted,
                server.text("bind") or server.place,
            )
            continue
        believes = server.name in ("uvicorn", "daphne") and server.text("proxy_headers") is not None
        chain = files.chain
        explicit = believes and server.texts["proxy_headers"].written
        if chain is not None and "proxy_headers" in chain.names and explicit:
            yield finding(
                f"{server.name} and ProxyHeaders both decide about the client's address",
                "--no-proxy-headers" if server.name == "uvicorn" else "remove --proxy-headers",
                server.texts["proxy_headers"],
                chain.names["proxy_headers"],
            )


def _chain_trust(files: Files) -> Iterator[Finding]:
    chain = files.chain
    if chain is None:
        return
    trust, hops = chain.texts.get("trust"), chain.numbers.get("hops")
    if trust is not None and set(trust.value.split()) & set(_EVERYBODY):
        yield finding("ProxyHeaders trusts everybody", "trust= the networks of your proxies", trust, chain.place)
    proxies = [front for front in files.fronts if front.kind != "route"]
    if hops is None or not proxies:
        return
    counted = sum(1 for front in proxies if front.routes)
    evidence = next(
        (front.behind for front in proxies if front.behind is not None and files.outer(front) is None), None
    )
    counted += evidence is not None
    if hops.value != counted:
        yield finding(
            f"hops={hops.value:g}, and the files show {counted} proxies that write the client's address",
            f"hops={counted}",
            hops,
            evidence or proxies[0].place,
        )
    last = next((front for front in proxies if files.inner(front) is None), None)
    for route in last.routes if last is not None and hops.value > 1 else ():
        address = route.headers.get("x-forwarded-for")
        if address is not None and address.value == "$remote_addr":
            yield finding(
                f"hops={hops.value:g}, and NGINX writes one address only",
                "hops=1, or proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for",
                hops,
                address,
            )


@RULES.rule(
    "R26",
    "A proxy removes every header about the client's request that it does not set: X-Forwarded-Host, -Port and "
    "-Prefix, and Forwarded.",
    "RFC 7239 8.1; measured",
)
def family_is_removed(files: Files) -> Iterator[Finding]:
    for front, route in _proxied(files):
        handled = [name for name in _FAMILY if name in route.headers]
        left = [name for name in _FAMILY if name not in route.headers]
        if not files.at_edge(front) and files.outer(front) is not None:
            continue  # the outer proxy removes them, and is judged
        if left and not route.unknown and (handled or front.kind != "caddy"):
            names = joined("-".join(part.capitalize() for part in name.split("-")) for name in left)
            yield finding(
                f"{front_of(route)} passes a client's own {names} on at {route.path}",
                {
                    "nginx": f'proxy_set_header {names.split(", ")[0]} ""',
                    "haproxy": f"http-request del-header {names.split(', ')[0]}",
                }.get(front.kind, f"header_up -{names.split(', ')[0]}"),
                type(front.place)(route.place.file, route.place.line, f"{names} is not removed at {route.path}"),
                route.headers[handled[0]] if handled else front.place,
            )
        for name in handled:
            if route.headers[name].value.startswith(("$http_", "client")) and files.at_edge(front):
                yield finding(
                    f"{front_of(route)} passes a client's own {name} on at {route.path}",
                    f"remove {name} there",
                    route.headers[name],
                    route.place,
                )


@RULES.rule(
    "R27",
    "The outermost layer makes the request id, and the layers inside pass it on.",
    "ngx_http_core_module, $request_id; HAProxy, unique-id-header; measured",
)
def request_id_is_made(files: Files) -> Iterator[Finding]:
    own = None if files.chain is None else files.chain.texts.get("request_id")
    makes = own is not None and own.value == "never"
    for front, route in _proxied(files):
        identity = route.headers.get("x-request-id")
        edge = files.at_edge(front)
        if identity is None:
            if edge and not makes and not route.unknown:
                yield finding(
                    f"{front_of(route)} passes a client's own X-Request-ID on at {route.path}",
                    {
                        "nginx": "proxy_set_header X-Request-ID $request_id",
                        "haproxy": "http-request set-header X-Request-ID %[uuid()]",
                    }.get(front.kind, "header_up X-Request-ID {http.request.uuid}"),
                    type(front.place)(route.place.file, route.place.line, f"X-Request-ID is not set at {route.path}"),
                    own or front.place,
                )
        elif edge and ("$http_x_request_id" in identity.value or identity.value in ("client", "if-none")):
            yield finding(
                f"the request id is the client's own at {route.path}",
                "make it here: $request_id" if front.kind == "nginx" else "set it always",
                identity,
                own or route.place,
            )
        elif not edge and files.outer(front) is not None and identity.value == "$request_id":
            outer = files.outer(front)
            ids = (
                []
                if outer is None
                else [r.headers["x-request-id"] for r in outer.routes if "x-request-id" in r.headers]
            )
            first = ids[0] if ids else None
            if outer is not None and first is not None:
                yield finding(
                    f"NGINX replaces the request id of {outer.kind}",
                    "proxy_set_header X-Request-ID $http_x_request_id",
                    identity,
                    first,
                )
    if own is not None and own.value == "valid":
        yield finding(
            "RequestId takes the id of every client",
            'accept = "trusted-peer"',
            own,
            files.fronts[0].place if files.fronts else None,
        )


@RULES.rule(
    "R29",
    "One layer redirects to HTTPS, one sends Strict-Transport-Security, and the one that ends TLS sets the scheme.",
    "RFC 6797; Django, SECURE_PROXY_SSL_HEADER; measured: endless redirects",
)
def one_layer_redirects(files: Files) -> Iterator[Finding]:
    chain = files.chain
    redirects = chain.texts.get("redirect") if chain is not None else None
    hsts = chain.numbers.get("hsts") if chain is not None else None
    for front in files.fronts:
        theirs, their_hsts = front.texts.get("redirect"), front.texts.get("hsts")
        if theirs is not None and redirects is not None:
            yield finding(
                f"{front.kind} and the application both redirect to HTTPS", "leave it to the proxy", theirs, redirects
            )
        if their_hsts is not None and hsts is not None and hsts.value > 0:
            yield finding(
                f"{front.kind} and the application both send Strict-Transport-Security",
                "leave it to the proxy",
                their_hsts,
                hsts,
            )
        outer = files.outer(front)
        for route in front.routes if front.kind == "nginx" else ():
            scheme = route.headers.get("x-forwarded-proto")
            behind = front.behind or (outer.place if outer is not None else None)
            if scheme is None:
                continue
            if behind is not None and not route.tls and scheme.value == "$scheme":
                yield finding(
                    f"TLS ends in front of NGINX, which names http as the scheme of every request at {route.path}",
                    "pass the balancer's X-Forwarded-Proto on, from its address only",
                    scheme,
                    behind,
                )
            elif scheme.value == "https" and not route.tls and behind is None and front.complete:
                yield finding(
                    f"X-Forwarded-Proto is https for requests without TLS at {route.path}",
                    "proxy_set_header X-Forwarded-Proto $scheme",
                    scheme,
                    route.place,
                )
            elif scheme.value == "http" and route.tls:
                yield finding(
                    f"X-Forwarded-Proto is http for requests with TLS at {route.path}",
                    "proxy_set_header X-Forwarded-Proto $scheme",
                    scheme,
                    route.place,
                )
    for front in files.fronts if redirects is not None else ():
        for route in front.routes:
            scheme = route.headers.get("x-forwarded-proto")
            if scheme is not None and scheme.value == "" and front.kind == "nginx":
                yield finding(
                    "the application redirects to HTTPS, and does not learn the scheme: endless redirects",
                    "proxy_set_header X-Forwarded-Proto $scheme",
                    scheme,
                    redirects,
                )
    outermost = [front for front in files.fronts if files.outer(front) is None and front.kind == "haproxy"]
    for front in outermost:
        for route in front.routes:
            scheme = route.headers.get("x-forwarded-proto")
            if scheme is not None and route.tls and scheme.value == "http":
                yield finding("X-Forwarded-Proto is http for requests with TLS", "set https", scheme, route.place)


@RULES.rule(
    "R30",
    "Clients cannot read the metrics.",
    "Prometheus, Security model",
    computes=("metrics_path",),
)
def metrics_are_closed(files: Files) -> Iterator[Finding]:
    chain = files.chain
    path = chain.texts.get("metrics_path") if chain is not None else None
    allow = chain.texts.get("metrics_allow") if chain is not None else None
    if path is not None and allow is not None and set(allow.value.split()) & set(_EVERYBODY):
        yield finding("everybody may read the metrics", "allow= the scraper's network", allow, path)
    evidence = path or files.texts.get("metrics")
    guarded = (
        allow is not None
        and allow.written
        and not set(allow.value.split()) & set(_EVERYBODY)
        and not _everything_is_local(files)
    )
    for front in files.fronts:
        opened, blocked = front.texts.get("metrics_open"), front.texts.get("metrics_blocked")
        if path is not None and blocked is not None and path.value not in blocked.value.replace("\\", ""):
            blocked = None  # it refuses another path
        if opened is not None:
            yield finding(
                f"{front.kind} passes {opened.value} on to everybody",
                "return 404, or allow only the scraper",
                opened,
                front.place,
            )
            continue
        seen = bool(front.routes) and front.kind != "route" and not any(route.unknown for route in front.routes)
        if evidence is not None and blocked is None and seen and not guarded and files.at_edge(front):
            yield finding(
                f"{front.kind} passes {path.value if path else '/metrics'} on to everybody",
                "location = /metrics { return 404; }" if front.kind == "nginx" else "refuse the path there",
                type(front.place)(front.place.file, 0, "nothing refuses the path of the metrics"),
                evidence,
            )


def _everything_is_local(files: Files) -> bool:
    """Whether the application takes every client for a local one: it has no `ProxyHeaders` to name the client."""
    chain = files.chain
    return chain is not None and chain.complete and "proxy_headers" not in chain.names


@RULES.rule(
    "R41",
    "A store of limits that hangs costs each request little.",
    "redis-py, socket_timeout; measured: 0.09 s became 6.1 s",
)
def store_is_quick(files: Files) -> Iterator[Finding]:
    limit = files.chain.numbers.get("store_timeout") if files.chain is not None else None
    if limit is not None and limit.value > _LONGEST_STORE_TIMEOUT:
        yield finding(
            f"each request waits up to {limit.value:g} s for the store",
            "timeout = 0.1",
            limit,
            files.chain.names.get("rate_limit") if files.chain is not None else None,
        )


@RULES.rule(
    "R42",
    "The proxy's log has the request id, and one layer writes the log of a request's client.",
    "ngx_http_log_module, log_format; HAProxy, Log formats",
)
def log_has_the_id(files: Files) -> Iterator[Finding]:
    for front in files.fronts:
        without = front.texts.get("log_without_id")
        identity = next((r.headers["x-request-id"] for r in front.routes if "x-request-id" in r.headers), None)
        if without is not None and front.kind != "route":
            yield finding(
                f"the log of {front.kind} has no request id",
                "log_format with $request_id" if front.kind == "nginx" else "log-format with the id",
                without,
                identity or front.place,
            )
