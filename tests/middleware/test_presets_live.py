"""The preset in front of a real Flask and a real FastAPI application gives the same answers under every server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import servers
from gateway.servers import Bind, Launch, start
from tests.middleware.live import Reply, ask
from tests.middleware.preset_sites import ETAG, LIMIT, ORIGIN, TEXT

ROOT = Path(__file__).resolve().parent.parent.parent
SITES = {"flask": ("flask_app", "wsgi"), "fastapi": ("fastapi_app", "asgi")}
SLOW = {"granian-asgi", "granian-rsgi"}
PARAMS = [
    pytest.param((server, site), id=f"{server}-{site}", marks=[pytest.mark.slow] if server in SLOW else [])
    for server in ("gunicorn-gthread", "uvicorn", "granian-asgi", "granian-rsgi", "granian-wsgi")
    for site in SITES
]
HTTPS = (("Host", "example.org"), ("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-Proto", "https"))
HELLO = [
    ("content-length", "5"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("content-type", "text/plain; charset=utf-8"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("vary", "Accept-Encoding, Origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
]
#: Options of a server's own: uvicorn rewrites the peer by itself where it is this machine, before any middleware.
ARGUMENTS = {"uvicorn": ("--no-proxy-headers",)}
#: What an answer may hold that is not ours: servers date and name themselves, and frame as they like.
SERVERS_OWN = {"date", "server", "connection", "transfer-encoding", "keep-alive", "x-request-id"}


@pytest.fixture(scope="module", params=PARAMS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """One server with one application behind the preset, started once."""
    name, application = request.param
    folder = tmp_path_factory.mktemp("static")
    (folder / "site.css").write_bytes(b"body { color: red }\n")
    server = servers.get(name)
    if reason := server.missing():
        pytest.skip(reason)
    attribute, interface = SITES[application]
    launch = Launch(
        target=f"tests.middleware.preset_sites:{attribute}",
        bind=Bind(port=0),
        app_dir=str(ROOT),
        arguments=ARGUMENTS.get(name, ()),
        hooks=interface != server.interface,
        environment={"PRESET_STATIC": str(folder)},
    )
    with start(server, launch, ready="/livez") as running:
        yield running.bind


def own(reply: Reply) -> list[tuple[str, str]]:
    """The fields that the chain and the application made, sorted, as servers keep no order between names."""
    return sorted((name, value) for name, value in reply.headers if name not in SERVERS_OWN)


def test_a_response_has_the_headers_of_every_middleware(site: Bind) -> None:
    reply = ask(site, "GET", "/", HTTPS)
    assert (reply.status, reply.body) == (200, b"hello")
    assert own(reply) == HELLO
    assert len(reply.all("x-request-id")) == 1


def test_the_client_is_the_address_that_the_load_balancer_saw(site: Bind) -> None:
    assert ask(site, "GET", "/client", HTTPS).body == b"203.0.113.9 https 6.6.6.6, 203.0.113.9"


def test_a_plain_request_is_redirected_and_a_probe_is_not(site: Bind) -> None:
    reply = ask(site, "GET", "/text?q=%2F", (("Host", "example.org"),))
    assert (reply.status, reply.all("location")) == (308, ["https://example.org/text?q=%2F"])
    assert ask(site, "GET", "/readyz", (("Host", "10.0.0.1"),)).status == 200


def test_a_host_that_is_not_allowed_is_refused(site: Bind) -> None:
    assert ask(site, "GET", "/", (("Host", "evil.example"), *HTTPS[1:])).status == 400


def test_text_is_compressed_and_found_unchanged(site: Bind) -> None:
    reply = ask(site, "GET", "/text", (*HTTPS, ("Accept-Encoding", "gzip")))
    assert (reply.status, reply.all("content-encoding"), reply.all("etag")) == (200, ["gzip"], [f"W/{ETAG}"])
    assert "accept-encoding" in ", ".join(reply.all("vary")).lower()
    assert reply.decoded() == TEXT.encode()
    again = ask(site, "GET", "/text", (*HTTPS, ("Accept-Encoding", "gzip"), ("If-None-Match", f"W/{ETAG}")))
    assert (again.status, again.body, again.all("etag")) == (304, b"", [f"W/{ETAG}"])


def test_a_preflight_is_answered_without_the_application(site: Bind) -> None:
    reply = ask(site, "OPTIONS", "/upload", (*HTTPS, ("Origin", ORIGIN), ("Access-Control-Request-Method", "POST")))
    assert (reply.status, reply.all("access-control-allow-origin")) == (204, [ORIGIN])


def test_a_body_within_the_limit_arrives_and_a_larger_one_does_not(site: Bind) -> None:
    small, large = b"x" * LIMIT, b"x" * (LIMIT + 1)
    assert ask(site, "POST", "/upload", HTTPS, small).body == hashlib.sha256(small).hexdigest().encode()
    reply = ask(site, "POST", "/upload", (*HTTPS, ("Origin", ORIGIN)), large)
    assert (reply.status, reply.all("access-control-allow-origin")) == (413, [ORIGIN])


def test_an_exception_is_a_500_that_a_page_can_read(site: Bind) -> None:
    reply = ask(site, "GET", "/error", (*HTTPS, ("Origin", ORIGIN), ("Accept", "application/problem+json")))
    # Starlette commits its own plain 500 before it lets the exception out; Flask leaves it to us.
    assert (reply.status, reply.all("content-type")) in [
        (500, ["application/problem+json"]),
        (500, ["text/plain; charset=utf-8"]),
    ]
    assert reply.all("access-control-allow-origin") == [ORIGIN]
    assert b"on purpose" not in reply.body
    assert len(reply.all("x-request-id")) == 1


def test_a_file_is_served_in_front_of_the_application(site: Bind) -> None:
    reply = ask(site, "GET", "/static/site.css", (*HTTPS, ("Range", "bytes=0-3")))
    assert (reply.status, reply.body, reply.all("content-range")) == (206, b"body", ["bytes 0-3/20"])
