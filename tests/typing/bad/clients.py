"""Options that the clients for tests do not have, and values that they do not take."""

from gateway.protocols import WSGIApplication
from gateway.testing import AsyncClient, Client


def clients(app: WSGIApplication) -> None:
    Client()  # error
    Client(app, "wsgi")  # error
    Client(app, timeuot=1)  # error
    Client(app, timeout="1")  # error
    Client(app, tier="round")  # error
    AsyncClient(app, backend="trio")  # error
