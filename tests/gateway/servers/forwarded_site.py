"""An application that says what a proxy told it, behind several chains in one process: the Host header chooses one."""

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


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    host = dict(scope["headers"])[b"host"].decode()
    client = scope["client"][0] if scope["client"] else "-"
    seen = (scope["scheme"], client, host, scope["root_path"], scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": " ".join(seen).encode()})


def _chains() -> dict[str, Sequence[Middleware]]:
    proxy = ProxyHeaders(trust=("unix:", "127.0.0.1"), host=True, prefix=True)
    return {
        "balanced": behind_load_balancer(hosts=(HOST, "balanced"), proxy_headers=proxy, access_log=None),
        "nginx": behind_nginx(hosts=(HOST, "nginx"), proxy_headers=proxy, access_log=None),
        "edge": [ProxyHeaders(trust=(), mode="off")],
    }


for_wsgi = Mount({host: Gateway(wsgi, middleware=chain) for host, chain in _chains().items()}, default=wsgi)
for_asgi = Mount({host: Gateway(asgi, middleware=chain) for host, chain in _chains().items()}, default=asgi)
#: One chain alone, as most have it.
balanced_wsgi = Gateway(wsgi, middleware=_chains()["balanced"])
balanced_asgi = Gateway(asgi, middleware=_chains()["balanced"])
