"""A preset is in an order that no rule objects to, and each of its parts can be replaced or left out."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway
from gateway.chain import ChainWarning
from gateway.contract import Middleware
from gateway.errors import ConfigurationError
from gateway.middleware import (
    AccessLog,
    BodyLimit,
    Compression,
    ConditionalGet,
    Cors,
    Errors,
    Health,
    HttpsRedirect,
    Metrics,
    ProxyHeaders,
    RateLimit,
    RequestId,
    SecurityHeaders,
    StaticFiles,
    TrustedHost,
    Unbuffered,
    behind_load_balancer,
    behind_nginx,
    edge,
)
from tests.middleware.conftest import MakeStack

ORDER = [
    Health,
    ProxyHeaders,
    RequestId,
    AccessLog,
    Metrics,
    SecurityHeaders,
    TrustedHost,
    HttpsRedirect,
    Cors,
    StaticFiles,
    RateLimit,
    BodyLimit,
    Compression,
    Unbuffered,
    ConditionalGet,
    Errors,
]
HOSTS = ("example.org",)
ORIGIN = "https://app.example"
BY_NGINX = {HttpsRedirect, StaticFiles, BodyLimit, Compression}
#: Keyword of each part, in the order of the chain.
PARTS = (
    "health",
    "proxy_headers",
    "request_id",
    "access_log",
    "metrics",
    "security_headers",
    "trusted_host",
    "https_redirect",
    "cors",
    "static_files",
    "rate_limit",
    "body_limit",
    "compression",
    "unbuffered",
    "conditional_get",
    "errors",
)
Preset = Callable[..., tuple[Middleware, ...]]
PRESETS: dict[str, tuple[Preset, dict[str, Any]]] = {
    "behind_load_balancer": (behind_load_balancer, {"hosts": HOSTS, "platform": "aws-alb"}),
    "behind_nginx": (behind_nginx, {"hosts": HOSTS}),
    "edge": (edge, {"hosts": HOSTS}),
}


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def full(name: str, folder: Path) -> tuple[Middleware, ...]:
    """Make a preset with every part that it can have."""
    preset, options = PRESETS[name]
    more: dict[str, Any] = {"metrics": Metrics(), "origins": (ORIGIN,), "rate": "1000/minute"}
    if name == "behind_nginx":
        more["https_redirect"] = HttpsRedirect()
        more["static_files"] = StaticFiles(folders={"/static": folder})
        more["body_limit"] = BodyLimit(max_bytes=100)
        more["compression"] = Compression()
    else:
        more["unbuffered"] = Unbuffered()
        more["static"] = {"/static": folder}
    return preset(**options, **more)


@pytest.mark.parametrize("name", PRESETS)
def test_every_middleware_of_a_preset_is_in_its_position(name: str, tmp_path: Path) -> None:
    assert [type(part) for part in full(name, tmp_path)] == ORDER


@pytest.mark.parametrize("name", PRESETS)
def test_the_chain_breaks_no_order_rule(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Gateway(app, middleware=full(name, tmp_path))


def test_each_preset_does_the_work_that_no_proxy_in_front_does() -> None:
    optional = {Metrics, Cors, StaticFiles, RateLimit}
    for name, (preset, options) in PRESETS.items():
        missing = optional | (BY_NGINX if name == "behind_nginx" else {Unbuffered})
        assert [type(part) for part in preset(**options)] == [kind for kind in ORDER if kind not in missing]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", PRESETS)
def test_none_omits_a_middleware_and_an_instance_replaces_it(name: str, part: str) -> None:
    preset, options = PRESETS[name]
    kind = ORDER[PARTS.index(part)]
    assert kind not in [type(each) for each in preset(**options, **{part: None})]
    mine = AccessLog(skip=("/mine",))  # any middleware may take the place
    assert mine in preset(**options, **{part: mine})


@pytest.mark.parametrize("name", PRESETS)
def test_the_keywords_of_the_parts_are_in_the_order_of_the_chain(name: str) -> None:
    parameters = inspect.signature(PRESETS[name][0]).parameters
    assert tuple(parameter for parameter in parameters if parameter in PARTS) == PARTS


@pytest.mark.parametrize("name", PRESETS)
def test_an_unknown_keyword_is_a_type_error(name: str) -> None:
    preset, options = PRESETS[name]
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument 'compresion'"):
        preset(**options, compresion=None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "exactly one of platform="),
        ({"platform": "gcp", "trust": ("10.0.0.0/8",)}, "exactly one of platform="),
        ({"platform": "gcp", "hops": 1}, "hops=1"),
        ({"platform": "nowhere"}, "nowhere"),
        ({"platform": "gcp", "metrics": "default"}, "metrics="),
        ({"platform": "gcp", "errors": Errors}, "errors="),
    ],
    ids=["nobody", "both", "hops-twice", "unknown", "no-default", "class"],
)
def test_a_wrong_option_is_refused_when_the_preset_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        behind_load_balancer(hosts=HOSTS, **options)


PROXY = ProxyHeaders(trust=("10.0.0.0/8",))
WRONG = [
    ("limit-before-proxy", (RateLimit(limits="1/second"), PROXY), "counted by the client's address"),
    ("errors-outside-cors", (Errors(), Cors(origins=(ORIGIN,))), "can read the error"),
    ("errors-outside-log", (Errors(), AccessLog()), "logged with their status"),
    ("errors-outside-id", (Errors(), RequestId()), "contain the request id"),
    ("redirect-before-proxy", (HttpsRedirect(), PROXY), "the redirect never ends"),
    ("redirect-before-hosts", (HttpsRedirect(), TrustedHost(allowed=HOSTS)), "an open redirect"),
    ("hosts-before-health", (TrustedHost(allowed=HOSTS), Health()), "use the server's address"),
    ("log-before-proxy", (AccessLog(), PROXY), "the client address is the proxy's"),
    (
        "limit-before-cors",
        (RateLimit(limits="1/second"), Cors(origins=(ORIGIN,))),
        "preflight requests are not counted",
    ),
    ("body-before-cors", (BodyLimit(max_bytes=1), Cors(origins=(ORIGIN,))), "read the refusal"),
    ("etag-outside-compression", (ConditionalGet(), Compression()), "as the application sent them"),
]


@pytest.mark.parametrize(("chain", "reason"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_order_warns_with_the_reason(chain: tuple[Middleware, ...], reason: str) -> None:
    with pytest.warns(ChainWarning) as caught:
        Gateway(app, middleware=chain)
    assert any(reason in str(each.message) for each in caught), [str(each.message) for each in caught]


def test_only_the_load_balancer_may_name_the_client(stack: MakeStack) -> None:
    chain = stack(*behind_load_balancer(hosts=HOSTS, platform="aws-alb"))
    fields = [("Host", "example.org"), ("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-Proto", "https")]
    assert chain.request("/", headers=fields, client=("10.0.0.7", 1)).status == 200
    # The same words from a stranger count for nothing: the connection was http, so there is a redirect.
    assert chain.request("/", headers=fields, client=("203.0.113.1", 1)).status == 308


def test_the_edge_preset_trusts_no_proxy(stack: MakeStack) -> None:
    chain = stack(*edge(hosts=HOSTS))
    fields = [("Host", "example.org"), ("X-Forwarded-Proto", "https"), ("X-Request-ID", "forged-12345")]
    answer = chain.request("/", headers=fields, client=("127.0.0.1", 1))
    assert answer.status == 308
    assert answer.get("x-request-id") != "forged-12345"


CHAINS = {
    "preset": behind_load_balancer(hosts=HOSTS, trust=("127.0.0.1",), origins=(ORIGIN,)),
    "answered": (StaticFiles(folders={"/": Path(__file__).parent}),),
    "heads": (Cors(origins=(ORIGIN,)), SecurityHeaders()),
    "one-head": (Compression(),),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_request_leaves_no_reference_cycles(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in a cycle lives on until all of the process is searched for it."""

    async def hello(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"hello"})

    async def send(message: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    fields = {"host": "example.org", "origin": ORIGIN, "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/{Path(__file__).name}",
        "headers": [(field.encode(), value.encode()) for field, value in fields.items()],
        "client": ("127.0.0.1", 1),
    }
    serve = Gateway(hello, middleware=CHAINS[name]).asgi

    async def run() -> int:
        for _ in range(3):  # what is made once
            await serve({**scope}, receive, send)
        gc.collect()
        for _ in range(20):
            await serve({**scope}, receive, send)
        return gc.collect()

    gc.disable()
    try:
        assert asyncio.run(run()) == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("make", "taken"),
    [
        (lambda: behind_load_balancer(hosts=("*",), platform="aws-alb"), False),
        (lambda: behind_load_balancer(hosts=("*",), platform="heroku"), True),
        (lambda: behind_load_balancer(hosts=("*",), trust=("10.0.0.0/8",)), False),
        (lambda: behind_load_balancer(hosts=("*",), trust=("10.0.0.0/8",), request_id=RequestId()), True),
        (lambda: behind_nginx(hosts=("*",), trust=("10.0.0.0/8",)), True),
        (lambda: edge(hosts=("*",)), False),
    ],
    ids=["aws-alb", "heroku", "trust", "own-part", "nginx", "edge"],
)
def test_a_client_chooses_no_request_id_where_nobody_in_front_sets_one(
    stack: MakeStack, make: Callable[[], Sequence[Middleware]], taken: bool
) -> None:
    chain = stack(*(part for part in make() if isinstance(part, ProxyHeaders | RequestId)))
    given = "a-clients-own-request-id"
    seen = chain.request(headers=[("X-Request-ID", given)], client=("10.0.0.7", 1)).seen[0]
    assert (seen.headers["x-request-id"] == given) is taken
    assert (seen.headers.get("x-client-request-id") == given) is not taken
