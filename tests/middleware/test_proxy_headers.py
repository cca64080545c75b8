"""ProxyHeaders: nobody but a trusted proxy says who the client is."""

from __future__ import annotations

import pytest

from gateway._requests import AsgiRequest
from gateway.contract import BuildContext
from gateway.errors import ConfigurationError
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.proxy_headers import PLATFORMS, ForwardedFrom, ProxyHeaders
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Answer, Pairs
from tests.shows import shows

PEER = ("10.0.0.5", 4000)
REAL = "198.51.100.9"
INSIDE = ProxyHeaders(trust=("10.0.0.0/8",))


def ask(
    stack: MakeStack, middleware: ProxyHeaders, headers: Pairs, client: tuple[str, int] | None = PEER, **more: object
) -> Answer:
    answer = stack(middleware).request("/a", headers=headers, client=client, **more)
    assert answer.error is None
    return answer


@shows(
    "Right to left, skip trusted, take the first untrusted; all trusted: the leftmost; repeated lines are joined first"
)
@shows("Trust by networks or by a count of hops")
@shows("Ports are stripped, brackets read, IPv4-mapped IPv6 equals IPv4, what is no address keeps the peer")
@pytest.mark.parametrize(
    ("name", "lines", "expected"),
    [
        ("one", [REAL], REAL),
        ("forged-leftmost", [f"6.6.6.6, {REAL}"], REAL),
        ("through-two-proxies", [f"6.6.6.6, {REAL}, 10.0.0.9"], REAL),
        ("repeated-lines", ["6.6.6.6", REAL], REAL),
        ("repeated-lines-the-other-way", [REAL, "10.0.0.9"], REAL),
        ("all-trusted", ["10.0.0.7, 10.0.0.9"], "10.0.0.7"),
        ("port", [f"{REAL}:5555"], REAL),
        ("ipv6", ["2001:db8::1"], "2001:db8::1"),
        ("ipv6-port", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("mapped", [f"::ffff:{REAL}"], REAL),
        ("mapped-hop", [f"{REAL}, ::ffff:10.0.0.9"], REAL),
        ("unknown", ["unknown"], PEER[0]),
        ("obfuscated", ["_hidden"], PEER[0]),
        ("markup", ["<script>alert(1)</script>"], PEER[0]),
        ("unknown-in-the-way", [f"{REAL}, unknown"], PEER[0]),
        ("empty", [""], PEER[0]),
        ("absent", [], PEER[0]),
    ],
)
def test_the_client_is_found_from_the_right(stack: MakeStack, name: str, lines: list[str], expected: str) -> None:
    answer = ask(stack, INSIDE, [("X-Forwarded-For", line) for line in lines])
    assert answer.seen[0].client == expected


@shows("The peer must be trusted first; a unix socket by an explicit literal")
@shows("On an untrusted peer the fields are stripped, or kept by option")
def test_an_untrusted_peer_is_the_client_and_its_fields_are_removed(stack: MakeStack) -> None:
    forged = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Forwarded-Ssl", "on"),
    ]
    seen = ask(stack, INSIDE, forged, client=("203.0.113.1", 1)).seen[0]
    assert (seen.client, seen.scheme) == ("203.0.113.1", "http")
    assert not [name for name in seen.headers if "forwarded" in name or name == "x-real-ip"]


ADDRESSES = [
    "CF-Connecting-IP",
    "True-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "Fastly-Client-IP",
    "Client-IP",
]


@shows("Addresses in the headers of other networks are removed from untrusted peers")
@pytest.mark.parametrize("name", ADDRESSES)
def test_only_a_trusted_peer_gives_an_address_in_the_header_of_a_network(stack: MakeStack, name: str) -> None:
    fields = [(name, "6.6.6.6")]
    assert name.lower() not in ask(stack, INSIDE, fields, client=("203.0.113.1", 1)).seen[0].headers
    assert ask(stack, INSIDE, fields).seen[0].headers[name.lower()] == "6.6.6.6"
    off = ProxyHeaders(trust=(), mode="off")
    assert name.lower() not in ask(stack, off, fields).seen[0].headers


@shows("On an untrusted peer the fields are stripped, or kept by option")
def test_an_untrusted_peers_headers_can_be_kept_without_being_used(stack: MakeStack) -> None:
    keep = ProxyHeaders(trust=("10.0.0.0/8",), untrusted="keep")
    seen = ask(stack, keep, [("X-Forwarded-For", "6.6.6.6")], client=("203.0.113.1", 1)).seen[0]
    assert (seen.client, seen.headers["x-forwarded-for"]) == ("203.0.113.1", "6.6.6.6")


