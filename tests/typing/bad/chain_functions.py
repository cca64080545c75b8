"""Mistakes around a chain that a type checker must find: each line marked `error` has one."""

from werkzeug.middleware.proxy_fix import ProxyFix

from gateway.chain import ChainItem, asgi_only, either, path_in, unless, when, wsgi_only
from gateway.exchange import Request
from gateway.middleware import RequestId, edge

proxy_fix = wsgi_only(ProxyFix, x_for=1)


def is_post(request: Request) -> bool:
    return request.method == "POST"


def size(request: Request) -> str:
    return request.path


def environment(environ: dict[str, str]) -> bool:
    return bool(environ)


async def allowed(request: Request) -> bool:
    return True


wsgi_only("werkzeug.middleware.proxy_fix:ProxyFix")  # error
wsgi_only()  # error
wsgi_only(ProxyFix, safe_to_skip="yes")  # error
asgi_only(None)  # error

either(ProxyFix, ProxyFix)  # error
either(wsgi=ProxyFix)  # error
either(wsgi=proxy_fix, asgi="uvicorn")  # error
either(wsgi=ProxyFix, asgi=ProxyFix, safe_to_skip=True)  # error

when(is_post)  # error
when(RequestId(), is_post)  # error
when("/api", RequestId())  # error
when(size, RequestId())  # error
when(environment, RequestId())  # error
when(allowed, RequestId())  # error
when(is_post, RequestId)  # error
unless(is_post, ProxyFix)  # error
unless(True, proxy_fix)  # error

path_in(1)  # error
path_in(["/api", "/admin"])  # error
path_in("/api")("/api")  # error

items: list[ChainItem] = [proxy_fix, RequestId]  # error

edge(hosts=("example.org",), compresion=None)  # error
edge(hosts=("example.org",), errors=RequestId)  # error
edge(hosts=("example.org",), errors=None, compression="default")
