"""Compare the settings of a Django project with the middleware of the chain around it.

Two places may decide about the host and about the scheme: Django, and the chain. If they contradict each other, every
request is refused or redirected for ever. If they only differ, some requests are. The first is an error and the second
a warning, both when the object is built.

Sources: Django "Settings" (``ALLOWED_HOSTS``, ``SECURE_PROXY_SSL_HEADER``, ``USE_X_FORWARDED_HOST``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django import conf  # not its lazy settings: a tool that looks into this module would load them

from gateway.chain._conditions import unconditional
from gateway.errors import ConfigurationError
from gateway.middleware._host import HostPattern
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.proxy_headers import PROXY_HEADERS, ProxyHeaders
from gateway.middleware.trusted_host import TrustedHost

__all__ = ["allowed_hosts", "check_agreement"]

#: Hosts that Django allows with DEBUG if ALLOWED_HOSTS is empty.
_DEBUG_HOSTS = (".localhost", "127.0.0.1", "[::1]")


def check_agreement(chain: Iterable[object]) -> Iterator[str]:
    """Compare the settings with the chain, and yield the differences that deserve a warning.

    Raises:
        ConfigurationError: A contradiction; no request, or no request over HTTPS, would be served.
    """
    middleware = [unconditional(item) for item in chain]
    hosts = _hosts()
    for each in middleware:
        if isinstance(each, TrustedHost):
            yield from _check_hosts(each, hosts)
    yield from _check_scheme(middleware)


def allowed_hosts(chain: Iterable[object]) -> tuple[str, ...] | None:
    """Return ``ALLOWED_HOSTS`` as the option of `TrustedHost`; None if the chain cannot or need not check it."""
    middleware = [unconditional(item) for item in chain]
    hosts = _hosts()
    if "*" in hosts or any(isinstance(each, TrustedHost) for each in middleware):
        return None
    if conf.settings.USE_X_FORWARDED_HOST and not any(
        isinstance(each, ProxyHeaders) and each.host for each in middleware
    ):
        return None  # the host is in a header that only Django reads
    return hosts


def _hosts() -> tuple[str, ...]:
    """Return the allowed hosts in the spelling of `TrustedHost`."""
    listed: list[str] = list(conf.settings.ALLOWED_HOSTS)
    if not listed and not conf.settings.DEBUG:
        raise ConfigurationError(
            "the setting ALLOWED_HOSTS is empty and DEBUG is off, so Django refuses every request; write for example "
            'ALLOWED_HOSTS = ["example.com"]'
        )
    hosts: list[str] = []
    for host in listed or _DEBUG_HOSTS:
        names = [host[1:], f"*{host}"] if host.startswith(".") else [host]
        parsed = [HostPattern.parse(name) for name in names]
        if any(pattern is None or pattern.port is not None for pattern in parsed):
            raise ConfigurationError(
                f"the setting ALLOWED_HOSTS has {host!r}, which no request matches; write a name without scheme, "
                'port and path, such as "example.com", or ".example.com" for its subdomains too'
            )
        hosts += names
    return tuple(hosts)


def _check_hosts(trusted: TrustedHost, hosts: tuple[str, ...]) -> Iterator[str]:
    refused = [name for name in trusted.allowed if not any(_overlap(name, host) for host in hosts)]
    if len(refused) == len(trusted.allowed):
        raise ConfigurationError(
            f"no host passes both TrustedHost(allowed={tuple(trusted.allowed)!r}) and ALLOWED_HOSTS = "
            f"{list(conf.settings.ALLOWED_HOSTS)!r}; write the same hosts in both, or remove TrustedHost"
        )
    if refused:
        yield (
            f"TrustedHost allows {', '.join(map(repr, refused))}, and Django's ALLOWED_HOSTS does not, so Django "
            "responds with 400; write the same hosts in both"
        )


def _overlap(one: str, other: str) -> bool:
    """Return whether some host matches both patterns; ports are left out."""
    left, right = HostPattern.parse(one), HostPattern.parse(other)
    if left is None or right is None:
        return False
    if "*" in (left.name, right.name):
        return True
    if left.below and right.below:
        return f".{left.name}".endswith(f".{right.name}") or f".{right.name}".endswith(f".{left.name}")
    if left.below or right.below:
        below, exact = (left, right) if left.below else (right, left)
        return exact.name.endswith(f".{below.name}")
    return left.name == right.name


def _check_scheme(middleware: list[object]) -> Iterator[str]:
    setting: tuple[str, str] | None = conf.settings.SECURE_PROXY_SSL_HEADER
    if setting is None:
        return
    header = setting[0].removeprefix("HTTP_").replace("_", "-").lower()
    proxies = [each for each in middleware if isinstance(each, ProxyHeaders)]
    for proxy in proxies:
        yield from _check_header(header, proxy)
    if not proxies and any(isinstance(each, HttpsRedirect) for each in middleware):
        yield (
            f"HttpsRedirect does not see the header {header} of SECURE_PROXY_SSL_HEADER, so it redirects requests that "
            'came over HTTPS to the proxy; put ProxyHeaders(trust=("address of the proxy",)) before it'
        )


def _check_header(header: str, proxy: ProxyHeaders) -> Iterator[str]:
    if proxy.mode == "off":
        raise ConfigurationError(
            'SECURE_PROXY_SSL_HEADER expects a proxy that ends TLS, and ProxyHeaders(mode="off") removes the proxy\'s '
            "headers; remove the setting, or name the proxy: ProxyHeaders(trust=(...))"
        )
    if header not in PROXY_HEADERS.names:
        yield (
            f"ProxyHeaders does not know the header {header} of SECURE_PROXY_SSL_HEADER, so a client that does not "
            "come through the proxy can set it; let the proxy send X-Forwarded-Proto, and remove the setting"
        )
    elif header != "x-forwarded-proto":
        raise ConfigurationError(
            f"SECURE_PROXY_SSL_HEADER reads {header}, which ProxyHeaders removes, so Django would take every request "
            "for HTTP; let the proxy send X-Forwarded-Proto, and remove the setting"
        )
    elif proxy.mode == "forwarded":
        yield (
            'SECURE_PROXY_SSL_HEADER has no effect, because ProxyHeaders(mode="forwarded") removes '
            "X-Forwarded-Proto; the scheme comes from Forwarded, so remove the setting"
        )
    elif proxy.untrusted == "keep":
        yield (
            'ProxyHeaders(untrusted="keep") passes X-Forwarded-Proto of any client on, and Django believes it because '
            'of SECURE_PROXY_SSL_HEADER; remove untrusted="keep", or the setting'
        )
