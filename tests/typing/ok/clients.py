"""The clients for tests: options as keywords, and a subclass that passes its own on."""

from __future__ import annotations

from typing import assert_type

from gateway.protocols import ASGIApplication, WSGIApplication
from gateway.testing import AsyncClient, Client, Fault


class Mounted(Client):
    def __init__(self, app: WSGIApplication) -> None:
        super().__init__(app, root_path="/mounted", timeout=None)


def clients(wsgi: WSGIApplication, asgi: ASGIApplication) -> None:
    assert_type(Client(wsgi), Client)
    assert_type(Client(app=asgi, backend="trio", tier="roundtrip", fault=Fault(reader="slow")), Client)
    assert_type(AsyncClient(asgi, interface="asgi", headers={"x": b"1"}, client=None), AsyncClient)
    assert_type(Mounted(wsgi), Mounted)
    with Client(wsgi, extensions=["trailers"]) as client:
        assert_type(client.get("/").chunks, list[bytes])
