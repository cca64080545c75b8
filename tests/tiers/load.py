"""Clients that send until they are stopped, and the result of each request.

Half of the requests are POSTs with serial numbers, which the node notes when it has done the work.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

__all__ = ["Load"]


class Load:
    """Kept connections, GET and POST in turn. A request that failed is not sent again.

    Args:
        connect: Function that opens a connection.
        clients: Number of clients; each sends one request at a time.
        get: Path of the GETs.
        post: Path of the POSTs, whose body is the serial number.
        name: Begin of the serial numbers.

    Attributes:
        sent: Number of requests by method.
        failed: Serial number and reason of each request that failed.
        done: Serial numbers of the POSTs that were answered with 200.
        seconds: Duration of each request that was answered with 200.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[http.client.HTTPConnection]],
        clients: int,
        *,
        get: str = "/facts",
        post: str = "/slow?seconds=0.01",
        name: str = "",
    ) -> None:
        self.connect, self.get, self.post, self.name = connect, get, post, name
        self.sent: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.done: list[str] = []
        self.seconds: list[float] = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def reached(self, requests: int) -> bool:
        """Whether so many requests were sent."""
        return self.sent.total() >= requests

    def _client(self, number: int) -> None:
        serial = 0
        while not self.stop.is_set():
            try:
                with self.connect() as connection:
                    # A proxy that reloads announces the end of a connection; then the client opens another one.
                    while not self.stop.is_set() and connection.sock is not None:
                        serial += 1
                        self._one(connection, f"{self.name}{number}-{serial}", serial % 2 == 0)
            except (OSError, http.client.HTTPException) as error:
                # A proxy may close an idle connection, and a client must not send again what it has sent.
                self.failed[f"{self.name}{number}-{serial}"] = f"{'GET' if serial % 2 else 'POST'} {error!r}"

    def _one(self, connection: http.client.HTTPConnection, serial: str, post: bool) -> None:
        method = "POST" if post else "GET"
        self.sent[method] += 1
        begin = time.monotonic()
        connection.request(method, self.post if post else self.get, body=serial.encode() if post else None)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            self.failed[serial] = f"{method} {response.status}"
            return
        self.seconds.append(time.monotonic() - begin)
        if post:
            self.done.append(serial)
