"""Cases for ASGI servers: messages, headers, extensions.

Sources: ASGI HTTP 2.5; ASGI extensions.
"""

from __future__ import annotations

from typing import cast

from gateway.check.cases.visit import Cases, Visit, echo_of
from gateway.check.expected import CODING, HEADERS

__all__ = ["CASES"]

CASES = Cases()


@CASES.case("receive-waits", "asgi")
def idle(visit: Visit) -> None:
    given = visit.get("/idle").body
    if given in (b"none", b"http.disconnect"):
        visit.sees("E05", given == b"none", False)  # the client waits: a server that gives nothing keeps the rule


@CASES.case("response-headers", "asgi")
def headers(visit: Visit) -> None:
    visit.observer.headers_delivered(HEADERS, visit.get("/headers").headers)


@CASES.case("transfer-encoding", "asgi")
def coding(visit: Visit) -> None:
    response = visit.get("/coding")
    visit.sees("E13", CODING, response.headers, response.status)


@CASES.case("additional-keys", "asgi")
def additional_keys(visit: Visit) -> None:
    visit.get("/additional")  # the validator judges


@CASES.case("invalid-message", "asgi")
def invalid_message(visit: Visit) -> None:
    visit.get("/invalid")  # the validator judges


@CASES.case("extensions", "asgi")
def extensions(visit: Visit) -> None:
    offered = cast("list[str]", echo_of(visit.get("/extensions")).get("extensions", []))
    visit.observer.extensions_offered(offered)


@CASES.case("trailers", "asgi")
def trailers(visit: Visit) -> None:
    response = visit.get("/trailers")
    if any(name == b"trailer" for name, _ in response.headers):  # the server offers the extension
        visit.observer.trailers_delivered(te=False, trailers=response.trailers)
        asked = visit.get("/trailers", "TE: trailers")
        visit.sees("E27", asked.complete, asked.trailers)
