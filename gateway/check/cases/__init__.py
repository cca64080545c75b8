"""The cases of the conformance suite: `gateway check` and ``battery()`` run the same ones.

- ``visit``: the form of a case for a server, and the server that it visits.
- ``http``: cases for every server.
- ``wsgi``, ``asgi``, ``websocket``: cases for servers of one interface.
- ``requests``: the requests of an application's cases.

A new case is one function with the decorator of `visit`; both programs run it from then on.
"""

from __future__ import annotations

from gateway.check.cases import asgi, http, websocket, wsgi
from gateway.check.cases.visit import ServerCase

__all__ = ["CASES", "cases_of"]

#: Every case for a server, in the order in which they run.
CASES: tuple[ServerCase, ...] = (*http.CASES, *wsgi.CASES, *asgi.CASES, *websocket.CASES)


def cases_of(interface: str) -> list[ServerCase]:
    """Return the cases for the servers of an interface."""
    return [case for case in CASES if interface in case.interfaces]
