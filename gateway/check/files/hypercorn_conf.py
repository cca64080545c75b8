"""Read ``hypercorn.toml``: the settings that the command's own options go before.

Source: Hypercorn documentation, "Configuring".
"""

from __future__ import annotations

import re
import tomllib

from gateway.errors import ConfigurationError
from gateway.hazards.facts import Fact, Place, Server

__all__ = ["read_hypercorn_conf"]

_NUMBERS = {
    "keep_alive_timeout": "keep_alive",
    **{
        name: name
        for name in ("graceful_timeout", "workers", "backlog", "max_requests", "max_requests_jitter", "umask")
    },
}


def read_hypercorn_conf(text: str, file: str) -> Server:
    """Return the settings of a file as a server, without Hypercorn's defaults.

    Raises:
        ConfigurationError: The file is not TOML.
    """
    try:
        held = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: is not TOML: {error}") from error
    server = Server(name="hypercorn", worker="", place=Place(file, 0, "hypercorn"))
    for key, value in held.items():
        place = _place(text, file, key)
        if key in _NUMBERS and isinstance(value, int | float):
            server.numbers[_NUMBERS[key]] = Fact(float(value), place)
        elif key == "bind":
            server.texts["bind"] = Fact(",".join(value) if isinstance(value, list) else str(value), place)  # pyright: ignore[reportUnknownArgumentType]  # TOML
    return server


def _place(text: str, file: str, key: str) -> Place:
    lines = enumerate(text.splitlines(), 1)
    number, line = next(((n, line) for n, line in lines if re.match(rf"\s*{re.escape(key)}\s*=", line)), (0, key))
    return Place(file, number, line.strip())
