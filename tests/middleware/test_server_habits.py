"""What servers do before `ProxyHeaders`: the scheme is put right, and what is lost is said once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway import Gateway
from gateway.contract import Middleware
from gateway.middleware import ProxyHeaders
from gateway.testing import Client

TRUSTING = ProxyHeaders(trust=("127.0.0.1",))
FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


def environ(**more: Any) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1", **more}


def seen(middleware: Middleware, given: dict[str, Any]) -> dict[str, Any]:
    """Call a chain with an environ as a server would, and return what the application was given."""
    found: list[dict[str, Any]] = []

    def app(inner: dict[str, Any], start_response: Any) -> list[bytes]:
        found.append(inner)
        start_response("204 No Content", [])
        return []

    result = Gateway(app, middleware=[middleware]).wsgi(given, lambda status, headers, exc_info=None: print)
    list(result)
    return found[0]


UWSGI = {"uwsgi.version": b"2.0.30", "wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "https"}


@pytest.mark.parametrize(
    ("middleware", "given", "expected"),
    [
        (ProxyHeaders(trust=(), mode="off"), UWSGI, "http"),
        (ProxyHeaders(trust=("10.0.0.1",)), UWSGI, "http"),
        (ProxyHeaders(trust=("10.0.0.1",)), {**UWSGI, "HTTPS": "on"}, "https"),
        (ProxyHeaders(trust=("127.0.0.1",)), UWSGI, "https"),
        (ProxyHeaders(trust=("127.0.0.1",), mode="forwarded"), UWSGI, "http"),
        (ProxyHeaders(trust=(), mode="off"), {**UWSGI, "HTTP_X_FORWARDED_PROTO": "gopher"}, "http"),
        # Without such a header uWSGI took the scheme from the connection, or from a variable that NGINX sets.
        (ProxyHeaders(trust=(), mode="off"), {"uwsgi.version": b"2", "wsgi.url_scheme": "https"}, "https"),
        (ProxyHeaders(trust=(), mode="off"), {"wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "http"}, "https"),
    ],
)
def test_uwsgi_does_not_choose_the_scheme_by_a_header(
    middleware: Middleware, given: dict[str, Any], expected: str
) -> None:
    assert seen(middleware, environ(**given))["wsgi.url_scheme"] == expected


class Channel:
    """As much of waitress's channel as leads to its settings."""

    def __init__(self, **settings: Any) -> None:
        self.server = SimpleNamespace(adj=SimpleNamespace(**settings))

    def check_client_disconnected(self) -> bool:
        return False


def waitress(**settings: Any) -> dict[str, Any]:
    return {"waitress.client_disconnected": Channel(**settings).check_client_disconnected}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"trusted_proxy": None, "clear_untrusted_proxy_headers": True}, "removes X-Forwarded-*"),
        ({"trusted_proxy": "10.0.0.1", "clear_untrusted_proxy_headers": False}, "trusted_proxy='10.0.0.1'"),
        ({"trusted_proxy": None, "clear_untrusted_proxy_headers": False}, ""),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.7"])
def test_a_wrong_setting_of_waitress_is_logged_at_the_first_request(
    caplog: pytest.LogCaptureFixture, settings: dict[str, Any], expected: str, address: str
) -> None:
    seen(TRUSTING, environ(**waitress(**settings), REMOTE_ADDR=address))
    assert (len(caplog.messages), expected in caplog.text) == (1 if expected else 0, True)


def test_a_chain_that_trusts_no_proxy_logs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    settings = waitress(trusted_proxy=None, clear_untrusted_proxy_headers=True)
    seen(ProxyHeaders(trust=(), mode="off"), environ(**settings))
    assert caplog.messages == []


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("204 No Content", [])
    return []


@pytest.mark.parametrize("app", [asgi, wsgi])
@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("203.0.113.9", 0), 1),  # uvicorn, daphne: the address of the header, without a port
        (("203.0.113.9", 4711), 0),  # a client that sends its own address: a connection has a port
        (("203.0.113.10", 0), 0),
        (("127.0.0.1", 0), 0),
    ],
)
def test_a_replaced_peer_is_logged_once(
    caplog: pytest.LogCaptureFixture, app: Any, client: tuple[str, int], expected: int
) -> None:
    with Client(Gateway(app, middleware=[TRUSTING]), interface="asgi", client=client) as http:
        for _ in range(3):
            assert http.get("/", headers=FORWARDED).status_code == 204
    said = [record.getMessage() for record in caplog.records if record.name.startswith("gateway.")]
    assert len(said) == expected
    assert all("--no-proxy-headers" in message for message in said)


def test_a_wsgi_server_that_gives_no_port_has_replaced_nothing(caplog: pytest.LogCaptureFixture) -> None:
    seen(TRUSTING, environ(REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_FOR="203.0.113.9"))
    assert caplog.messages == []
