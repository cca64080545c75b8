"""What an adapter may wrap: told by the arguments, when it is built."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from gateway import Gateway
from gateway.adapters import AsgiToRsgi, AsgiToWsgi, WsgiToAsgi
from gateway.adapters.asgi_to_wsgi import close_all
from gateway.errors import ConfigurationError
from gateway.protocols import Environ, Scope
from gateway.testing import Client


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Stop what the adapters of a test have started."""
    yield
    close_all()


def wsgi(environ: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"hello"]


async def asgi(scope: Scope, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})


def plain(scope: Scope, receive: Any, send: Any) -> Any:
    return asgi(scope, receive, send)


def anything(*arguments: Any) -> Any:
    return (wsgi if len(arguments) == 2 else asgi)(*arguments)


def defaults(environ: Any, start_response: Any = None, extra: Any = None) -> Any:
    return asgi(environ, start_response, extra)


class PlainCall:
    def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        return asgi(scope, receive, send)


class AsyncCall:
    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        await asgi(scope, receive, send)


class Double:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await asgi(self.scope, receive, send)


class Iterated:
    def __init__(self, environ: Environ, start_response: Any) -> None:
        self.body = wsgi(environ, start_response)

    def __iter__(self) -> Any:
        return iter(self.body)


class Awaited:
    def __init__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.arguments = scope, receive, send

    def __await__(self) -> Any:
        return asgi(*self.arguments).__await__()


ASGI = [asgi, plain, anything, defaults, PlainCall(), AsyncCall(), functools.partial(asgi), Double, Awaited]
WSGI = [wsgi, anything, defaults, Iterated, functools.partial(wsgi)]


@pytest.mark.parametrize("app", [*ASGI, Gateway(asgi), Gateway(wsgi)], ids=repr)
def test_every_form_of_an_asgi_application_is_served_as_wsgi(app: Any) -> None:
    with Client(AsgiToWsgi(app)) as client:
        assert client.get("/").text == "hello"


@pytest.mark.parametrize("app", ASGI, ids=repr)
def test_an_application_declared_as_asgi_runs_under_a_wsgi_server(app: Any) -> None:
    interface = "asgi2" if app is Double else "asgi"
    with Client(Gateway(app, interface).wsgi) as client:
        assert client.get("/").text == "hello"


@pytest.mark.parametrize("app", [wsgi, anything, Iterated, functools.partial(wsgi), Gateway(asgi)], ids=repr)
def test_every_form_of_a_wsgi_application_is_served_as_asgi(app: Any) -> None:
    with Client(WsgiToAsgi(app)) as client:
        assert client.get("/").text == "hello"


@pytest.mark.parametrize(
    ("adapter", "app", "told"),
    [
        (AsgiToWsgi, wsgi, "WsgiToAsgi"),
        (AsgiToWsgi, Iterated, "WsgiToAsgi"),
        (AsgiToWsgi, WsgiToAsgi, "WsgiToAsgi"),
        (AsgiToWsgi, 3, "WsgiToAsgi"),
        (AsgiToRsgi, wsgi, "WsgiToAsgi"),
        (AsgiToRsgi, None, "WsgiToAsgi"),
        (WsgiToAsgi, asgi, "AsgiToWsgi"),
        (WsgiToAsgi, plain, "AsgiToWsgi"),
        (WsgiToAsgi, AsyncCall(), "AsgiToWsgi"),
        (WsgiToAsgi, "hello:app", "AsgiToWsgi"),
    ],
    ids=repr,
)
def test_an_application_of_the_wrong_interface_is_refused(adapter: Callable[[Any], Any], app: Any, told: str) -> None:
    name = adapter.__name__
    with pytest.raises(ConfigurationError, match=f"^{name} wraps an? .*{re.escape(repr(app))}.*{told}"):
        adapter(app)
