"""HttpsRedirect: to https, to a host that is known, byte for byte; and HSTS."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.trusted_host import TrustedHost
from tests.middleware.conftest import MakeStack
from tests.shows import shows

HOST = TrustedHost(allowed=("example.com",))
FROM = [("Host", "example.com")]


@shows("308 by default, 301, 302 and 307 by option; path and query byte for byte")
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_http_is_redirected_by_308_with_path_and_query_byte_for_byte(stack: MakeStack, method: str) -> None:
    answer = stack(HOST, HttpsRedirect()).request("/a%2Fb/c%20d?x=%C3%A9&y=+", method=method, headers=FROM)
    assert (answer.status, answer.seen) == (308, [])
    assert answer.get("location") == "https://example.com/a%2Fb/c%20d?x=%C3%A9&y=+"


def test_characters_that_a_header_must_not_contain_are_percent_encoded(stack: MakeStack) -> None:
    answer = stack(HOST, HttpsRedirect()).request("/a\x01\tb \x7f\xe9%0a?c=\x0b\xe9%0d%\\", headers=FROM)
    assert (answer.status, answer.error) == (308, None)
    location = answer.get("location") or ""
    assert location.isascii()
    assert location.startswith("https://example.com/a%01%09b%20%7F%")
    # An adapter may have written the path anew.
    assert location.lower().endswith("%0a?c=%0b%e9%0d%\\")


@shows("The scheme is the effective one, behind ProxyHeaders")
def test_https_passes(stack: MakeStack) -> None:
    assert stack(HOST, HttpsRedirect()).request(scheme="https", headers=FROM).body == b"hello"


@shows("308 by default, 301, 302 and 307 by option; path and query byte for byte")
@pytest.mark.parametrize("status", [301, 302, 307])
def test_the_status_is_an_option(stack: MakeStack, status: int) -> None:
    assert stack(HttpsRedirect(host="a.example", status=status)).request().status == status


@shows("Leading slashes are collapsed; the host is a fixed or a checked one only")
def test_the_port_of_http_is_not_kept(stack: MakeStack) -> None:
    answer = stack(HOST, HttpsRedirect()).request("/", headers=[("Host", "example.com:8080")])
    assert answer.get("location") == "https://example.com/"


@shows("Leading slashes are collapsed; the host is a fixed or a checked one only")
def test_a_fixed_host_replaces_the_host_of_the_request(stack: MakeStack) -> None:
    answer = stack(HttpsRedirect(host="www.example.com:8443")).request("/x", headers=[("Host", "evil.example")])
    assert answer.get("location") == "https://www.example.com:8443/x"


@shows("Leading slashes are collapsed; the host is a fixed or a checked one only")
def test_an_unchecked_host_is_never_redirected_to(stack: MakeStack) -> None:
    answer = stack(HttpsRedirect()).request("/", headers=[("Host", "evil.example")])
    assert (answer.status, answer.get("location")) == (400, None)


@shows("Leading slashes are collapsed; the host is a fixed or a checked one only")
@pytest.mark.parametrize("target", ["//evil.example", "///evil.example/x"])
def test_leading_slashes_do_not_make_another_host(stack: MakeStack, target: str) -> None:
    location = stack(HOST, HttpsRedirect()).request(target, headers=FROM).get("location") or ""
    assert location.startswith("https://example.com/evil.example")


@shows("The scheme is the effective one, behind ProxyHeaders")
def test_the_scheme_comes_from_the_proxy(stack: MakeStack) -> None:
    chain = stack(ProxyHeaders(trust=("10.0.0.0/8",)), HOST, HttpsRedirect())
    secure = [*FROM, ("X-Forwarded-For", "198.51.100.9"), ("X-Forwarded-Proto", "https")]
    assert chain.request(headers=secure, client=("10.0.0.1", 1)).status == 200
    assert chain.request(headers=secure, client=("198.51.100.1", 1)).status == 308


@shows("Exempt by regular expression")
def test_exempt_paths_match_whole(stack: MakeStack) -> None:
    middleware = HttpsRedirect(host="a.example", exempt=("/livez", r"/\.well-known/acme-challenge/.*"))
    assert stack(middleware).request("/livez").status == 200
    assert stack(middleware).request("/.well-known/acme-challenge/x").status == 200
    assert stack(middleware).request("/livez2").status == 308


@shows("HSTS on https only; preload needs includeSubDomains and a year")
def test_hsts_is_sent_over_https_only(stack: MakeStack) -> None:
    middleware = HttpsRedirect(host="a.example", hsts_seconds=60, hsts_include_subdomains=True)
    assert stack(middleware).request(scheme="https").get("strict-transport-security") == "max-age=60; includeSubDomains"
    assert stack(middleware).request().get("strict-transport-security") is None


@shows("HSTS on https only; preload needs includeSubDomains and a year")
def test_hsts_is_off_by_default(stack: MakeStack) -> None:
    assert stack(HttpsRedirect(host="a.example")).request(scheme="https").get("strict-transport-security") is None


@shows("A WebSocket without TLS is 403", once="WebSockets are ASGI's")
def test_a_websocket_without_tls_is_refused(socket_stack: MakeStack) -> None:
    chain = socket_stack(HttpsRedirect(host="a.example"))
    assert chain.handshake().status == 403
    assert chain.handshake(scheme="https").status == 101


@shows("HSTS on https only; preload needs includeSubDomains and a year")
@pytest.mark.parametrize(
    "options",
    [
        {"host": "a/b"},
        {"status": 303},
        {"hsts_seconds": -1},
        {"hsts_seconds": 31_536_000, "hsts_preload": True},
        {"hsts_seconds": 60, "hsts_preload": True, "hsts_include_subdomains": True},
        {"exempt": ("(",)},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="HttpsRedirect"):
        HttpsRedirect(**options)  # type: ignore[arg-type]


@shows("HSTS on https only; preload needs includeSubDomains and a year")
def test_preload_with_a_year_and_the_subdomains_is_sent(stack: MakeStack) -> None:
    middleware = HttpsRedirect(hsts_seconds=31_536_000, hsts_include_subdomains=True, hsts_preload=True)
    value = stack(middleware).request(scheme="https").get("strict-transport-security")
    assert value == "max-age=31536000; includeSubDomains; preload"
