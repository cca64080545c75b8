"""A tier of the suite: an application behind a real server, and perhaps NGINX before it.

The client is the standard library's, and now and then a bare socket: it reaches the unix socket of NGINX, sends what no
client should, and has no opinion of its own. What the server and the application make of each other is validated.
"""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway import servers
from gateway.servers import Bind, Launch, Running, Server, start
from gateway.testing._served_names import SIDES
from tests.gateway.servers.suite import DETAILED
from tests.tiers import nginx

ROOT = Path(__file__).resolve().parent.parent.parent
#: Applications of the suite: name, import string, interface.
APPLICATIONS = {"flask": ("tests.tiers.flask_app:app", "wsgi"), "fastapi": ("tests.tiers.fastapi_app:app", "asgi")}
BEHIND_NGINX = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-asgi")
TIERS = (*DETAILED, *(f"nginx-{name}" for name in BEHIND_NGINX))


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]


@dataclass(frozen=True)
class Tier:
    """Where an application of the suite is reached.

    Attributes:
        name: Of the tier: a server's name, or ``nginx-`` and that.
        application: Name of the application.
        server: The server that calls the application.
        running: Its process.
        bind: Where clients connect: the server, or what stands before it.
    """

    name: str
    application: str
    server: Server
    running: Running
    bind: Bind

    @property
    def proxied(self) -> bool:
        return self.name.startswith("nginx-")

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.bind.connect(20.0)
        try:
            yield connection
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        """Send one request on a connection of its own; the body is bytes, or an iterator of chunks."""
        with self.connection() as connection:
            # A server that reads no body may answer and close while it is sent: its answer is there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body=body, headers=headers or {}, encode_chunked=chunked)  # type: ignore[arg-type]  # bytes or an iterator of bytes
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())

    def raw(self, request: bytes) -> bytes:
        """Send bytes, and return all that comes until the connection is closed."""
        with self.bind.connect(20.0) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))


def missing(name: str) -> str | None:
    """Say why a tier cannot be started here."""
    if name.startswith("nginx-") and (reason := nginx.missing()):
        return reason
    return servers.get(name.removeprefix("nginx-")).missing()


@contextmanager
def serve(name: str, application: str, folder: Path) -> Iterator[Tier]:
    """Start a tier, and end it by the process ids that were started."""
    server = servers.get(name.removeprefix("nginx-"))
    target, interface = APPLICATIONS[application]
    bind = Bind(path=str(folder / "app.sock")) if name != server.name else Bind(port=0)
    launch = Launch(
        target=target,
        bind=bind,
        app_dir=str(ROOT),
        hooks=interface != server.interface,
        environment={SIDES: "application,server"},
    )
    with start(server, launch) as running:
        if name == server.name:
            yield Tier(name, application, server, running, running.bind)
        else:
            with nginx.nginx(folder, running.bind) as front:
                yield Tier(name, application, server, running, front.plain)
