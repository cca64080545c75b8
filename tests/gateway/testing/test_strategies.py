"""What the strategies draw is conformant: the validator finds nothing against the server that they play."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols import ASGIReceive, ASGISend, Environ, Message, Scope
from gateway.rules import Validator
from gateway.testing import Client
from gateway.testing.strategies import (
    bodies,
    chunkings,
    environs,
    headers,
    methods,
    paths,
    query_strings,
    scopes,
    statuses,
)
from tests.gateway.testing import apps


def answers(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return []


@given(environs())
def test_environs_are_what_a_server_may_give(environ: Environ) -> None:
    checked = Validator(answers, "wsgi", mode="collect")
    iterable = checked(environ, lambda status, headers, exc_info=None: lambda data: None)
    list(iterable)
    getattr(iterable, "close", lambda: None)()
    assert checked.violations == []


@given(scopes())
def test_scopes_are_what_a_server_may_give(scope: Scope) -> None:
    checked = Validator(respond, "asgi", mode="collect")

    async def main() -> None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        assert length == b"0"
        given: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            return given.pop() if given else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            return None

        await checked(scope, receive, send)

    asyncio.run(main())
    assert checked.violations == []


async def respond(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


@given(st.data())
def test_chunks_join_to_their_body(data: st.DataObject) -> None:
    body = data.draw(bodies())
    assert b"".join(data.draw(chunkings(st.just(body)))) == body


@given(statuses())
def test_a_drawn_status_may_have_a_body(status: int) -> None:
    assert 200 <= status <= 599
    assert status not in (204, 304)


@settings(max_examples=30)
@given(methods(), paths(), query_strings(), headers(), chunkings())
def test_drawn_requests_pass_through_the_client_unchanged(
    method: str, path: str, query: bytes, lines: list[tuple[bytes, bytes]], chunks: list[bytes]
) -> None:
    from urllib.parse import quote

    target = quote(path, safe="/").replace("//", "/%2F", 1) if path.startswith("//") else quote(path, safe="/")
    named = [(name.decode(), value) for name, value in lines]
    with Client(apps.wsgi_echo) as client:
        if method == "HEAD":
            return
        seen = client.request(method, f"{target}?{query.decode()}", headers=named, content=chunks).json()
    assert seen["method"] == method
    assert seen["query"] == query.decode()
    assert seen["body"].encode("latin-1") == b"".join(chunks)
