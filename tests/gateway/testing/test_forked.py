"""Servers that run an application which only a function made, in a copy of the test's process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable
from typing import Any

import pytest

from gateway.protocols import ASGIReceive, ASGISend, Environ, Scope, detect
from gateway.servers import get
from gateway.servers._running import StartError
from gateway.testing import Unsupported
from gateway.testing._forked import SERVERS
from gateway.testing.served import AsyncServedClient, ServedClient, output, serve, told_violations
from tests.gateway.testing import apps

QUICK = ["uvicorn", "waitress"]


def made(interface: str) -> Any:
    """An application of a function: it returns the number of this process, and counts."""
    parent, seen = os.getpid(), list[str]()

    def wsgi(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{parent} {os.getpid() != parent} {len(seen)}".encode()]

    async def asgi(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "lifespan":
            await apps.run_lifespan(scope, receive, send)
            return
        seen.append(scope["path"])
        await apps.reply(send, f"{parent} {os.getpid() != parent} {len(seen)}".encode())

    return wsgi if interface == "wsgi" else asgi


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in SERVERS]
)
def test_a_server_runs_an_application_of_a_function(name: str) -> None:
    server = get(name)
    with serve(server, made(server.interface)) as running:
        with ServedClient(server, f"http://127.0.0.1:{running.bind.port}") as client:
            for number in (1, 2):
                assert client.get("/").text == f"{os.getpid()} True {number}"
    assert running.process.returncode is not None


def test_a_served_client_that_was_closed_connects_again() -> None:
    server = get("uvicorn")
    with serve(server, apps.asgi_session) as running:
        url = f"http://127.0.0.1:{running.bind.port}"
        client = ServedClient(server, url)
        with client:
            client.post("/login")
        with client:
            assert client.get("/home").text == "user=ada; theme=dark"

        async def main() -> None:
            asynchronous = AsyncServedClient(server, url)
            async with asynchronous:
                await asynchronous.post("/login")
            async with asynchronous:
                assert (await asynchronous.get("/home")).text == "user=ada; theme=dark"

        asyncio.run(main())


def test_a_copy_is_made_within_a_running_loop() -> None:
    async def main() -> str:
        server = get("uvicorn")
        with serve(server, made("asgi")) as running:
            with ServedClient(server, f"http://127.0.0.1:{running.bind.port}") as client:
                return client.get("/").text

    assert asyncio.run(main()) == f"{os.getpid()} True 1"


def test_a_copy_reports_violations_and_shows_the_output_of_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    def bad(environ: Environ, start_response: apps.StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"].write("seen in the output\n")
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
        return [b"x"]

    with serve(get("waitress"), bad) as running:
        with socket.create_connection(("127.0.0.1", running.bind.port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while connection.recv(4096):
                pass
        assert "P05" in [violation.rule for violation in told_violations(running)]
        assert "seen in the output" in output(running)
    assert capsys.readouterr() == ("", "")


def test_a_server_that_starts_new_programs_is_refused_with_the_reason() -> None:
    server = get("granian-asgi")
    with pytest.raises(Unsupported, match=r"granian-asgi imports its application in a new program.*uvicorn"):
        serve(server, made("asgi"))


def test_an_application_that_fails_to_start_is_explained() -> None:
    async def fails(scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    assert detect(fails) == "asgi"
    with pytest.raises(StartError) as caught:
        serve(get("uvicorn"), fails)
    assert "no database" in "".join(caught.value.__notes__)
