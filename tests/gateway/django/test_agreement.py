"""The settings of a project and the chain around it: what contradicts, what differs, what agrees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import override_settings

from gateway.application import Gateway
from gateway.chain import ChainWarning, path_in, unless
from gateway.contract import Middleware
from gateway.django import get_application
from gateway.errors import ConfigurationError
from gateway.middleware import HttpsRedirect, ProxyHeaders, TrustedHost
from gateway.testing import Client
from tests import django_site

PROTO = ("HTTP_X_FORWARDED_PROTO", "https")
TRUST = ("10.0.0.0/8",)


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    with django_site.serving("tests.gateway.django.views"):
        yield


@dataclass(frozen=True)
class Case:
    id: str
    settings: dict[str, Any]
    middleware: list[Any] = field(default_factory=list)
    error: str = ""
    warning: str = ""


CASES = [
    Case("same-hosts", {"ALLOWED_HOSTS": ["a.example"]}, [TrustedHost(allowed=("a.example",))]),
    Case("chain-allows-less", {"ALLOWED_HOSTS": ["*"]}, [TrustedHost(allowed=("a.example",))]),
    Case("chain-allows-a-port", {"ALLOWED_HOSTS": ["a.example"]}, [TrustedHost(allowed=("a.example:8000",))]),
    Case("below", {"ALLOWED_HOSTS": [".a.example"]}, [TrustedHost(allowed=("x.a.example", "*.b.a.example"))]),
    Case(
        "chain-allows-more",
        {"ALLOWED_HOSTS": ["a.example"]},
        [TrustedHost(allowed=("a.example", "*.b.example"))],
        warning="TrustedHost allows '*.b.example', and Django's ALLOWED_HOSTS does not",
    ),
    Case(
        "no-common-host",
        {"ALLOWED_HOSTS": ["a.example"]},
        [unless(path_in("/health"), TrustedHost(allowed=("b.example", "*.a.example")))],
        error="no host passes both",
    ),
    Case("no-hosts", {"ALLOWED_HOSTS": []}, error="ALLOWED_HOSTS is empty and DEBUG is off"),
    Case("no-hosts-with-debug", {"ALLOWED_HOSTS": [], "DEBUG": True}),
    Case("a-url-for-a-host", {"ALLOWED_HOSTS": ["https://a.example"]}, error="which no request matches"),
    Case("a-port", {"ALLOWED_HOSTS": ["a.example:8000"]}, error="which no request matches"),
    Case("only-django-reads-the-scheme", {"SECURE_PROXY_SSL_HEADER": PROTO}),
    Case("both-read-the-scheme", {"SECURE_PROXY_SSL_HEADER": PROTO}, [ProxyHeaders(trust=TRUST)]),
    Case("only-the-chain-reads-it", {}, [ProxyHeaders(trust=TRUST), HttpsRedirect(host="a.example")]),
    Case(
        "the-chain-trusts-no-proxy",
        {"SECURE_PROXY_SSL_HEADER": PROTO},
        [ProxyHeaders(trust=(), mode="off")],
        error="expects a proxy that ends TLS",
    ),
    Case(
        "a-header-that-the-chain-removes",
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_SSL", "on")},
        [ProxyHeaders(trust=TRUST)],
        error="reads x-forwarded-ssl, which ProxyHeaders removes",
    ),
    Case(
        "a-header-that-the-chain-does-not-know",
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_OUR_SCHEME", "https")},
        [ProxyHeaders(trust=TRUST)],
        warning="does not know the header x-our-scheme",
    ),
    Case(
        "the-chain-reads-forwarded",
        {"SECURE_PROXY_SSL_HEADER": PROTO},
        [ProxyHeaders(trust=TRUST, mode="forwarded")],
        warning="SECURE_PROXY_SSL_HEADER has no effect",
    ),
    Case(
        "the-chain-keeps-forged-headers",
        {"SECURE_PROXY_SSL_HEADER": PROTO},
        [ProxyHeaders(trust=TRUST, untrusted="keep")],
        warning="passes X-Forwarded-Proto of any client on",
    ),
    Case(
        "a-redirect-that-never-ends",
        {"SECURE_PROXY_SSL_HEADER": PROTO},
        [HttpsRedirect(host="a.example")],
        warning="HttpsRedirect does not see the header x-forwarded-proto",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_settings_and_chain_are_compared(case: Case) -> None:
    settings = {"ALLOWED_HOSTS": ["*"], **case.settings}
    with override_settings(**settings):
        if case.error:
            with pytest.raises(ConfigurationError) as raised:
                get_application(middleware=case.middleware)
            assert case.error in str(raised.value)
        elif case.warning:
            with pytest.warns(ChainWarning) as warned:
                assert isinstance(get_application(middleware=case.middleware), Gateway)
            [message] = warned
            assert case.warning in str(message.message)
            assert message.filename == __file__
        else:
            get_application(middleware=case.middleware)  # warnings are errors in this suite


@pytest.mark.parametrize("peer", ["10.0.0.1", "192.0.2.1"])
def test_django_and_the_chain_see_the_same_scheme(peer: str) -> None:
    seen: list[str] = []

    class Sees(Middleware):
        def on_request(self, request: Any) -> None:
            seen.append(request.scheme)

    with override_settings(ALLOWED_HOSTS=["*"], SECURE_PROXY_SSL_HEADER=PROTO):
        application = get_application(middleware=[ProxyHeaders(trust=TRUST), Sees()])
    with Client(application, interface="asgi", client=(peer, 1)) as client:
        with override_settings(ALLOWED_HOSTS=["*"], SECURE_PROXY_SSL_HEADER=PROTO):
            text = client.get("/host/", headers={"host": "a.example", "x-forwarded-proto": "https"}).text
    scheme = "https" if peer.startswith("10.") else "http"
    assert (text, seen) == (f"{scheme} a.example", [scheme])
