"""What a driver leaves out where nobody asks for it, and which driver serves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway import drivers
from tests.gateway.drivers._side import BODY, START, logged, scope
from tests.shows import shows


@shows("What is not defined costs nothing")
@shows("A group costs what it defines: nothing is the application itself, and only who waits for the end wraps a body")
def test_nothing_defined_is_the_application_itself() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    def wsgi(environ: Any, start_response: Any) -> Any: ...

    assert drivers.build_asgi([], app) is app
    assert drivers.build_asgi([logged("a", [])], app) is app
    assert drivers.build_wsgi([], wsgi) is wsgi
    assert drivers.build_wsgi([logged("a", [])], wsgi) is wsgi


TIERS = {
    "head": {"on_response": None},
    "request+head": {"on_request": None, "on_response": None},
    "finish": {"on_request": None, "on_response": None, "on_finish": None},
    "body": {"on_body": None},
}


@shows("What is not defined costs nothing")
@shows("A group costs what it defines: nothing is the application itself, and only who waits for the end wraps a body")
@pytest.mark.parametrize("tier", TIERS)
def test_what_a_chain_does_not_ask_for_stands_not_in_the_way(tier: str) -> None:
    chain = [logged("a", [], **TIERS[tier])]
    seen: list[Any] = []
    given = [b"body"]

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return given

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope is own)
        await send({**START})
        await send({**BODY})

    async def channel(message: Any = None) -> Any: ...

    body: Any = drivers.build_wsgi(chain, wsgi)({"REQUEST_METHOD": "GET"}, lambda *args: lambda data: None)
    assert (body is given) is (tier != "finish"), "only who waits for the end wraps a body that nobody transforms"
    own = scope()
    asyncio.run(drivers.build_asgi(chain, asgi)(own, channel, channel))
    assert seen == [True]
