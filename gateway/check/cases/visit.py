"""A case for a server: a name, and a function that sends requests and lets an observer judge the responses.

The probe application runs in the server, so the application's side of every case is in `gateway.check.applications`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from gateway.check.wire import Address, ProbeResponse, fetch, request
from gateway.rules.observer import ClientObserver

__all__ = ["BOTH", "PATIENCE", "SHORT", "Cases", "ServerCase", "Visit", "echo_of"]

#: Seconds that a case waits for a response; the slowest correct response takes one second.
PATIENCE = 8.0
#: Seconds that a case waits for an event that a server may never send: 100 Continue, the end of a connection.
SHORT = 1.5
BOTH = ("wsgi", "asgi")


@dataclass(frozen=True)
class Visit:
    """A running server that serves the probe application.

    Attributes:
        observer: Judges the responses.
        address: Host and port, or the path of a unix socket.
        interface: ``"wsgi"`` or ``"asgi"``.
    """

    observer: ClientObserver
    address: Address
    interface: str

    def get(self, path: str, *lines: str) -> ProbeResponse:
        """Send a GET on a connection of its own."""
        # After an application's error, for example, a server may neither respond nor close: do not wait long.
        return fetch(self.address, request("GET", path, b"", *lines), PATIENCE)

    def send(self, data: bytes, timeout: float = PATIENCE, *, drain: bool = False) -> ProbeResponse:
        """Send the bytes of a request on a connection of its own."""
        return fetch(self.address, data, timeout, drain=drain)

    def sees(self, rules: Mapping[str, str] | str, *facts: object) -> None:
        """Let the observer judge; ``rules`` is one id, or one for each interface."""
        self.observer.sees(rules if isinstance(rules, str) else rules[self.interface], *facts)

    def seen(self, key: str, seconds: float) -> object:
        """Return a fact that the application recorded in an earlier request; None if it recorded none in time."""
        until = time.monotonic() + seconds
        while True:
            found = echo_of(self.get("/seen")).get(key)
            if found is not None or time.monotonic() > until:
                return found
            time.sleep(0.05)  # the application learns of it when the server does, and the client has no sign of that


@dataclass(frozen=True)
class ServerCase:
    """One case.

    Attributes:
        id: Its name in a report.
        interfaces: The interfaces of the servers that it is for.
        run: Sends the requests and reports to the observer.
    """

    id: str
    interfaces: tuple[str, ...]
    run: Callable[[Visit], None]


class Cases(list[ServerCase]):
    """The cases of one topic; a decorator adds them."""

    def case(self, id: str, *interfaces: str) -> Callable[[Callable[[Visit], None]], Callable[[Visit], None]]:
        """Return a decorator that adds a function as a case; without interfaces it is for all servers."""

        def enter(run: Callable[[Visit], None]) -> Callable[[Visit], None]:
            self.append(ServerCase(id, interfaces or BOTH, run))
            return run

        return enter


def echo_of(response: ProbeResponse) -> dict[str, object]:
    """Return the request as the application has seen it; empty if its response did not arrive."""
    try:
        value: object = json.loads(response.body)
    except ValueError:
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
