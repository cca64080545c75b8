"""The ports of one adapter: one for each event loop that calls it, made at the loop's first request."""

from __future__ import annotations

from collections.abc import Callable

from gateway.adapters.hand_off._ports import Port
from gateway.loops import running_loop


class PortsByLoop:
    """Ports by running loop and process.

    Attributes:
        all: The ports. The list is replaced when it changes, because the loop of another thread may iterate over it.
    """

    def __init__(self) -> None:
        self.all: list[Port] = []

    def current(self, new: Callable[[object], Port]) -> Port:
        """Return the port of the running loop in this process.

        Args:
            new: Makes the port of an asyncio loop or a trio token, at its first request.
        """
        loop = running_loop()
        for port in self.all:
            if port.serves(loop):
                return port
        made = new(loop)
        self.all = [port for port in self.all if not port.gone] + [made]
        return made

    def drop(self) -> None:
        """Close the port of the running loop, if there is one."""
        loop = running_loop()
        dropped = [port for port in self.all if port.serves(loop)]
        self.all = [port for port in self.all if port not in dropped]
        for port in dropped:
            port.close()
