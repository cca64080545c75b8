"""An application whose start waits for a file, or fails, behind probes; the servers of ``test_phases.py`` import it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio

from gateway import Gateway
from gateway.middleware.health import Health
from gateway.mount import Mount

FOLDER = Path(os.environ.get("PHASES_FOLDER", "/nonexistent"))


def note(event: str) -> None:
    with (FOLDER / "log").open("a") as log:
        log.write(f"{event} {os.getpid()}\n")


class Application:
    """An ASGI application with a lifespan, which notes each start and each end."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": self.name.encode()})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        note(f"{self.name}-begins")
        while not (FOLDER / "go").exists():  # noqa: ASYNC110  # the test is another process
            await anyio.sleep(0.01)
        if (FOLDER / f"fail-{self.name}").exists():
            await send({"type": "lifespan.startup.failed", "message": f"no database for {self.name}"})
            return
        note(f"{self.name}-started")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        note(f"{self.name}-ends")
        await send({"type": "lifespan.shutdown.complete"})


served = Application("served")
#: A module may hold an application that this server does not serve.
other = Gateway(Application("other"))


def probes() -> Health:
    return Health(timeout=0.3, cache=0.0)


once = Gateway(served, middleware=[probes()])
nested = Gateway(Gateway(served), middleware=[probes()])
twice = Gateway(Mount({"/a": served, "/b": Gateway(Gateway(served)), "/c": Gateway(served)}), middleware=[probes()])
