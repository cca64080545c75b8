"""TrustedHost: exactly one well-formed Host, and one of ours."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware.trusted_host import TrustedHost
from tests.middleware.conftest import MakeStack
from tests.shows import shows

OURS = TrustedHost(allowed=("example.com", "*.example.net", "only.example:8443", "[::1]"))


@shows("Exact names, *.x below, ports by option, without case, one final dot stripped, IPv6 literals")
@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "EXAMPLE.com",
        "example.com.",
        "example.com:8080",
        "a.example.net",
        "a.b.example.net:1",
        "only.example:8443",
        "[::1]:8000",
    ],
)
def test_our_hosts_pass(stack: MakeStack, host: str) -> None:
    assert stack(OURS).request(headers=[("Host", host)]).body == b"hello"


@shows("Exact names, *.x below, ports by option, without case, one final dot stripped, IPv6 literals")
@pytest.mark.parametrize(
    "host", ["evil.example", "example.com.evil.example", "badexample.com", "example.net", "only.example", "[::2]"]
)
def test_a_host_that_is_not_allowed_never_reaches_the_application(stack: MakeStack, host: str) -> None:
    answer = stack(OURS).request(headers=[("Host", host)])
    assert (answer.status, answer.seen) == (400, [])
    assert host.encode() not in answer.body


@shows("A missing, repeated or invalid Host is 400: @, /, comma, ports outside 1 to 65535")
@pytest.mark.parametrize(
    "host",
    [
        "example.com:0",
        "example.com:99999",
        "example.com@evil.example",
        "example.com/x",
        "example.com,evil.example",
        "a b",
        "",
        "example.com..",
        "[::1",
        "example.com:80:80",
    ],
)
def test_a_malformed_host_is_400_even_where_all_are_allowed(stack: MakeStack, host: str) -> None:
    for middleware in (OURS, TrustedHost(allowed=("*",), status=421)):
        answer = stack(middleware).request(headers=[("Host", host)])
        assert (answer.status, answer.seen) == (400, [])


@shows("A missing, repeated or invalid Host is 400: @, /, comma, ports outside 1 to 65535")
def test_a_missing_host_is_400(stack: MakeStack) -> None:
    assert stack(OURS).request().status == 400


@shows("A missing, repeated or invalid Host is 400: @, /, comma, ports outside 1 to 65535")
def test_two_hosts_are_400_even_if_both_are_ours(stack: MakeStack) -> None:
    assert stack(OURS).request(headers=[("Host", "example.com"), ("Host", "example.com")]).status == 400
    assert stack(OURS).request(headers=[("Host", "example.com"), ("Host", "evil.example")]).status == 400


@shows("400 or 421 by option")
def test_the_refusal_can_be_421(stack: MakeStack) -> None:
    middleware = TrustedHost(allowed=("example.com",), status=421)
    assert stack(middleware).request(headers=[("Host", "evil.example")]).status == 421


@shows("Health checks can be exempt")
def test_exempt_paths_are_not_checked(stack: MakeStack) -> None:
    middleware = TrustedHost(allowed=("example.com",), exempt=("/livez",))
    assert stack(middleware).request("/livez", headers=[("Host", "10.0.0.1")]).status == 200
    assert stack(middleware).request("/livez/x", headers=[("Host", "10.0.0.1")]).status == 400


@shows("WebSocket handshakes are checked", once="WebSockets are ASGI's")
def test_a_websocket_handshake_is_checked_too(socket_stack: MakeStack) -> None:
    assert socket_stack(OURS).handshake(headers=[("Host", "example.com")]).status == 101
    refused = socket_stack(OURS).handshake(headers=[("Host", "evil.example")])
    assert (refused.status, refused.seen) == (400, [])


@pytest.mark.parametrize(
    "options",
    [
        {"allowed": ()},
        {"allowed": "example.com"},
        {"allowed": ("https://example.com",)},
        {"allowed": ("*example.com",)},
        {"allowed": ("example.com",), "status": 403},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="TrustedHost"):
        TrustedHost(**options)  # type: ignore[arg-type]
