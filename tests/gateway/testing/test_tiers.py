"""The tiers of one process: the same application, direct, adapted and there and back again, answers the same."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.protocols import ASGIReceive, ASGISend, Scope
from gateway.testing import Client
from gateway.testing.tiers import Tier, cross
from tests.gateway.testing import apps

TIERS: list[Tier] = ["direct", "adapted", "roundtrip"]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
class TestEveryTier:
    def test_the_request_arrives_whole(self, interface: str, tier: Tier) -> None:
        with Client(apps.ECHO[interface], tier=tier, root_path="/app") as client:
            seen = client.post("/é", params={"a": "1"}, content=[b"ab", b"", b"c"], headers={"X-A": "b"}).json()
            assert (seen["method"], seen["path"], seen["query"], seen["body"]) == ("POST", "/app/é", "a=1", "abc")
            assert seen["headers"]["x-a"] == "b"
            client.assert_clean()

    def test_the_chunks_stay_as_they_are(self, interface: str, tier: Tier) -> None:
        with Client(apps.CHUNKS[interface], tier=tier) as client:
            assert client.get("/3/4").chunks == [b"0000", b"1111", b"2222"]
            with client.stream("GET", "/3/4") as response:
                assert list(response.iter_chunks()) == [b"0000", b"1111", b"2222"]

    def test_cookies_and_redirects_work(self, interface: str, tier: Tier) -> None:
        with Client(apps.SESSION[interface], tier=tier, follow_redirects=True) as client:
            assert client.post("/login").text == "user=ada; theme=dark"

    def test_what_the_application_raises_is_raised(self, interface: str, tier: Tier) -> None:
        with Client(apps.FAILS[interface], tier=tier) as client:
            with pytest.raises(ZeroDivisionError, match="at once"):
                client.get("/")


@pytest.mark.parametrize("tier", TIERS)
def test_the_lifespan_is_run_once_in_every_tier(tier: Tier) -> None:
    apps.lifespans.clear()
    with Client(apps.asgi_site, tier=tier) as client:
        client.get("/about")
        client.get("/about")
    assert apps.lifespans == ["started", "stopped"]


@pytest.mark.parametrize("tier", TIERS)
def test_a_violation_is_found_behind_any_number_of_adapters(tier: Tier) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await apps.reply(send, headers=[(b"x-bad", b"a\r\nb"), (b"content-type", b"text/plain")])

    with Client(app, tier=tier, lifespan=False) as client, pytest.raises(ProtocolViolation, match="E12"):
        client.get("/")


def test_every_boundary_is_checked() -> None:
    boundaries: list[str] = []

    def check(app: Any, interface: str) -> Any:
        boundaries.append(interface)
        return app

    crossed = cross(apps.wsgi_echo, "wsgi", "roundtrip", check)
    assert (boundaries, crossed.interface) == (["wsgi", "asgi", "wsgi"], "wsgi")
    assert crossed.close is not None
    crossed.close()


def test_an_unknown_tier_is_refused_when_built() -> None:
    with pytest.raises(ConfigurationError, match="direct, adapted, roundtrip"):
        Client(apps.wsgi_echo, tier="sideways")  # type: ignore[arg-type]
