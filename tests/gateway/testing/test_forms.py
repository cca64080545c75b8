"""WebTest's forms, links and cookies, on applications of both interfaces."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from gateway.errors import ProtocolViolation
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope
from gateway.testing.forms import webtest_app
from tests.gateway.testing import apps


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_form_is_filled_in_and_followed(interface: str) -> None:
    with webtest_app(apps.SITE[interface]) as site:
        form = site.get("/login").form
        form["user"] = "ada"
        form["keep"] = True
        answer = form.submit("go")
        # Every cookie is a header of its own, which adapters and clients like to lose.
        assert answer.headers.getall("Set-Cookie") == [
            "go=go; Path=/",
            "keep=yes; Path=/",
            "theme=dark; Path=/",
            "user=ada; Path=/",
        ]
        page = answer.follow()
        assert page.status_int == 200
        assert "go=go; keep=yes; theme=dark; user=ada" in page.text


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_link_is_clicked(interface: str) -> None:
    with webtest_app(apps.SITE[interface]) as site:
        assert "about us" in site.get("/login").click("about").text


def test_one_lifespan_spans_the_life_of_the_object() -> None:
    apps.lifespans.clear()
    site = webtest_app(apps.asgi_site)
    assert apps.lifespans == []
    site.get("/login")
    site.get("/about")
    assert apps.lifespans == ["started"]
    site.close()
    assert apps.lifespans == ["started", "stopped"]


def test_both_sides_of_an_asgi_application_are_validated() -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await apps.reply(send, headers=[(b"x-bad", b"a\r\nb"), (b"content-type", b"text/plain")])

    with webtest_app(app, lifespan=False) as site, pytest.raises(ProtocolViolation, match="E12"):
        site.get("/")


def test_webtests_own_lint_stays_on() -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("content-type", "text/plain"), ("Status", "200")])
        return [b"WSGI has no Status header"]

    with webtest_app(app, validate="off") as site, pytest.raises(AssertionError, match="Status"):
        site.get("/")
