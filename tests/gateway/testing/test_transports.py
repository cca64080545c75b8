"""The transports under the clients of httpx2 and of httpx: what the libraries' own transports lose arrives."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from gateway.errors import ConfigurationError, ProtocolViolation
from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope
from gateway.testing.transports import ASGITransport, WSGITransport
from tests.gateway.testing import apps


@pytest.fixture(params=[httpx2, httpx], ids=["httpx2", "httpx"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    module = request.param
    assert isinstance(module, ModuleType)
    return module


def sync_client(library: ModuleType, app: Any, **options: Any) -> Any:
    return library.Client(transport=WSGITransport(app, **options), base_url="http://testserver")


def async_client(library: ModuleType, app: Any, **options: Any) -> Any:
    return library.AsyncClient(transport=ASGITransport(app, **options), base_url="http://testserver")


def test_a_wsgi_application_gets_what_was_sent(library: ModuleType) -> None:
    headers = [("X-Twice", "1"), ("X-Twice", "2"), ("X-Latin", "é".encode("latin-1"))]
    raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
    with sync_client(library, apps.wsgi_echo, root_path="/app") as client:
        seen = client.post("/é€", headers=raw, json={"a": 1}).json()
        assert seen["path"] == "/app/é€"
        assert (seen["headers"]["x-twice"], seen["headers"]["x-latin"]) == ("1,2", "é")
        assert seen["body"] in ('{"a":1}', '{"a": 1}')
        files = client.post("/", files={"f": ("n.txt", io.BytesIO(b"inside"))}).json()
        assert "inside" in files["body"]


def test_what_write_wrote_is_not_lost(library: ModuleType) -> None:
    def app(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        start_response("201 Made", [("Content-Type", "text/plain")])(b"written ")
        return [b"returned"]

    with sync_client(library, app) as client:
        response = client.get("/")
    assert (response.status_code, response.reason_phrase, response.text) == (201, "Made", "written returned")


def test_a_wsgi_response_streams_and_an_early_close_closes_the_iterable(library: ModuleType) -> None:
    made: list[int] = []
    closed: list[bool] = []

    def app(environ: Environ, start_response: apps.StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            for number in range(1000):
                made.append(number)
                yield b"x"
        finally:
            closed.append(True)

    with sync_client(library, app) as client:
        with client.stream("GET", "/") as response:
            chunks = response.iter_raw()
            assert next(chunks) == b"x"
            assert len(made) <= 2
        assert closed == [True]


def test_a_wsgi_application_raises_through_or_answers_500(library: ModuleType) -> None:
    with sync_client(library, apps.wsgi_fails) as client, pytest.raises(ZeroDivisionError):
        client.get("/")
    with sync_client(library, apps.wsgi_fails, raise_app_exceptions=False) as client:
        assert client.get("/").status_code == 500
        with pytest.raises(library.RemoteProtocolError):
            client.get("/late")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_asgi_application_gets_what_was_sent(library: ModuleType, backend: str) -> None:
    async def main() -> None:
        async with async_client(library, apps.asgi_echo, root_path="/app") as client:
            seen = (await client.post("/é€", headers=[("X-Twice", "1"), ("X-Twice", "2")], json={"a": 1})).json()
            assert (seen["path"], seen["headers"]["x-twice"]) == ("/app/é€", "1,2")

    anyio.run(main, backend=backend)


# The libraries wrap a stream into an asynchronous generator that they do not close, which trio minds.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_endless_response_streams_and_its_end_is_told(library: ModuleType, backend: str) -> None:
    async def main() -> None:
        async with async_client(library, apps.events) as client:
            async with client.stream("GET", "/events") as response:
                chunks = response.aiter_raw()
                assert await anext(chunks) == b"data: 0\n\n"
                await chunks.aclose()
        assert response.extensions["gateway.record"].app_saw in ("http.disconnect", "OSError")

    anyio.run(main, backend=backend)


def test_trailers_are_in_the_extensions(library: ModuleType) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        headers = [(b"content-type", b"text/plain"), (b"trailer", b"x-sum")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": b"body"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"7")]})

    async def main() -> None:
        async with async_client(library, app, lifespan=False) as client:
            response = await client.get("/", headers={"te": "trailers"})
            assert response.extensions["trailers"] == [(b"x-sum", b"7")]

    anyio.run(main)


def test_the_lifespan_spans_the_client_or_begins_with_the_first_request(library: ModuleType) -> None:
    async def main() -> None:
        apps.lifespans.clear()
        async with async_client(library, apps.asgi_site) as client:
            assert apps.lifespans == ["started"]
            await client.get("/about")
        assert apps.lifespans == ["started", "stopped"]
        client = async_client(library, apps.asgi_site)
        await client.get("/about")
        assert apps.lifespans[2:] == ["started"]
        await client.aclose()
        assert apps.lifespans[2:] == ["started", "stopped"]

    anyio.run(main)


def test_an_asgi_application_raises_through_or_answers_500(library: ModuleType) -> None:
    async def main() -> None:
        async with async_client(library, apps.asgi_fails) as client:
            for path in ("/", "/late"):
                with pytest.raises(ZeroDivisionError):
                    await client.get(path)
        async with async_client(library, apps.asgi_fails, raise_app_exceptions=False) as client:
            assert (await client.get("/")).status_code == 500
            with pytest.raises(library.RemoteProtocolError):
                await client.get("/late")

    anyio.run(main)


def test_cookies_and_redirects_are_the_librarys(library: ModuleType) -> None:
    with sync_client(library, apps.wsgi_session) as client:
        assert client.post("/login", follow_redirects=True).text == "user=ada; theme=dark"


def test_a_violation_is_raised_or_collected(library: ModuleType) -> None:
    async def app(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await apps.reply(send, headers=[(b"x-bad", b"a\r\nb"), (b"content-type", b"text/plain")])

    async def main() -> None:
        async with async_client(library, app, lifespan=False) as client:
            with pytest.raises(ProtocolViolation, match="E12"):
                await client.get("/")

    anyio.run(main)


def test_the_wrong_interface_is_refused_when_built() -> None:
    with pytest.raises(ConfigurationError, match="WSGITransport"):
        ASGITransport(apps.wsgi_echo)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="ASGITransport"):
        WSGITransport(apps.asgi_echo)  # type: ignore[arg-type]
