"""Complete chains for common deployments: behind a load balancer, behind NGINX, at the edge.

Each preset returns a tuple of middleware, outermost first, for ``middleware=``. The presets differ by the server in
front of the application. A load balancer ends TLS and names the client. NGINX also redirects, compresses, limits
bodies and serves files. At the edge there is no proxy, so that preset does not trust any header of a proxy.

Two tables hold the default of every part, and the differences of the presets. You can replace every part by a
middleware, or leave it out with None. This module adds no behaviour, and its order follows the order rules of the
classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypedDict, TypeVar, Unpack

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

__all__ = ["Part", "Parts", "behind_load_balancer", "behind_nginx", "edge"]

#: A part of a preset: a middleware to use instead, None to leave it out, ``"default"`` for the preset's own.
Part: TypeAlias = Middleware | Literal["default"] | None

_MEBIBYTE: Final = 2**20
_LOCAL: Final = ("unix:", "127.0.0.1", "::1")


class Parts(TypedDict, total=False):
    """The parts of a preset, outermost first. Each takes a middleware to use instead, or None to leave the part out.

    Attributes:
        health: ``Health()``.
        proxy_headers: From ``platform`` or ``trust``; at the edge it does not trust any proxy.
        request_id: Behind NGINX ``RequestId()``. Elsewhere it makes each id itself, because load balancers pass a
            client's own id on. It keeps the client's id in ``X-Client-Request-ID``. On Heroku it takes the router's id,
            because the router logs that id.
        access_log: ``AccessLog()``.
        metrics: None, because you must decide which clients may read the metrics; pass ``Metrics(...)``.
        security_headers: ``SecurityHeaders()``.
        trusted_host: From ``hosts``.
        https_redirect: From ``hsts_seconds``; behind NGINX None, because NGINX redirects.
        cors: From ``origins``; None without them.
        static_files: From ``static``, None without it; behind NGINX None, because NGINX serves files.
        rate_limit: From ``rate``; None without it.
        body_limit: From ``max_bytes``; behind NGINX None, because NGINX has ``client_max_body_size``.
        compression: ``Compression()``; behind NGINX None, because NGINX has ``gzip on``.
        unbuffered: Behind NGINX ``Unbuffered()``, elsewhere None; pass it if there is an NGINX in front anyway.
        conditional_get: ``ConditionalGet()``.
        errors: ``Errors()``.
    """

    health: Part
    proxy_headers: Part
    request_id: Part
    access_log: Part
    metrics: Part
    security_headers: Part
    trusted_host: Part
    https_redirect: Part
    cors: Part
    static_files: Part
    rate_limit: Part
    body_limit: Part
    compression: Part
    unbuffered: Part
    conditional_get: Part
    errors: Part


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """The options of a preset, from which it makes its parts."""

    hosts: Sequence[str]
    platform: str | None = None
    trust: Sequence[str] = ()
    hops: int | None = None
    origins: Sequence[str] = ()
    static: Mapping[str, str | Path] | None = None
    rate: str | None = None
    max_bytes: int = 0
    hsts_seconds: int = 0


def _balancer(facts: _Facts) -> ProxyHeaders:
    platform, trust, hops = facts.platform, facts.trust, facts.hops
    if (platform is None) is (not trust):
        raise ConfigurationError(
            "behind_load_balancer(...) needs exactly one of platform= (a known load balancer) and trust= "
            f"(its networks), got platform={platform!r} and trust={trust!r}"
        )
    if platform is None:
        return ProxyHeaders(trust=trust, hops=hops)
    if hops is not None:
        raise ConfigurationError(
            f"behind_load_balancer(platform={platform!r}) already knows the number of hops, got hops={hops!r} "
            "too; remove hops=, or write trust= instead of platform="
        )
    return ProxyHeaders.for_platform(platform)


def _own_request_id(facts: _Facts) -> RequestId:
    """Make the part for a deployment without NGINX: an id in a request comes from the client, except on Heroku."""
    accept: Literal["never", "trusted-peer"] = "trusted-peer" if facts.platform == "heroku" else "never"
    return RequestId(accept=accept, keep="X-Client-Request-ID")


def _rate(facts: _Facts) -> Middleware | None:
    if facts.rate is None:
        return None
    from gateway.middleware.rate_limit import RateLimit  # imported here, because only a preset with a limit needs it

    return RateLimit(limits=facts.rate)


_Make: TypeAlias = Callable[[_Facts], Middleware | None]


#: Functions that make the default of each part; None for a part without a default.
_DEFAULTS: Final[Mapping[str, _Make | None]] = {
    "health": lambda facts: Health(),
    "proxy_headers": lambda facts: ProxyHeaders(trust=facts.trust, hops=facts.hops),
    "request_id": _own_request_id,
    "access_log": lambda facts: AccessLog(),
    "metrics": None,
    "security_headers": lambda facts: SecurityHeaders(),
    "trusted_host": lambda facts: TrustedHost(allowed=facts.hosts),
    "https_redirect": lambda facts: HttpsRedirect(hsts_seconds=facts.hsts_seconds),
    "cors": lambda facts: Cors(origins=facts.origins) if facts.origins else None,
    "static_files": lambda facts: StaticFiles(folders=facts.static) if facts.static else None,
    "rate_limit": _rate,
    "body_limit": lambda facts: BodyLimit(max_bytes=facts.max_bytes),
    "compression": lambda facts: Compression(),
    "unbuffered": None,
    "conditional_get": lambda facts: ConditionalGet(),
    "errors": lambda facts: Errors(),
}
#: The differences of each preset from `_DEFAULTS`.
_DIFFERENCES: Final[Mapping[str, Mapping[str, _Make | None]]] = {
    "behind_load_balancer": {"proxy_headers": _balancer},
    "behind_nginx": {
        "request_id": lambda facts: RequestId(),
        "unbuffered": lambda facts: Unbuffered(),
        **dict.fromkeys(("https_redirect", "static_files", "body_limit", "compression")),  # NGINX does these
    },
    "edge": {"proxy_headers": lambda facts: ProxyHeaders(trust=(), mode="off")},
}

Preset = TypeVar("Preset", bound=Callable[..., tuple[Middleware, ...]])


def _spelled_out(preset: Preset) -> Preset:
    """Give a preset a signature with a keyword for each part, for ``help()``, documentation and ``gateway.toml``."""
    signature = inspect.signature(preset)
    own = [each for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY]
    for part, make in {**_DEFAULTS, **_DIFFERENCES[preset.__name__]}.items():
        default = None if make is None else "default"
        own.append(inspect.Parameter(part, inspect.Parameter.KEYWORD_ONLY, default=default, annotation="Part"))
    preset.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]  # read by `inspect`
    return preset


@_spelled_out
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
    **parts: Unpack[Parts],
) -> tuple[Middleware, ...]:
    """Return the chain behind a load balancer that ends TLS and does nothing else.

    Args:
        hosts: Your hosts, as for ``TrustedHost(allowed=...)``.
        platform: Platform of the load balancer, one of ``gateway.middleware.proxy_headers.PLATFORMS``. Or give
            ``trust`` instead.
        trust: Networks of the load balancer, as for ``ProxyHeaders(trust=...)``.
        hops: Number of proxies that append to the list; None to walk by ``trust``.
        origins: Other origins whose pages may call the application; without them the chain has no ``Cors``.
        static: Folders to serve by URL prefix; without them the chain has no ``StaticFiles``.
        rate: A limit per client, ``"100/minute"``; without it the chain has no ``RateLimit``. It counts in this
            process. Pass ``rate_limit=RateLimit(..., store="redis://...")`` to count for all processes together.
        max_bytes: Size of the largest request body.
        hsts_seconds: ``max-age`` of Strict-Transport-Security in seconds; 0 does not send the header.
        parts: A middleware to use instead of the preset's own, or None, by the keywords of `Parts`.

    Raises:
        ConfigurationError: None of ``platform``, ``trust`` and ``proxy_headers`` names the proxies to trust, or both
            ``platform`` and ``trust`` do. Or ``hops`` is given with ``platform``, or a part refuses its option.
    """
    facts = _Facts(
        hosts=hosts,
        platform=platform,
        trust=trust,
        hops=hops,
        origins=origins,
        static=static,
        rate=rate,
        max_bytes=max_bytes,
        hsts_seconds=hsts_seconds,
    )
    return _chain("behind_load_balancer", facts, parts)


@_spelled_out
def behind_nginx(
    *,
    hosts: Sequence[str],
    trust: Sequence[str] = _LOCAL,
    hops: int | None = None,
    origins: Sequence[str] = (),
    rate: str | None = None,
    **parts: Unpack[Parts],
) -> tuple[Middleware, ...]:
    """Return the chain behind NGINX, which redirects, compresses, limits bodies and serves files by itself.

    NGINX must set ``Host``, ``X-Forwarded-For``, ``X-Forwarded-Proto`` and ``X-Request-ID`` (to ``$request_id``). If it
    does not set ``X-Request-ID``, a client's own id passes.

    Args:
        hosts: Your hosts, as for ``TrustedHost(allowed=...)``.
        trust: Addresses from which NGINX connects; the default is this machine and a unix socket.
        hops: Number of proxies that append to the list; None to walk by ``trust``.
        origins: Other origins whose pages may call the application; without them the chain has no ``Cors``.
        rate: A limit per client, ``"100/minute"``; without it the chain has no ``RateLimit``.
        parts: A middleware to use instead of the preset's own, or None, by the keywords of `Parts`.

    Raises:
        ConfigurationError: A part refuses its option, or a part set to ``"default"`` has no default here.
    """
    return _chain("behind_nginx", _Facts(hosts=hosts, trust=trust, hops=hops, origins=origins, rate=rate), parts)


@_spelled_out
def edge(
    *,
    hosts: Sequence[str],
    origins: Sequence[str] = (),
    static: Mapping[str, str | Path] | None = None,
    rate: str | None = None,
    max_bytes: int = 10 * _MEBIBYTE,
    hsts_seconds: int = 0,
    **parts: Unpack[Parts],
) -> tuple[Middleware, ...]:
    """Return the chain of an application whose server faces the clients itself, and ends TLS.

    It removes the headers of proxies, and does not accept a client's request id.

    Args:
        hosts: Your hosts, as for ``TrustedHost(allowed=...)``.
        origins: Other origins whose pages may call the application; without them the chain has no ``Cors``.
        static: Folders to serve by URL prefix; without them the chain has no ``StaticFiles``.
        rate: A limit per client, ``"100/minute"``; without it the chain has no ``RateLimit``.
        max_bytes: Size of the largest request body.
        hsts_seconds: ``max-age`` of Strict-Transport-Security in seconds; 0 does not send the header.
        parts: A middleware to use instead of the preset's own, or None, by the keywords of `Parts`.

    Raises:
        ConfigurationError: A part refuses its option.
    """
    facts = _Facts(
        hosts=hosts, origins=origins, static=static, rate=rate, max_bytes=max_bytes, hsts_seconds=hsts_seconds
    )
    return _chain("edge", facts, parts)


def _chain(preset: str, facts: _Facts, parts: Parts) -> tuple[Middleware, ...]:
    """Return the parts in their order, and make the parts that the caller did not give."""
    given: Mapping[str, object] = {**parts}
    for name in given:
        if name not in _DEFAULTS:
            raise TypeError(f"{preset}() got an unexpected keyword argument {name!r}")
    chain: list[Middleware] = []
    for name, make in {**_DEFAULTS, **_DIFFERENCES[preset]}.items():
        part = given.get(name, None if make is None else "default")
        if part == "default" and make is not None:
            part = make(facts)
        if isinstance(part, Middleware):
            chain.append(part)
        elif part is not None:
            raise ConfigurationError(
                f"{name}= must be a middleware, or None to omit it, got {part!r}; to get the preset's "
                f"default, remove {name}="
            )
    return tuple(chain)
