"""Somebody's middleware in a chain with ours, in process: each does its work once, where it was planned."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import sentry_sdk

from gateway.adapters.asgi_to_wsgi import close_all
from gateway.testing.clients import Client
from tests.gateway.third_parties import BIG, ORIGIN, PLANNED, SPANS, STATIC, Events, build, start_sentry

Server = Literal["wsgi", "asgi"]
SERVERS: tuple[Server, Server] = ("wsgi", "asgi")

each_chain = pytest.mark.parametrize("chain", list(PLANNED))
each_app = pytest.mark.parametrize("app", ["flask", "fastapi"])
each_server = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    """What an adapter to WSGI has started ends with the test."""
    yield
    close_all()


@pytest.fixture(autouse=True)
def _sentry() -> Iterator[None]:
    """Sentry keeps its events for one test, and is off after it."""
    start_sentry()
    Events.kept.clear()
    while not SPANS.empty():
        SPANS.get()
    yield
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site.css").write_text(STATIC)
    return tmp_path


@each_chain
@each_app
@each_server
def test_the_adapters_counted_are_the_ones_planned(chain: str, app: str, server: Server, folder: Path) -> None:
    gateway = build(app, chain, folder)
    crossings = gateway.explain().as_dict()["servers"][server]["adapters"]
    assert len(crossings) == PLANNED[chain][app][SERVERS.index(server)]
    with Client(gateway, interface=server) as client:
        response = client.get("/hello")
    assert response.text.startswith("hello from ")
    assert response.headers["x-crossings"] == str(len(crossings))
    seen = [name for name in ("inside", "between", "outside") if name in response.headers.get("x-mark", "")]
    names = [mark.split(":")[0] for line in response.headers.get_list("x-mark") for mark in line.split(", ")]
    assert [name for name in names if name in seen] == seen, "from the inside out"


@pytest.mark.parametrize("chain", ["proxy-fix", "everything"])
@each_app
@each_server
def test_proxy_fix_tells_the_application_the_client(chain: str, app: str, server: Server, folder: Path) -> None:
    with Client(build(app, chain, folder), interface=server) as client:
        response = client.get("/hello", headers={"x-forwarded-for": "203.0.113.9"})
    assert response.text == "hello from 203.0.113.9"


@pytest.mark.parametrize("chain", ["whitenoise", "twins-beside-whitenoise", "everything"])
@each_app
@each_server
def test_whitenoise_serves_its_files_before_the_application(chain: str, app: str, server: Server, folder: Path) -> None:
    with Client(build(app, chain, folder), interface=server) as client:
        response = client.get("/static/site.css")
        assert (response.status_code, response.text) == (200, STATIC)
        assert response.headers["content-type"].startswith("text/css")
        unchanged = client.get("/static/site.css", headers={"if-none-match": response.headers["etag"]})
        assert unchanged.status_code == 304
        assert client.get("/static/absent.css").status_code == 404
    assert "inside" not in response.headers.get("x-mark", "")


@pytest.mark.parametrize("chain", ["cors-gzip", "everything"])
@each_app
@each_server
def test_starlettes_cors_and_gzip_work_around_either(chain: str, app: str, server: Server, folder: Path) -> None:
    with Client(build(app, chain, folder), interface=server) as client:
        headers = {"origin": ORIGIN, "access-control-request-method": "GET"}
        preflight = client.options("/hello", headers=headers)
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        assert "inside" not in preflight.headers.get("x-mark", "")
        response = client.get("/big", headers={"origin": ORIGIN, "accept-encoding": "gzip"})
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert response.text == BIG


@pytest.mark.parametrize("chain", ["correlation-id", "everything"])
@each_app
@each_server
def test_the_correlation_id_of_a_request_comes_back(chain: str, app: str, server: Server, folder: Path) -> None:
    given = uuid.uuid4().hex
    with Client(build(app, chain, folder), interface=server) as client:
        assert client.get("/hello", headers={"x-request-id": given}).headers["x-request-id"] == given
        assert len(client.get("/hello").headers["x-request-id"]) == 32


@pytest.mark.parametrize("chain", ["sentry", "twins-beside-whitenoise", "everything"])
@each_app
@each_server
def test_sentry_sees_an_error_once_from_beside_the_application(
    chain: str, app: str, server: Server, folder: Path
) -> None:
    gateway = build(app, chain, folder)
    planned = gateway.explain().as_dict()["servers"][server]
    place = next(place for place, part in enumerate(planned["order"]) if "Sentry" in part["name"])
    # FastAPI answers with a complete 500 and raises afterwards; a WSGI caller has its answer then, and sees no error.
    hidden = app == "fastapi" and any(crossing["position"] > place for crossing in planned["adapters"])
    assert hidden is (app == "fastapi" and chain != "sentry"), "alone it always stands beside the application"
    with Client(gateway, interface=server, raise_app_exceptions=False) as client:
        for path in ("/boom", "/hello"):
            client.get(path)
        sentry_sdk.flush()
    assert [event["exception"]["values"][-1]["value"] for event in Events.kept] == ([] if hidden else ["boom"])


@pytest.mark.parametrize("chain", ["opentelemetry", "twins-beside-whitenoise", "everything"])
@each_app
@each_server
def test_opentelemetry_makes_one_span_a_request(chain: str, app: str, server: Server, folder: Path) -> None:
    with Client(build(app, chain, folder), interface=server) as client:
        client.get("/hello")
        span = SPANS.get(timeout=30)
    assert SPANS.empty(), "one, and no other"
    assert span.kind.name == "SERVER"
    assert span.attributes is not None
    assert span.attributes["http.status_code"] == 200


@pytest.mark.parametrize("chain", ["proxy-fix", "cors-gzip", "sentry", "everything"])
def test_a_websocket_reaches_fastapi_through_every_chain(chain: str, folder: Path) -> None:
    with Client(build("fastapi", chain, folder), interface="asgi") as client:
        with client.websocket("/chat") as socket:
            assert socket.receive_text() == "hello"
