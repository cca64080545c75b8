"""The five tests that the clients were designed for: short, and each impossible or wrong with the tools before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ProtocolViolation
from gateway.protocols import ASGIReceive, ASGISend, Scope
from gateway.testing import Client, Fault
from gateway.testing.forms import webtest_app
from tests.gateway.testing import apps

wsgi_app = apps.wsgi_chunks
asgi_app = apps.asgi_site


async def echo_app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await apps.run_lifespan(scope, receive, send)
        return
    await apps.reply(send, b"".join(await apps.read_body(receive)))


async def bad_app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    if scope["type"] == "lifespan":
        await apps.run_lifespan(scope, receive, send)
        return
    await apps.reply(send, headers=[(b"location", b"/\r\nset-cookie: admin=1")])


@pytest.fixture
def app() -> Any:
    return echo_app


@pytest.fixture
def sse_app() -> Any:
    return apps.events


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.tiers("all")
def test_echo(web: Any, app: Any) -> None:
    r = web(app).post("/echo", content=[b"ab", b"", b"c"])
    assert (r.status_code, r.content) == (200, b"abc")


@pytest.mark.anyio
async def test_sse_first_event_before_end(aweb: Any, sse_app: Any) -> None:
    async with aweb(sse_app).stream("GET", "/events") as r:
        assert await anext(r.iter_chunks()) == b"data: 0\n\n"
    assert r.app_saw in ("http.disconnect", "OSError")  # told, not cancelled


@pytest.mark.parametrize("at", [0, 1, 4095, 4096])
def test_close_called_on_disconnect(web: Any, at: int) -> None:
    r = web(wsgi_app).get("/4/4096", fault=Fault(disconnect="after_bytes", at=at))
    assert r.close_called == 1


def test_validator_names_rule() -> None:
    with pytest.raises(ProtocolViolation, match="E12"), Client(bad_app) as client:
        client.get("/")


def test_login_form_over_asgi() -> None:
    with webtest_app(asgi_app) as site:
        page = site.get("/login").form
        page["user"] = "u"
        assert page.submit().follow().status_int == 200


def test_the_how_to_for_a_framework_author_is_short() -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "test-your-framework.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 70
