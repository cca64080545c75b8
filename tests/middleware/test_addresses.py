"""Every comparison of addresses treats an IPv4-mapped IPv6 address as the IPv4 address that it is, on both sides."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.errors import ConfigurationError
from gateway.middleware.access_log import AccessLog, Entry
from gateway.middleware.errors import Errors
from gateway.middleware.metrics import Metrics
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.rate_limit import RateLimit
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script

REAL = "198.51.100.9"
SPELLINGS = ["10.0.0.7", "::ffff:10.0.0.7", "::FFFF:a00:7"]
OPTIONS = [*SPELLINGS, "::ffff:10.0.0.0/104"]


@pytest.fixture
def entries() -> Iterator[list[Entry]]:
    """Give the entries of the access log."""
    found: list[Entry] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.entry)  # type: ignore[attr-defined]

    logger, handler = logging.getLogger("gateway.access"), Collecting()
    logger.addHandler(handler)
    logger.propagate = False
    yield found
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("peer", SPELLINGS)
def test_a_proxy_is_trusted_in_every_spelling(stack: MakeStack, option: str, peer: str) -> None:
    chain = stack(ProxyHeaders(trust=(option,)))
    fields = [("X-Forwarded-For", REAL)]
    assert chain.request(client=(peer, 1), headers=fields).seen[0].client == REAL


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("hop", SPELLINGS)
def test_a_hop_is_passed_over_in_every_spelling(stack: MakeStack, option: str, hop: str) -> None:
    for mode, fields in (
        ("x-forwarded", [("X-Forwarded-For", f"6.6.6.6, {REAL}, {hop}")]),
        ("forwarded", [("Forwarded", f'for=6.6.6.6, for={REAL}, for="{hop if "." in hop else f"[{hop}]"}"')]),
    ):
        chain = stack(ProxyHeaders(trust=(option,), mode=mode))  # type: ignore[arg-type]
        assert chain.request(client=("10.0.0.7", 1), headers=fields).seen[0].client == REAL


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("peer", SPELLINGS)
def test_a_scraper_is_allowed_in_every_spelling(stack: MakeStack, option: str, peer: str) -> None:
    chain = stack(Metrics(registry=CollectorRegistry(), allow=(option,)))
    assert chain.request("/metrics", client=(peer, 1)).status == 200


@pytest.mark.parametrize("peer", SPELLINGS)
def test_a_client_is_counted_once_in_every_spelling(stack: MakeStack, peer: str) -> None:
    chain = stack(RateLimit(limits="1/minute"))
    assert chain.request(client=("10.0.0.7", 1)).status == 200
    assert chain.request(client=(peer, 1)).status == 429


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_this_machine_sees_a_traceback_in_every_spelling(stack: MakeStack, peer: str) -> None:
    chain = stack(Errors(debug=True, log=False), script=Script(raises=RuntimeError("on purpose")))
    assert b"on purpose" in chain.request(client=(peer, 1)).body
    assert b"on purpose" not in chain.request(client=("::ffff:10.0.0.7", 1)).body


@pytest.mark.parametrize("peer", SPELLINGS)
def test_a_client_is_logged_in_one_spelling(stack: MakeStack, entries: list[Entry], peer: str) -> None:
    chain = stack(AccessLog())
    chain.request(client=(peer, 1))
    chain.close()
    assert [entry.client for entry in entries] == ["10.0.0.7"]


def test_an_unknown_peer_is_logged_as_the_server_gave_it(stack: MakeStack, entries: list[Entry]) -> None:
    chain = stack(AccessLog())
    chain.request(client=("::nothing", 1))
    chain.close()
    assert [entry.client for entry in entries] == ["::nothing"]


@pytest.mark.parametrize(("kind", "option"), [(ProxyHeaders, "trust"), (Metrics, "allow")])
def test_an_option_with_a_zone_is_refused(kind: Any, option: str) -> None:
    with pytest.raises(ConfigurationError, match="write 'fe80::1'"):
        kind(**{option: ("fe80::1%eth0",)})
