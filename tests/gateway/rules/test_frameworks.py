import asyncio
from typing import Any

import pytest

from gateway.rules import Validator
from tests import django_site
from tests.gateway.rules import wsgi
from tests.gateway.rules.asgi import http
from tests.gateway.rules.frameworks import ASGI, URLS, WSGI, requests


@pytest.fixture(autouse=True, scope="module")
def settings() -> Any:
    with django_site.serving(URLS):
        yield


#: Django sends header names as they are written.
KNOWN = {"django": {"E09"}}
REQUESTS = list(requests())
IDS = [request[1].strip("/") or "hello" for request in REQUESTS]


def clean(validator: Any, known: set[str] = frozenset()) -> bool:  # type: ignore[assignment]
    return validator.violations == [] and {warning.rule for warning in validator.warnings} <= known


def call_wsgi(app: Any, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    environ = wsgi.environ(body, REQUEST_METHOD=method, PATH_INFO=path, wsgi__multithread=True)
    for name, value in headers.items():
        environ["CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper()}"] = value
    result = wsgi.serve(wsgi.Serve(app, environ=environ), validator=app)
    assert result.errors == []
    return b"".join(result.body)


def call_asgi(app: Any, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    pairs = [(b"host", b"testserver"), *((name.encode(), value.encode()) for name, value in headers.items())]
    pairs += [(b"content-length", str(len(body)).encode())] if body else []
    scope = http(method=method, path=path, raw_path=path.encode(), headers=pairs)
    half = len(body) // 2
    events = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    sent: list[bytes] = []

    async def main() -> None:
        answered = asyncio.Event()

        async def receive() -> Any:
            if events:
                return events.pop(0)
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                answered.set()

        await app(scope, receive, send)

    asyncio.run(main())
    return b"".join(sent)


@pytest.mark.parametrize("request_", REQUESTS, ids=IDS)
@pytest.mark.parametrize("framework", WSGI)
def test_a_wsgi_framework_runs_clean(framework: str, request_: Any) -> None:
    app = Validator(WSGI[framework](), "wsgi", "raise")
    assert call_wsgi(app, *request_[:4]) == request_[4]
    assert clean(app)


@pytest.mark.parametrize("request_", REQUESTS, ids=IDS)
@pytest.mark.parametrize("framework", ASGI)
def test_an_asgi_framework_runs_clean(framework: str, request_: Any) -> None:
    app = Validator(ASGI[framework](), "asgi", "raise")
    assert call_asgi(app, *request_[:4]) == request_[4]
    assert clean(app, KNOWN.get(framework, set()))


@pytest.mark.parametrize("request_", REQUESTS, ids=IDS)
@pytest.mark.parametrize("framework", WSGI)
def test_a_wsgi_framework_runs_clean_when_crossed(framework: str, request_: Any) -> None:
    from gateway.adapters import WsgiToAsgi

    inner = Validator(WSGI[framework](), "wsgi", "raise")
    outer = Validator(WsgiToAsgi(inner), "asgi", "raise")
    assert call_asgi(outer, *request_[:4]) == request_[4]
    assert clean(inner, KNOWN.get(framework, set()))
    assert clean(outer)


@pytest.mark.parametrize("request_", REQUESTS, ids=IDS)
@pytest.mark.parametrize("framework", ASGI)
def test_an_asgi_framework_runs_clean_when_crossed(framework: str, request_: Any) -> None:
    from gateway.adapters import AsgiToWsgi

    inner = Validator(ASGI[framework](), "asgi", "raise")
    outer = Validator(AsgiToWsgi(inner), "wsgi", "raise")
    assert call_wsgi(outer, *request_[:4]) == request_[4]
    assert clean(inner, KNOWN.get(framework, set()))
    assert clean(outer)
