"""The data that the probe application sends, and that a client expects to receive."""

from __future__ import annotations

from hashlib import sha256

__all__ = [
    "ACCEPTED",
    "BYTES",
    "CODING",
    "DIES",
    "HEADERS",
    "LARGE",
    "LEAVING",
    "LIFESPAN",
    "OFFERED",
    "PAUSE",
    "REPORT",
    "summary",
]

#: Environment variable of the probe's lifespan: "raise" makes it refuse the protocol, "fail" its startup.
LIFESPAN = "GATEWAY_PROBE_LIFESPAN"
#: Environment variable with the file that gets the probe's last report when its lifespan ends.
REPORT = "GATEWAY_PROBE_REPORT"
#: Seconds that the application waits between two parts of a response. A client on the same machine has the first part
#: long before.
PAUSE = 0.5
#: Seconds that the application waits for the event that a client has left.
LEAVING = 3.0
HEADERS = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"x-a", b"1"), (b"set-cookie", b"b=2; Path=/")]
#: A Transfer-Encoding of the application, which servers ignore.
CODING = [(b"content-type", b"text/plain"), (b"transfer-encoding", b"x-gateway-probe")]
#: A body that a conversion of line ends or of characters would change.
BYTES = bytes(range(256)) + b"\r\n\n\r\r\n"
#: A body that is larger than the buffers of servers and sockets: 2 MiB, in which no two blocks of 64 KiB are equal.
LARGE = b"".join(bytes([n, 13, 10, 255 - n]) * 16384 for n in range(32))
#: The subprotocols that the client offers.
OFFERED = ["chat", "superchat"]
#: The subprotocol and the headers of the application's websocket.accept, as a client sees them.
ACCEPTED = [(b"sec-websocket-protocol", b"superchat"), (b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]
#: The error of an application that dies on purpose: a server logs it.
DIES = "the probe raises on purpose"


def summary(body: bytes) -> tuple[int, str]:
    """Return the size and a hash of a body, to compare large ones."""
    return len(body), sha256(body).hexdigest()