@shows("Ports are stripped, brackets read, IPv4-mapped IPv6 equals IPv4, what is no address keeps the peer")
def test_a_mapped_peer_is_matched_by_its_ipv4_network(stack: MakeStack) -> None:
    assert ask(stack, INSIDE, [("X-Forwarded-For", REAL)], client=("::ffff:10.0.0.5", 1)).seen[0].client == REAL


@shows("The peer must be trusted first; a unix socket by an explicit literal")
def test_the_peer_of_a_unix_socket_is_trusted_by_name_only(stack: MakeStack) -> None:
    fields = [("X-Forwarded-For", REAL)]
    assert ask(stack, ProxyHeaders(trust=("unix:",)), fields, client=None).seen[0].client == REAL
    assert ask(stack, INSIDE, fields, client=None).seen[0].client is None


@shows("Trust by networks or by a count of hops")
@pytest.mark.parametrize(("hops", "expected"), [(1, "10.9.9.9"), (2, REAL), (3, "6.6.6.6"), (9, "6.6.6.6")])
def test_hops_count_from_the_right(stack: MakeStack, hops: int, expected: str) -> None:
    counted = ProxyHeaders(trust=("*",), hops=hops)
    assert ask(stack, counted, [("X-Forwarded-For", f"6.6.6.6, {REAL}, 10.9.9.9")]).seen[0].client == expected


@shows("The scheme has the index of the chosen hop; only http and https; ws and wss for a WebSocket")
@pytest.mark.parametrize(
    ("chain", "protos", "expected"),
    [
        (REAL, "https", "https"),
        (REAL, "HTTPS", "https"),
        (f"6.6.6.6, {REAL}", "http, https", "https"),
        (f"{REAL}, 10.0.0.9", "https, http", "https"),
        (f"6.6.6.6, {REAL}, 10.0.0.9", "http,https,http", "https"),
        (REAL, "javascript", "http"),
        (REAL, "", "http"),
        ("", "https", "https"),
    ],
)
def test_the_scheme_is_that_of_the_chosen_hop_and_only_http_or_https(
    stack: MakeStack, chain: str, protos: str, expected: str
) -> None:
    fields = [("X-Forwarded-For", chain), ("X-Forwarded-Proto", protos)]
    assert ask(stack, INSIDE, [pair for pair in fields if pair[1]]).seen[0].scheme == expected


@shows("The scheme has the index of the chosen hop; only http and https; ws and wss for a WebSocket")
def test_a_websocket_gets_ws_or_wss(socket_stack: MakeStack) -> None:
    answer = socket_stack(INSIDE).handshake(
        headers=[("X-Forwarded-For", REAL), ("X-Forwarded-Proto", "https")], client=PEER
    )
    assert (answer.status, answer.seen[0].scheme, answer.seen[0].client) == (101, "wss", REAL)


@shows("Host, port and prefix are off by default and validated")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("shop.example", "shop.example"),
        ("shop.example:8443", "shop.example:8443"),
        ("evil/../x", "inner:80"),
        ("a@b", "inner:80"),
        ("", "inner:80"),
    ],
)
def test_host_is_off_by_default_and_checked_when_on(stack: MakeStack, value: str, expected: str) -> None:
    fields = [("Host", "inner:80"), ("X-Forwarded-For", REAL), ("X-Forwarded-Host", value)]
    assert ask(stack, INSIDE, fields).seen[0].headers["host"] == "inner:80"
    on = ProxyHeaders(trust=("10.0.0.0/8",), host=True)
    assert ask(stack, on, fields).seen[0].headers["host"] == expected


