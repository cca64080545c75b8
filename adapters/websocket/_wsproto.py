"""The parts of wsproto that the adapters use, and the error that names the extra if wsproto is not installed."""

from __future__ import annotations

from gateway.errors import MissingExtraError

try:
    import h11
    from wsproto import ConnectionType, WSConnection, events
    from wsproto.connection import ConnectionState
    from wsproto.frame_protocol import CloseReason
    from wsproto.utilities import LocalProtocolError, RemoteProtocolError
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("wsproto", "h11"):
        raise
    raise MissingExtraError("websockets=True", "websockets", package="wsproto") from error

__all__ = [
    "CloseReason",
    "ConnectionState",
    "ConnectionType",
    "LocalProtocolError",
    "RemoteProtocolError",
    "WSConnection",
    "events",
    "h11",
]
