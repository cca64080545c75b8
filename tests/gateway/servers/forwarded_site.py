"""A WSGI application that says what a proxy told it, behind several chains in one process.

The Host header chooses the chain. The same in ASGI is a module of its own, because gevent refuses ASGI applications.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway import Gateway, Mount
from gateway.contract import Middleware
from gateway.middleware import ProxyHeaders, behind_load_balancer, behind_nginx

HOST = "shop.example"
#: What the application says of `FORWARDED`, wherever it is served.
SEEN = "https 203.0.113.9 shop.example /shop /shop/cart"
#: What a proxy in front adds to each request. The first address is the client's own invention.
FORWARDED = (
    ("X-Forwarded-For", "6.6.6.6, 203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", HOST),
    ("X-Forwarded-Prefix", "/shop"),
)


def wsgi(environ: Any, start_response: Any) -> Any:
    root = environ["SCRIPT_NAME"]
    seen = (
        environ["wsgi.url_scheme"],
        environ.get("REMOTE_ADDR", ""),
        environ["HTTP_HOST"],
        root,
        root + environ["PATH_INFO"],
    )
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(seen).encode()]


def chains() -> dict[str, Sequence[Middleware]]:
    proxy = ProxyHeaders(trust=("unix:", "127.0.0.1"), host=True, prefix=True)
    return {
        "balanced": behind_load_balancer(hosts=(HOST, "balanced"), proxy_headers=proxy, access_log=None),
        "nginx": behind_nginx(hosts=(HOST, "nginx"), proxy_headers=proxy, access_log=None),
        "edge": [ProxyHeaders(trust=(), mode="off")],
    }


for_wsgi = Mount({host: Gateway(wsgi, middleware=chain) for host, chain in chains().items()}, default=wsgi)
#: One chain alone, as most have it.
balanced_wsgi = Gateway(wsgi, middleware=chains()["balanced"])
