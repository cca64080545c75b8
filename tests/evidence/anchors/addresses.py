"""Who the client is, behind proxies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.middleware import ProxyHeaders
from tests.evidence.anchors.model import Case, Peer
from tests.middleware.stacks import Answer, Call

RFC7239 = "RFC 7239"
XFF, PROTO = "X-Forwarded-For", "X-Forwarded-Proto"
PROXY, STRANGER, CLIENT, FORGED = "10.0.0.7", "198.51.100.1", "203.0.113.9", "6.6.6.6"


def uvicorn(trusted: str, **more: Any) -> Peer:
    def build(app: Any) -> Any:
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        return ProxyHeadersMiddleware(app, trusted_hosts=trusted)

    return Peer("uvicorn", f'`ProxyHeadersMiddleware(trusted_hosts="{trusted}")`', build, **more)


def werkzeug(*, named: bool = True, **options: int) -> Peer:
    def build(app: Any) -> Any:
        from werkzeug.middleware.proxy_fix import ProxyFix

        return ProxyFix(app, **options)

    words = ", ".join(f"{name}={value}" for name, value in options.items())
    return Peer("werkzeug", f"`ProxyFix({words})`", build, side="wsgi", named=named)


def hypercorn(mode: str, *, named: bool = True) -> Peer:
    def build(app: Any) -> Any:
        from hypercorn.middleware import ProxyFixMiddleware

        return ProxyFixMiddleware(app, mode=mode, trusted_hops=1)  # type: ignore[arg-type]  # one of its two words

    return Peer("hypercorn", f'`ProxyFixMiddleware(mode="{mode}", trusted_hops=1)`', build, named=named)


def asked(*fields: tuple[str, str], peer: str = PROXY) -> tuple[Call]:
    return (Call(headers=(("Host", "example.org"), *fields), client=(peer, 50000)),)


def client(answer: Answer) -> str:
    return f"client {answer.seen[-1].client}" if answer.seen else str(answer.status)


def client_and_scheme(answer: Answer) -> str:
    return f"{client(answer)}, {answer.seen[-1].scheme}" if answer.seen else str(answer.status)


def is_client(*addresses: str) -> Callable[[Answer], bool]:
    return lambda answer: bool(answer.seen) and answer.seen[-1].client in addresses


def scheme(answer: Answer) -> str:
    return f"scheme {answer.seen[-1].scheme!r}" if answer.seen else str(answer.status)


def host(answer: Answer) -> str:
    return f"Host {answer.seen[-1].headers.get('host')!r}" if answer.seen else str(answer.status)


#: What a lifespan put into the state, a pool of connections for example: it cannot be copied, or must not.
POOL = object()


def _is_same_pool(answer: Answer) -> bool:
    return bool(answer.seen) and answer.seen[-1].native.get("state", {}).get("pool") is POOL


def trust() -> list[Any]:
    return [ProxyHeaders(trust=("10.0.0.0/8",))]


CASES = [
    Case(
        id="any-peer",
        part="ProxyHeaders",
        asks=f"every peer is trusted; `{XFF}: {FORGED}, {CLIENT}`; the client wrote the first address",
        rule=f"the client is {CLIENT}: the proxy appended the address that it saw",
        source="X-Forwarded-For convention; RFC 7239 section 8.1",
        peers=[uvicorn("*")],
        ours=lambda: [ProxyHeaders(trust=("*",), hops=1)],
        steps=asked((XFF, f"{FORGED}, {CLIENT}")),
        shows=client,
        judge=is_client(CLIENT),
    ),
    Case(
        id="no-address",
        part="ProxyHeaders",
        asks=f"a trusted proxy sends `{XFF}: <script>`",
        rule=f"an invalid address is ignored: the client is the peer, {PROXY}",
        source="RFC 7239 section 6",
        peers=[uvicorn("10.0.0.0/8"), werkzeug(x_for=1, named=False), hypercorn("legacy", named=False)],
        ours=trust,
        steps=asked((XFF, "<script>")),
        shows=client,
        judge=is_client(PROXY),
    ),
    Case(
        id="scheme-list",
        part="ProxyHeaders",
        asks=f"two trusted proxies: `{XFF}: {CLIENT}, 10.0.0.8`, `{PROTO}: https, http`",
        rule="the scheme has the same position in its list as the client: https",
        source="X-Forwarded-Proto convention; RFC 7239 section 5.4",
        peers=[uvicorn("10.0.0.0/8"), werkzeug(x_for=2, x_proto=2, named=False)],
        ours=trust,
        steps=asked((XFF, f"{CLIENT}, 10.0.0.8"), (PROTO, "https, http")),
        shows=client_and_scheme,
        judge=lambda answer: is_client(CLIENT)(answer) and answer.seen[-1].scheme == "https",
    ),
    Case(
        id="mapped-peer",
        part="ProxyHeaders",
        asks=f"the trusted proxy has the address `::ffff:{PROXY}`, from a dual-stack socket",
        rule=f"an IPv4-mapped address equals its IPv4 address: the client is {CLIENT}",
        source="RFC 4291 section 2.5.5.2",
        peers=[uvicorn("10.0.0.0/8")],
        ours=trust,
        steps=asked((XFF, CLIENT), peer=f"::ffff:{PROXY}"),
        shows=client,
        judge=is_client(CLIENT),
    ),
    Case(
        id="bits-in-the-network",
        part="ProxyHeaders",
        asks=f"the networks are configured as `10.0.0.1/8`; the proxy is {PROXY}",
        rule=f"an error when built, or the network 10.0.0.0/8: the client is {CLIENT}",
        source="RFC 4632 section 3.1",
        peers=[uvicorn("10.0.0.1/8")],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.1/8",))],
        steps=asked((XFF, CLIENT)),
        shows=client,
        judge=is_client(CLIENT),
        refusal_is_right=True,
    ),
    Case(
        id="rfc-7239",
        part="ProxyHeaders",
        asks=f"a trusted proxy sends `Forwarded: for={CLIENT};proto=https`",
        rule=f"the client is {CLIENT}, the scheme https",
        source="RFC 7239 sections 5.2, 5.4",
        peers=[uvicorn("10.0.0.0/8"), werkzeug(x_for=1, x_proto=1, named=False), hypercorn("modern", named=False)],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.0/8",), mode="forwarded")],
        steps=asked(("Forwarded", f"for={CLIENT};proto=https")),
        shows=client_and_scheme,
        judge=lambda answer: is_client(CLIENT)(answer) and answer.seen[-1].scheme == "https",
    ),
    Case(
        id="forwarded-host",
        part="ProxyHeaders",
        asks="a trusted proxy sends `X-Forwarded-Host: shop.example`, and this header is enabled",
        rule="the application sees the host that the client requested",
        source="X-Forwarded-Host convention; RFC 7239 section 5.3",
        peers=[uvicorn("10.0.0.0/8"), werkzeug(x_for=1, x_host=1, named=False), hypercorn("legacy", named=False)],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.0/8",), host=True)],
        steps=asked((XFF, CLIENT), ("X-Forwarded-Host", "shop.example")),
        shows=host,
        judge=lambda answer: bool(answer.seen) and answer.seen[-1].headers.get("host") == "shop.example",
    ),
    Case(
        id="stranger",
        part="ProxyHeaders",
        asks=f"a client connects directly from {STRANGER} and sends `{XFF}: {FORGED}`",
        rule=f"only proxies are trusted: the client is {STRANGER}",
        source="RFC 7239 section 8.1",
        peers=[
            werkzeug(x_for=1),
            hypercorn("legacy"),
            uvicorn("10.0.0.0/8", named=False),
        ],
        ours=trust,
        steps=asked((XFF, FORGED), peer=STRANGER),
        shows=client,
        judge=is_client(STRANGER),
    ),
    Case(
        id="scheme-of-nothing",
        part="ProxyHeaders",
        asks=f"a trusted proxy passes on `{PROTO}: javascript`",
        rule="a scheme is http or https: it stays http",
        source="ASGI HTTP `scheme`; PEP 3333 `wsgi.url_scheme`",
        peers=[
            werkzeug(x_for=1, x_proto=1),
            uvicorn("10.0.0.0/8", named=False),
            hypercorn("legacy", named=False),
        ],
        ours=trust,
        steps=asked((XFF, CLIENT), (PROTO, "javascript")),
        shows=scheme,
        judge=lambda answer: bool(answer.seen) and answer.seen[-1].scheme in ("http", "https"),
    ),
    Case(
        id="port",
        part="ProxyHeaders",
        asks=f"a trusted proxy sends `{XFF}: 1.2.3.4:5555`",
        rule="the address is 1.2.3.4",
        source="RFC 7239 section 6 (nodename and node-port)",
        peers=[
            werkzeug(x_for=1),
            uvicorn("10.0.0.0/8", named=False),
            hypercorn("legacy", named=False),
        ],
        ours=trust,
        steps=asked((XFF, "1.2.3.4:5555")),
        shows=client,
        judge=is_client("1.2.3.4"),
    ),
    Case(
        id="host-with-a-path",
        part="ProxyHeaders",
        asks="a trusted proxy passes on `X-Forwarded-Host: evil/../x`",
        rule="an invalid host is ignored: it stays example.org",
        source="RFC 3986 section 3.2.2",
        peers=[werkzeug(x_for=1, x_host=1), hypercorn("legacy", named=False)],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.0/8",), host=True)],
        steps=asked((XFF, CLIENT), ("X-Forwarded-Host", "evil/../x")),
        shows=host,
        judge=lambda answer: bool(answer.seen) and answer.seen[-1].headers.get("host") == "example.org",
    ),
    Case(
        id="prefix",
        part="ProxyHeaders",
        asks="a trusted proxy passes on `X-Forwarded-Prefix: //evil.example/..`",
        rule="an invalid path is ignored: the mount point does not change",
        source="RFC 3986 section 3.3",
        peers=[werkzeug(x_for=1, x_prefix=1, named=False)],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.0/8",), prefix=True)],
        steps=asked((XFF, CLIENT), ("X-Forwarded-Prefix", "//evil.example/..")),
        shows=lambda answer: f"mount point {answer.seen[-1].root_path!r}" if answer.seen else str(answer.status),
        judge=lambda answer: bool(answer.seen) and answer.seen[-1].root_path == "",
    ),
    Case(
        id="forwarded-in-capitals",
        part="ProxyHeaders",
        asks=f"a trusted proxy sends `Forwarded: For={CLIENT};Proto=https`",
        rule="parameter names are compared without case",
        source="RFC 7239 section 4",
        peers=[hypercorn("modern")],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.0/8",), mode="forwarded")],
        steps=asked(("Forwarded", f"For={CLIENT};Proto=https")),
        shows=client_and_scheme,
        judge=lambda answer: is_client(CLIENT)(answer) and answer.seen[-1].scheme == "https",
    ),
    Case(
        id="forwarded-quoted",
        part="ProxyHeaders",
        asks='a trusted proxy sends `Forwarded: for="[2001:db8::1]:4711"`',
        rule="the client is 2001:db8::1, without quotes, brackets and port",
        source="RFC 7239 section 6",
        peers=[hypercorn("modern")],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.0/8",), mode="forwarded")],
        steps=asked(("Forwarded", 'for="[2001:db8::1]:4711"')),
        shows=client,
        judge=is_client("2001:db8::1"),
    ),
    Case(
        id="state",
        part="ProxyHeaders",
        asks="the server passes the lifespan's `state` to the application",
        rule="the application gets the server's object, not a copy",
        source="ASGI Lifespan 2.0, state",
        peers=[hypercorn("legacy"), uvicorn("10.0.0.0/8", named=False)],
        ours=trust,
        steps=asked((XFF, CLIENT)),
        state={"pool": POOL},
        shows=lambda answer: "the same object" if _is_same_pool(answer) else "a copy",
        judge=_is_same_pool,
    ),
]
