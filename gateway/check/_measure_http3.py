"""Ask a server over HTTP/3, for `gateway.check.measure`. QUIC is a protocol of its own, so this needs aioquic.

Source: RFC 9114 section 4.1.
"""

from __future__ import annotations

import asyncio
import ssl
from importlib.util import find_spec

from gateway.servers import Bind

__all__ = ["answers_over_http3", "can_ask"]

#: Seconds without a packet after which aioquic gives a connection up, and seconds for the whole.
_IDLE_SECONDS, _SECONDS = 2.0, 6.0


def can_ask() -> bool:
    """Tell whether aioquic is installed."""
    return find_spec("aioquic") is not None


def answers_over_http3(bind: Bind) -> bool:
    """Tell whether a server responds with 200 to a GET over HTTP/3, at the UDP port of this number."""
    try:
        return asyncio.run(asyncio.wait_for(_ask(bind), _SECONDS))
    except (OSError, TimeoutError):  # no server listens, or it does not respond
        return False


async def _ask(bind: Bind) -> bool:
    # It is an optional dependency.
    from aioquic.asyncio.client import connect  # pyright: ignore[reportUnknownVariableType]  # one parameter has no type
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3_ALPN, H3Connection
    from aioquic.h3.events import HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.events import QuicEvent

    answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    class Client(QuicConnectionProtocol):
        http: H3Connection | None = None

        def quic_event_received(self, event: QuicEvent) -> None:
            for each in self.http.handle_event(event) if self.http is not None else ():
                if isinstance(each, HeadersReceived) and not answered.done():
                    answered.set_result((b":status", b"200") in each.headers)

    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN, server_name="localhost", verify_mode=ssl.CERT_NONE, idle_timeout=_IDLE_SECONDS
    )
    async with connect(bind.host, bind.port, configuration=configuration, create_protocol=Client) as client:
        assert isinstance(client, Client)
        client.http = H3Connection(client._quic)
        stream = client._quic.get_next_available_stream_id()
        headers = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")]
        client.http.send_headers(stream, headers, end_stream=True)
        client.transmit()
        return await answered
