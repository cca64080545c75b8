"""Cases for WSGI servers: when the headers are sent, and the length that the application declares.

Sources: PEP 3333.
"""

from __future__ import annotations

from gateway.check.cases.visit import SHORT, Cases, Visit
from gateway.check.wire import request

__all__ = ["CASES"]

CASES = Cases()


@CASES.case("start-response-in-iteration", "wsgi")
def lazy(visit: Visit) -> None:
    response = visit.get("/lazy")
    visit.sees("P64", response.status, response.body)


@CASES.case("headers-replaced", "wsgi")
def replaced(visit: Visit) -> None:
    visit.sees("P60", visit.get("/replaced").status)


@CASES.case("headers-wait", "wsgi")
def waits(visit: Visit) -> None:
    response = visit.get("/waits")
    if response.body.startswith(b" "):
        visit.sees("P69", response.began < float(response.body))


@CASES.case("body-too-long", "wsgi")
def too_long(visit: Visit) -> None:
    response = visit.send(request("GET", "/long", b"", "Connection: keep-alive"), SHORT, drain=True)
    visit.sees("P70", 10, len(response.body))


@CASES.case("body-too-short", "wsgi")
def too_short(visit: Visit) -> None:
    response = visit.send(request("GET", "/short", b"", "Connection: keep-alive"), SHORT, drain=True)
    visit.sees("P71", response.closed)
