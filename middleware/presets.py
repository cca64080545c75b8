"""Whole chains for the usual places of an application: behind a load balancer, behind NGINX, at the edge.

Each preset returns a tuple of middleware, outermost first, that goes into ``middleware=``. They differ in what already
stands in front: a load balancer ends TLS and names the client, NGINX also redirects, compresses, limits bodies and
serves files, and at the edge nothing is in front, so nothing that a request says of a proxy is believed.

Every part can be replaced by a middleware or left out by None. This module holds no behaviour of its own and no other
order than the classes' own order rules allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from gateway.contract import Middleware
from gateway.errors import ConfigurationError
from gateway.middleware.access_log import AccessLog
from gateway.middleware.body_limit import BodyLimit
from gateway.middleware.compression import Compression
from gateway.middleware.conditional_get import ConditionalGet
from gateway.middleware.cors import Cors
from gateway.middleware.errors import Errors
from gateway.middleware.health import Health
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.request_id import RequestId
from gateway.middleware.security_headers import SecurityHeaders
from gateway.middleware.static_files import StaticFiles
from gateway.middleware.trusted_host import TrustedHost
from gateway.middleware.unbuffered import Unbuffered

__all__ = ["Part", "behind_load_balancer", "behind_nginx", "edge"]

#: A part of a preset: a middleware instead of the preset's own, None for none, ``"default"`` for the preset's own.
Part: TypeAlias = Middleware | Literal["default"] | None

_MEBIBYTE = 2**20
_LOCAL = ("unix:", "127.0.0.1", "::1")


def behind_load_balancer(
    *,
    hosts: Sequence[str],
    platform: str | None = None,
    trust: Sequence[str] = (),
    hops: int | None = None,
    origins: Sequence[str] = (),
    static: Mapping[str, str | Path] | None = None,
    rate: str | None = None,
    max_bytes: int = 10 * _MEBIBYTE,
    hsts_seconds: int = 0,
    health: Part = "default",
    proxy_headers: Part = "default",
    request_id: Part = "default",
    access_log: Part = "default",
    metrics: Part = None,
    security_headers: Part = "default",
    trusted_host: Part = "default",
    https_redirect: Part = "default",
    cors: Part = "default",
    static_files: Part = "default",
    rate_limit: Part = "default",
    body_limit: Part = "default",
    compression: Part = "default",
    unbuffered: Part = None,
    conditional_get: Part = "default",
    errors: Part = "default",
) -> tuple[Middleware, ...]:
    """Return the chain behind a load balancer that ends TLS and does nothing else.

    Args:
        hosts: The hosts that are served, as ``TrustedHost(allowed=...)`` takes them.
        platform: Whose load balancer it is: one of ``gateway.middleware.proxy_headers.PLATFORMS``; or ``trust``.
        trust: Networks of the load balancer, as ``ProxyHeaders(trust=...)`` takes them.
        hops: How many proxies append to the list; None to walk by ``trust``.
        origins: Other origins whose pages may call the application; without one there is no ``Cors``.
        static: Folders to serve by URL prefix; without them there is no ``StaticFiles``.
        rate: A limit per client, ``"100/minute"``; without it there is no ``RateLimit``. It counts in this process:
            pass ``rate_limit=RateLimit(..., store="redis://...")`` to count for all.
        max_bytes: Size of the largest request body.
        hsts_seconds: ``max-age`` of Strict-Transport-Security; 0 sends none.
        health: Instead of ``Health()``.
        proxy_headers: Instead of the one of ``platform`` or ``trust``.
        request_id: Instead of one that makes each id itself, because these load balancers pass a client's own id on.
            It keeps a client's id in ``X-Client-Request-ID``. On Heroku, whose router logs the id, it takes that one.
        access_log: Instead of ``AccessLog()``.
        metrics: A ``Metrics(...)``; none of itself, as who may read the numbers is a decision.
        security_headers: Instead of ``SecurityHeaders()``.
        trusted_host: Instead of the one of ``hosts``.
        https_redirect: Instead of ``HttpsRedirect()``.
        cors: Instead of the one of ``origins``.
        static_files: Instead of the one of ``static``.
        rate_limit: Instead of the one of ``rate``.
        body_limit: Instead of the one of ``max_bytes``.
        compression: Instead of ``Compression()``.
        unbuffered: An ``Unbuffered()``, if the load balancer is an NGINX.
        conditional_get: Instead of ``ConditionalGet()``.
        errors: Instead of ``Errors()``.

    Raises:
        ConfigurationError: Neither ``platform``, ``trust`` nor ``proxy_headers`` says whom to believe, or two do; an
            option is refused by the part that it is for.
    """
    return _chain(
        health=health,
        proxy_headers=_balancer(platform, trust, hops) if proxy_headers == "default" else proxy_headers,
        request_id=_own_request_id(platform) if request_id == "default" else request_id,
        access_log=access_log,
        metrics=metrics,
        security_headers=security_headers,
        trusted_host=TrustedHost(allowed=hosts) if trusted_host == "default" else trusted_host,
        https_redirect=HttpsRedirect(hsts_seconds=hsts_seconds) if https_redirect == "default" else https_redirect,
        cors=_cors(origins) if cors == "default" else cors,
        static_files=_static(static) if static_files == "default" else static_files,
        rate_limit=_rate(rate) if rate_limit == "default" else rate_limit,
        body_limit=BodyLimit(max_bytes=max_bytes) if body_limit == "default" else body_limit,
        compression=Compression() if compression == "default" else compression,
        unbuffered=unbuffered,
        conditional_get=conditional_get,
        errors=errors,
    )


def behind_nginx(
    *,
    hosts: Sequence[str],
    trust: Sequence[str] = _LOCAL,
    hops: int | None = None,
    origins: Sequence[str] = (),
    rate: str | None = None,
    health: Part = "default",
    proxy_headers: Part = "default",
    request_id: Part = "default",
    access_log: Part = "default",
    metrics: Part = None,
    security_headers: Part = "default",
    trusted_host: Part = "default",
    https_redirect: Part = None,
    cors: Part = "default",
    static_files: Part = None,
    rate_limit: Part = "default",
    body_limit: Part = None,
    compression: Part = None,
    unbuffered: Part = "default",
    conditional_get: Part = "default",
    errors: Part = "default",
) -> tuple[Middleware, ...]:
    """Return the chain behind NGINX, which redirects, compresses, limits bodies and serves files by itself.

    NGINX must set ``Host``, ``X-Forwarded-For``, ``X-Forwarded-Proto`` and ``X-Request-ID`` (to ``$request_id``). If it
    does not set the last one, a client's own id passes.

    Args:
        hosts: The hosts that are served, as ``TrustedHost(allowed=...)`` takes them.
        trust: Where NGINX connects from; the default is this machine and a unix socket.
        hops: How many proxies append to the list; None to walk by ``trust``.
        origins: Other origins whose pages may call the application; without one there is no ``Cors``.
        rate: A limit per client, ``"100/minute"``; without it there is no ``RateLimit``.
        health: Instead of ``Health()``.
        proxy_headers: Instead of the one of ``trust``.
        request_id: Instead of ``RequestId()``.
        access_log: Instead of ``AccessLog()``.
        metrics: A ``Metrics(...)``.
        security_headers: Instead of ``SecurityHeaders()``.
        trusted_host: Instead of the one of ``hosts``.
        https_redirect: A ``HttpsRedirect(...)``, where NGINX does not redirect.
        cors: Instead of the one of ``origins``.
        static_files: A ``StaticFiles(...)``, where NGINX serves no files.
        rate_limit: Instead of the one of ``rate``.
        body_limit: A ``BodyLimit(...)``, beside ``client_max_body_size``.
        compression: A ``Compression(...)``, where NGINX has no ``gzip on``.
        unbuffered: Instead of ``Unbuffered()``.
        conditional_get: Instead of ``ConditionalGet()``.
        errors: Instead of ``Errors()``.

    Raises:
        ConfigurationError: An option is refused by the part that it is for, or a part has no default here.
    """
    return _chain(
        health=health,
        proxy_headers=ProxyHeaders(trust=trust, hops=hops) if proxy_headers == "default" else proxy_headers,
        request_id=request_id,
        access_log=access_log,
        metrics=metrics,
        security_headers=security_headers,
        trusted_host=TrustedHost(allowed=hosts) if trusted_host == "default" else trusted_host,
        https_redirect=https_redirect,
        cors=_cors(origins) if cors == "default" else cors,
        static_files=static_files,
        rate_limit=_rate(rate) if rate_limit == "default" else rate_limit,
        body_limit=body_limit,
        compression=compression,
        unbuffered=unbuffered,
        conditional_get=conditional_get,
        errors=errors,
    )


def edge(
    *,
    hosts: Sequence[str],
    origins: Sequence[str] = (),
    static: Mapping[str, str | Path] | None = None,
    rate: str | None = None,
    max_bytes: int = 10 * _MEBIBYTE,
    hsts_seconds: int = 0,
    health: Part = "default",
    proxy_headers: Part = "default",
    request_id: Part = "default",
    access_log: Part = "default",
    metrics: Part = None,
    security_headers: Part = "default",
    trusted_host: Part = "default",
    https_redirect: Part = "default",
    cors: Part = "default",
    static_files: Part = "default",
    rate_limit: Part = "default",
    body_limit: Part = "default",
    compression: Part = "default",
    unbuffered: Part = None,
    conditional_get: Part = "default",
    errors: Part = "default",
) -> tuple[Middleware, ...]:
    """Return the chain of an application whose server faces the clients itself, and ends TLS.

    What a request says of proxies is removed, and no request id of a client is taken.

    Args:
        hosts: The hosts that are served, as ``TrustedHost(allowed=...)`` takes them.
        origins: Other origins whose pages may call the application; without one there is no ``Cors``.
        static: Folders to serve by URL prefix; without them there is no ``StaticFiles``.
        rate: A limit per client, ``"100/minute"``; without it there is no ``RateLimit``.
        max_bytes: Size of the largest request body.
        hsts_seconds: ``max-age`` of Strict-Transport-Security; 0 sends none.
        health: Instead of ``Health()``.
        proxy_headers: Instead of one that believes nobody.
        request_id: Instead of one that makes each id itself and keeps a client's id in ``X-Client-Request-ID``.
        access_log: Instead of ``AccessLog()``.
        metrics: A ``Metrics(...)``.
        security_headers: Instead of ``SecurityHeaders()``.
        trusted_host: Instead of the one of ``hosts``.
        https_redirect: Instead of ``HttpsRedirect()``.
        cors: Instead of the one of ``origins``.
        static_files: Instead of the one of ``static``.
        rate_limit: Instead of the one of ``rate``.
        body_limit: Instead of the one of ``max_bytes``.
        compression: Instead of ``Compression()``.
        unbuffered: An ``Unbuffered()``, if NGINX is in front all the same.
        conditional_get: Instead of ``ConditionalGet()``.
        errors: Instead of ``Errors()``.

    Raises:
        ConfigurationError: An option is refused by the part that it is for.
    """
    return _chain(
        health=health,
        proxy_headers=ProxyHeaders(trust=(), mode="off") if proxy_headers == "default" else proxy_headers,
        request_id=_own_request_id() if request_id == "default" else request_id,
        access_log=access_log,
        metrics=metrics,
        security_headers=security_headers,
        trusted_host=TrustedHost(allowed=hosts) if trusted_host == "default" else trusted_host,
        https_redirect=HttpsRedirect(hsts_seconds=hsts_seconds) if https_redirect == "default" else https_redirect,
        cors=_cors(origins) if cors == "default" else cors,
        static_files=_static(static) if static_files == "default" else static_files,
        rate_limit=_rate(rate) if rate_limit == "default" else rate_limit,
        body_limit=BodyLimit(max_bytes=max_bytes) if body_limit == "default" else body_limit,
        compression=Compression() if compression == "default" else compression,
        unbuffered=unbuffered,
        conditional_get=conditional_get,
        errors=errors,
    )


def _chain(
    *,
    health: Part,
    proxy_headers: Part,
    request_id: Part,
    access_log: Part,
    metrics: Part,
    security_headers: Part,
    trusted_host: Part,
    https_redirect: Part,
    cors: Part,
    static_files: Part,
    rate_limit: Part,
    body_limit: Part,
    compression: Part,
    unbuffered: Part,
    conditional_get: Part,
    errors: Part,
) -> tuple[Middleware, ...]:
    """Put the parts in their order, and make those that are the same for every place."""
    parts: dict[str, Part] = {
        "health": Health() if health == "default" else health,
        "proxy_headers": proxy_headers,
        "request_id": RequestId() if request_id == "default" else request_id,
        "access_log": AccessLog() if access_log == "default" else access_log,
        "metrics": metrics,
        "security_headers": SecurityHeaders() if security_headers == "default" else security_headers,
        "trusted_host": trusted_host,
        "https_redirect": https_redirect,
        "cors": cors,
        "static_files": static_files,
        "rate_limit": rate_limit,
        "body_limit": body_limit,
        "compression": compression,
        "unbuffered": Unbuffered() if unbuffered == "default" else unbuffered,
        "conditional_get": ConditionalGet() if conditional_get == "default" else conditional_get,
        "errors": Errors() if errors == "default" else errors,
    }
    chain: list[Middleware] = []
    for name, part in parts.items():
        if isinstance(part, Middleware):
            chain.append(part)
        elif part is not None:
            raise ConfigurationError(
                f"a preset takes for {name}= a middleware, or None to leave it out, got {part!r}; where the part "
                f"has a default, leave the keyword away to have it"
            )
    return tuple(chain)


def _balancer(platform: str | None, trust: Sequence[str], hops: int | None) -> ProxyHeaders:
    if (platform is None) is (not trust):
        raise ConfigurationError(
            f"behind_load_balancer(...) must be told once whom to believe: platform= or trust=, got "
            f"platform={platform!r} and trust={trust!r}; name the platform, or the load balancer's networks"
        )
    if platform is None:
        return ProxyHeaders(trust=trust, hops=hops)
    if hops is not None:
        raise ConfigurationError(
            f"behind_load_balancer(platform={platform!r}) knows how many hops there are, got hops={hops!r} too; "
            f"leave it away, or give trust= instead of platform="
        )
    return ProxyHeaders.for_platform(platform)


def _own_request_id(platform: str | None = None) -> RequestId:
    """Make the part for a place where nobody in front sets ``X-Request-ID``: what arrives is a client's."""
    accept: Literal["never", "trusted-peer"] = "trusted-peer" if platform == "heroku" else "never"
    return RequestId(accept=accept, keep="X-Client-Request-ID")


def _cors(origins: Sequence[str]) -> Cors | None:
    return Cors(origins=origins) if origins else None


def _static(folders: Mapping[str, str | Path] | None) -> StaticFiles | None:
    return StaticFiles(folders=folders) if folders else None


def _rate(limits: str | None) -> Middleware | None:
    if limits is None:
        return None
    from gateway.middleware.rate_limit import RateLimit  # needs an extra that a preset without a limit does not

    return RateLimit(limits=limits)