@shows("Host, port and prefix are off by default and validated")
@pytest.mark.parametrize(
    ("port", "expected"), [("8443", "inner:8443"), ("443", "inner"), ("0", "inner"), ("99999", "inner"), ("x", "inner")]
)
def test_port_is_off_by_default_and_checked_when_on(stack: MakeStack, port: str, expected: str) -> None:
    fields = [("Host", "inner"), ("X-Forwarded-For", REAL), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", port)]
    assert ask(stack, INSIDE, fields).seen[0].headers["host"] == "inner"
    on = ProxyHeaders(trust=("10.0.0.0/8",), port=True)
    assert ask(stack, on, fields).seen[0].headers["host"] == expected


@shows("Host, port and prefix are off by default and validated")
@pytest.mark.parametrize(
    ("prefix", "root_path"),
    [
        ("/shop", "/shop"),
        ("/a/b/", "/a/b"),
        ("shop", ""),
        ("//evil.example", ""),
        ("/a/../b", ""),
        ("/a//b", ""),
        ("/a b", ""),
        ("/", ""),
    ],
)
def test_prefix_is_off_by_default_and_checked_when_on(stack: MakeStack, prefix: str, root_path: str) -> None:
    fields = [("X-Forwarded-For", REAL), ("X-Forwarded-Prefix", prefix)]
    assert ask(stack, INSIDE, fields).seen[0].root_path == ""
    seen = ask(stack, ProxyHeaders(trust=("10.0.0.0/8",), prefix=True), fields).seen[0]
    assert (seen.root_path, seen.path) == (root_path, root_path + "/a")


FORWARDED = ProxyHeaders(trust=("10.0.0.0/8",), mode="forwarded", host=True)


@shows("Modes x-forwarded, forwarded and off; the two families are never mixed in one request")
@shows("RFC 7239: quoted strings, parameter names without case")
@pytest.mark.parametrize(
    ("lines", "client", "scheme", "host"),
    [
        ([f"for={REAL};proto=https;host=shop.example"], REAL, "https", "shop.example"),
        ([f"FOR={REAL}; Proto=HTTPS"], REAL, "https", "inner"),
        (['for="[2001:db8::1]:4711"'], "2001:db8::1", "http", "inner"),
        ([f"for=6.6.6.6;proto=https, for={REAL};proto=http"], REAL, "http", "inner"),
        (["for=6.6.6.6", f"for={REAL}"], REAL, "http", "inner"),
        ([f'for="6.6.6.6, {REAL}"'], PEER[0], "http", "inner"),
        (["for=unknown;proto=https"], PEER[0], "https", "inner"),
        ([f'for={REAL};host="a@b"'], REAL, "http", "inner"),
    ],
)
def test_rfc_7239_is_read_whole_or_not_at_all(
    stack: MakeStack, lines: list[str], client: str, scheme: str, host: str
) -> None:
    seen = ask(stack, FORWARDED, [("Host", "inner"), *(("Forwarded", line) for line in lines)]).seen[0]
    assert (seen.client, seen.scheme, seen.headers["host"]) == (client, scheme, host)


@shows("A malformed Forwarded header from a trusted peer is refused, so that no client has the address of the proxy")
@pytest.mark.parametrize(
    "lines",
    [
        ["garbage"],
        [f"for={REAL};for=6.6.6.6"],
        # A client writes the first line, and a trusted proxy appends the second.
        ["garbage", f"for={REAL}"],
        ['for="', f"for={REAL}"],
        ["for=6.6.6.6;for=6.6.6.6", f"for={REAL}"],
    ],
)
def test_a_malformed_forwarded_header_is_refused(stack: MakeStack, lines: list[str]) -> None:
    answer = ask(stack, FORWARDED, [("Forwarded", line) for line in lines])
    assert (answer.status, answer.seen) == (400, [])
    # From a peer that is not trusted the header is not read at all.
    answer = ask(stack, FORWARDED, [("Forwarded", line) for line in lines], client=("203.0.113.1", 1))
    assert (answer.status, answer.seen[0].client) == (200, "203.0.113.1")


def test_the_first_refusal_is_logged(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    chain = stack(FORWARDED)
    for _ in range(3):
        assert chain.request(headers=[("Forwarded", "garbage")], client=PEER).status == 400
    [record] = [record for record in caplog.records if record.name == "gateway.middleware.proxy_headers"]
    assert (record.levelname, PEER[0] in record.getMessage()) == ("WARNING", True)


def test_a_websocket_with_a_malformed_forwarded_header_is_refused(socket_stack: MakeStack) -> None:
    answer = socket_stack(FORWARDED).handshake(headers=[("Forwarded", "garbage")], client=PEER)
    assert (answer.status, answer.seen) == (400, [])


@shows("Modes x-forwarded, forwarded and off; the two families are never mixed in one request")
def test_the_two_families_are_never_mixed(stack: MakeStack) -> None:
    both = [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", f"for={REAL}")]
    seen = ask(stack, FORWARDED, both).seen[0]
    assert (seen.client, "x-forwarded-for" in seen.headers) == (REAL, False)
    seen = ask(stack, INSIDE, [("X-Forwarded-For", REAL), ("Forwarded", "for=6.6.6.6")]).seen[0]
    assert (seen.client, "forwarded" in seen.headers) == (REAL, False)


@shows("Modes x-forwarded, forwarded and off; the two families are never mixed in one request")
def test_mode_off_trusts_no_header_and_removes_all(stack: MakeStack) -> None:
    seen = ask(stack, ProxyHeaders(trust=(), mode="off"), [("X-Forwarded-For", REAL), ("Forwarded", "for=x")]).seen[0]
    assert (seen.client, [name for name in seen.headers if "forwarded" in name]) == (PEER[0], [])


@shows("The originals stay in the state; a second one is a no-op")
@shows("A middleware that must not act twice marks the state; the second is a no-op")
def test_a_second_proxy_headers_does_nothing(stack: MakeStack) -> None:
    answer = stack(INSIDE, INSIDE).request(
        client=PEER, headers=[("X-Forwarded-For", f"6.6.6.6, 10.0.0.8, {REAL}, 10.0.0.9")]
    )
    assert answer.seen[0].client == REAL


@shows("The originals stay in the state; a second one is a no-op")
def test_the_original_values_of_the_connection_stay_in_the_state(stack: MakeStack) -> None:
    fields = [("Host", "inner"), ("X-Forwarded-For", REAL), ("X-Forwarded-Proto", "https")]
    answer = ask(stack, INSIDE, fields)
    assert answer.seen[0].state["gateway.proxy_headers"] == ForwardedFrom(True, PEER, "http", "inner")


@shows("Presets for platforms: ALB, GCP (two values), Cloudflare, Heroku")
@pytest.mark.parametrize("name", sorted(PLATFORMS))
def test_each_platform_finds_its_client_behind_a_forged_value(stack: MakeStack, name: str) -> None:
    middleware = ProxyHeaders.for_platform(name)
    peer = (str(middleware.trust[0]).partition("/")[0][:-1] + "1", 1)
    appended = f"{REAL}, 35.191.0.1" if name == "gcp" else REAL
    answer = ask(stack, middleware, [("X-Forwarded-For", f"6.6.6.6, {appended}")], client=peer)
    assert answer.seen[0].client == REAL


@shows("A bad network, and * without hops, is an error when built", once="it never gets as far as a driver")
@pytest.mark.parametrize(
    "options",
    [
        {"trust": ()},
        {"trust": ("*",)},
        {"trust": ("10.0.0.1/8",)},
        {"trust": ("proxy.example",)},
        {"trust": "10.0.0.0/8"},
        {"trust": ("10.0.0.0/8",), "hops": 0},
        {"trust": ("10.0.0.0/8",), "mode": "both"},
        {"trust": ("10.0.0.0/8",), "untrusted": "drop"},
        {"trust": ("10.0.0.0/8",), "mode": "forwarded", "prefix": True},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="ProxyHeaders"):
        ProxyHeaders(**options)  # type: ignore[arg-type]


@shows("Presets for platforms: ALB, GCP (two values), Cloudflare, Heroku")
def test_an_unknown_platform_names_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match="aws-alb"):
        ProxyHeaders.for_platform("azure")


@pytest.mark.parametrize("root_path", ["/api", "/api/"])
def test_a_prefix_equal_to_the_root_path_is_used_once(root_path: str) -> None:
    request = AsgiRequest(
        {
            "type": "http",
            "path": f"{root_path}/item",
            "root_path": root_path,
            "headers": [(b"x-forwarded-prefix", b"/api")],
            "client": ("192.0.2.1", 1),
        }
    )
    hooks = ProxyHeaders(trust=("192.0.2.1",), prefix=True).build(BuildContext("asgi"))
    hooks.on_request(request)
    assert (request.root_path, request.local_path, request.path) == ("/api", "/item", "/api/item")


def test_a_redirect_below_a_forwarded_prefix_keeps_the_clients_spelling(stack: MakeStack) -> None:
    chain = stack(ProxyHeaders(trust=("*",), hops=1, prefix=True), HttpsRedirect(host="example.org"))
    answer = chain.request("/a%2Fb?x=1", headers=[("X-Forwarded-Prefix", "/api"), ("X-Forwarded-For", "192.0.2.9")])
    assert answer.get("location") == "https://example.org/api/a%2Fb?x=1"
