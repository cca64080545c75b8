"""Real servers, real frameworks, one object and no flag: the same answers from every tier.

A server's known limits are facts in its description (``Capabilities``), and what is asserted is the documented
behaviour. A server that is not installed is skipped with what to install.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import servers
from gateway.testing.served import told_violations
from tests.tiers.tier import APPLICATIONS, TIERS, Tier, missing, serve

#: What takes longest to start, once for each application, runs with `-m slow`.
SLOW = {
    "daphne",
    "granian-asgi",
    "granian-wsgi",
    "gunicorn-gevent",
    "hypercorn-trio",
    "nginx-gunicorn-gthread",
    "werkzeug",
}
#: What a server breaks where it calls the application itself; an adapter of ours breaks nothing.
KNOWN = {
    "cheroot": {"V07"},
    "granian-asgi": {"H11", "H12"},
    "granian-wsgi": {"P39"},
    "nginx-gunicorn-asgi": {"H12"},  # on its unix socket
    "werkzeug": {"V05"},  # REMOTE_PORT is an int
}
PARAMS = [
    pytest.param((name, application), id=f"{name}-{application}", marks=[pytest.mark.slow] if name in SLOW else [])
    for name in TIERS
    for application, (_, interface) in APPLICATIONS.items()
    if interface == "wsgi" or servers.get(name.removeprefix("nginx-")).capabilities.serves_asgi
]


@pytest.fixture(scope="module", params=PARAMS)
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    """One server with one application, started once for all tests of it."""
    name, application = request.param
    if reason := missing(name):
        pytest.skip(reason)
    # The path of a unix socket is short: pytest's own folders may not be.
    with tempfile.TemporaryDirectory(prefix="tier-") as folder, serve(name, application, Path(folder)) as started:
        yield started
        found = {violation.rule for violation in told_violations(started.running)}
        known = KNOWN.get(name, set()) if APPLICATIONS[application][1] == started.server.interface else set()
        known = known | ({"E20"} if application == "fastapi" else set())  # a body for HEAD, which the server drops
        assert found == known, f"what was found between {name} and {application}"


def test_get_answers_with_the_applications_bytes(tier: Tier) -> None:
    answer = tier.ask("GET", "/")
    assert (answer.status, answer.body) == (200, f"hello from {tier.application}".encode())
    assert answer.header("content-type") == ["text/plain; charset=utf-8"]
    assert answer.header("content-length") == [str(len(answer.body))]
    assert answer.header("x-tier") == ["one"]


def test_the_server_calls_the_object_by_its_own_interface(tier: Tier) -> None:
    seen = json.loads(tier.ask("GET", "/seen").body)
    # Each adapter leaves the original of what it translates, so the application can tell.
    assert seen["crossed"] is ((APPLICATIONS[tier.application][1] == "wsgi") != (tier.server.interface == "wsgi"))


def test_the_lifespan_has_started_before_a_request(tier: Tier) -> None:
    crosses_to_wsgi = tier.server.interface == "wsgi"
    knows_lifespan = tier.server.capabilities.lifespan or crosses_to_wsgi or tier.application == "flask"
    assert json.loads(tier.ask("GET", "/seen").body)["started"] is knows_lifespan


def test_a_megabyte_arrives_whole(tier: Tier) -> None:
    body = bytes(range(256)) * 4096
    answer = tier.ask("POST", "/upload", body)
    assert answer.status == 200
    assert json.loads(answer.body) == {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_a_chunked_upload_is_decoded_refused_or_lost_as_documented(tier: Tier) -> None:
    fate = "decoded" if tier.proxied else tier.server.capabilities.chunked_upload
    if fate == "lost" and tier.application == "fastapi":
        fate = "decoded"  # the adapter asks the server itself for the body
    chunks = [b"a" * 10, b"b" * (10 if fate == "lost" else 70_000), b"c"]
    whole = b"".join(chunks)
    answer = tier.ask("POST", "/upload", iter(chunks), {"Transfer-Encoding": "chunked"}, chunked=True)
    if fate == "decoded":
        assert json.loads(answer.body) == {"length": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    elif fate == "refused":
        assert answer.status in (411, 501)
    else:
        assert json.loads(answer.body)["length"] == 0


def test_the_first_chunk_of_a_stream_arrives_before_the_second_is_made(tier: Tier, tmp_path: Path) -> None:
    release = tmp_path / "release"
    with tier.connection() as connection:
        connection.request("GET", f"/stream?release={release}")
        response = connection.getresponse()
        assert response.read1(65536) == b"first\n"
        release.touch()
        assert response.read() == b"second\n"


def test_two_cookies_stay_two_in_their_order(tier: Tier) -> None:
    assert tier.ask("GET", "/cookies").header("set-cookie") == ["a=1; Path=/", "b=2; Path=/; HttpOnly"]


def test_a_path_and_a_query_beyond_ascii_arrive_decoded(tier: Tier) -> None:
    answer = tier.ask("GET", "/path/caf%C3%A9/%E6%97%A5%E6%9C%AC%20x?q=%C3%BC&r=a+b")
    assert json.loads(answer.body) == {"path": "café/日本 x", "query": {"q": "ü", "r": "a b"}}


def test_head_has_the_headers_of_get_and_no_body(tier: Tier) -> None:
    received = tier.raw(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, _, body = received.partition(b"\r\n\r\n")
    assert b" 200" in head.split(b"\r\n")[0]
    assert f"content-length: {len(f'hello from {tier.application}')}".encode() in head.lower().split(b"\r\n")
    assert body == b""


def test_what_is_not_there_is_404(tier: Tier) -> None:
    assert tier.ask("GET", "/missing").status == 404


def test_an_exception_is_500_and_the_server_goes_on(tier: Tier) -> None:
    assert tier.ask("GET", "/error").status == 500
    assert tier.ask("GET", "/").status == 200
    assert tier.running.process.poll() is None


def test_one_connection_carries_several_requests_where_the_server_keeps_it(tier: Tier) -> None:
    keeps = tier.proxied or tier.server.capabilities.keep_alive
    with tier.connection() as connection:
        held = connection.sock
        for _ in range(3 if keeps else 1):
            connection.request("GET", "/")
            assert connection.getresponse().read() == f"hello from {tier.application}".encode()
            assert (connection.sock is held) or not keeps, "no new connection was made"
        assert keeps or connection.sock is None, "the server closes without saying so in the headers"
