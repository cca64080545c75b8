"""The sentences of ASGI HTTP & WebSocket 2.5; `gateway.rules.sentences` explains the columns."""

from __future__ import annotations

__all__ = ["ASGI_HTTP"]

_ABOUT = "It explains the specification and binds nobody."
_INSIDE = "It is about the inside of one side, which shows in no call, no message and no byte."
_LOG = "No rule reads the log of a server."
_CASE = "The text says that it is not required."
_BINDING = "It is about a WSGI adapter; the rules of PEP 3333 check it."

ASGI_HTTP: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "ASGI HTTP 2.5, Spec Versions",
        (
            ("should", "server", "Calling send() on a closed connection should raise", "E23 W16"),
            ("is", "application", "sending headers with a WebSocket Accept message is an error", "W17"),
        ),
    ),
    (
        "ASGI HTTP 2.5, HTTP",
        (
            ("should", "server", "should give different scopes to different requests", "H18"),
            ("must", "server", "cannot be concatenated by commas", "E26"),
            ("must", "client", "must only be sent once by a user-agent", "", "It binds the client."),
            ("is", "server", "preserve headers exactly as they were provided", "E26 H17"),
            ("should", "application", "care should be taken to handle", "", _INSIDE),
            ("should", "server", "should be signified to ASGI applications", "C01"),
        ),
    ),
    (
        "ASGI HTTP 2.5, HTTP Connection Scope",
        (
            ("is", "server", 'One of "1.0", "1.1" or "2"', "H01 H20"),
            ("is", "server", "The HTTP method name, uppercased", "H02 H19"),
            ("must", "server", "must not be empty", "H03"),
            ("is", "server", "percent-encoded sequences and UTF-8 byte sequences decoded", "H04 H19"),
            ("is", "server", "unmodified from the bytes that were received", "H05"),
            ("is", "server", "URL portion after the ?, percent-encoded", "H06 H19"),
            ("is", "server", "root path this application is mounted at", "H07"),
            ("is", "server", "An iterable of [name, value] two-item iterables", "H08"),
            ("must", "server", "Order of header values must be preserved", "H17"),
            ("must", "server", "must be preserved in the message as received", "H17"),
            ("should", "server", "Header names should be lowercased", "H09", _CASE),
            ("should", "server", "servers should preserve header case", "", "It asks for a best effort only."),
            ("must", "server", "Pseudo headers (present in HTTP/2 and HTTP/3) must be removed", "H10"),
            (
                "must",
                "server",
                "value must be added to the start",
                "H10",
                "Only a client of HTTP/2 knows the :authority; none is here. A second host header is visible.",
            ),
            ("is", "server", "two-item iterable of [host, port]", "H11 H12"),
            ("is", "server", "A copy of the namespace passed into the lifespan", "H13"),
            ("must", "server", "responsible for handling inbound and outbound", "H15 E26"),
            ("should", "server", "should be automatically de-chunked", "H15"),
        ),
    ),
    (
        "ASGI HTTP 2.5, Request",
        (
            (
                "should",
                "application",
                "you should not trigger on a connection opening alone",
                "",
                "An application may answer without the body: a 404 for an unknown path.",
            ),
            ("is", "server", "Sent to the application to indicate an incoming request", "E01"),
            ("must", "server", "the server is responsible for handling this encoding", "H15"),
            ("should", "server", "should contain just the decoded contents", "H15 H16"),
            ("is", "server", "Body of the request", "E02 E28"),
            ("should", "application", "consuming application should wait until", "", _INSIDE),
            ("is", "server", "the request is complete", "E03"),
            ("should", "application", "and should be processed", "", _INSIDE),
        ),
    ),
    (
        "ASGI HTTP 2.5, Response Start",
        (
            ("must", "application", "Needs to be followed by at least one", "E19"),
            ("is", "application", "start sending a response to the client", "E06 E19"),
            ("must", "-", "need not flush the data generated", "", "It allows, and forbids nothing."),
            ("must", "server", "but the server must ignore it", "E13"),
            ("is", "application", "HTTP status code", "E07"),
            ("is", "application", "two-item iterables, where name is the header name", "E08"),
            ("is", "server", "Optional; if missing defaults to an empty list", "C12"),
            ("must", "server", "Order must be preserved in the HTTP response", "E26"),
            ("must", "application", "Header names must be lowercased", "E09"),
            ("must", "application", "must not be present", "E10"),
            ("is", "application", "if the application will send trailers", "E21"),
            ("must", "server", "must wait until it receives a", "E27"),
        ),
    ),
    (
        "ASGI HTTP 2.5, Response Body",
        (
            ("must", "server", "must flush any data passed to them", "E25"),
            ("is", "application", "HTTP body content", "E16 E15"),
            ("is", "application", "additional content to come (as part of a Response Body", "E17 E19"),
            ("is", "application", "any further messages on the channel will be ignored", "E18"),
        ),
    ),
    (
        "ASGI HTTP 2.5, Disconnected Client",
        (
            ("should", "server", "should raise a server-specific subclass of OSError", "E23"),
            (
                "must",
                "server",
                "must be prepared to catch this exception",
                "",
                "It shows in the server's log and in its later responses, which no rule watches.",
            ),
            ("should", "server", "should not log it as an error", "", _LOG),
            ("is", "application", "may catch this exception and do cleanup", "E24"),
        ),
    ),
    (
        "ASGI HTTP 2.5, Disconnect",
        (
            ("is", "server", "if receive is called after a response has been sent or after", "E04 E05 E29 C13"),
            ("should", "application", "should expect future calls to send() to raise", "", _INSIDE),
        ),
    ),
    (
        "ASGI WebSocket 2.5, WebSocket",
        (
            ("should", "server", "should handle PING/PONG messages themselves", "W22"),
            ("should", "server", "send PING messages as necessary", "", "Only the server knows what is necessary."),
            ("should", "server", "should handle message fragmentation themselves", "W21"),
            ("should", "server", "should be signified to ASGI applications", "C01"),
        ),
    ),
    (
        "ASGI WebSocket 2.5, Websocket Connection Scope",
        (
            ("should", "server", "if the application dies the socket should be closed", "W23"),
            ("is", "server", 'One of "1.1" or "2"', "W01"),
            ("must", "server", "must not be empty", "H03"),
            ("is", "server", "HTTP request target excluding any query string", "W01 H04"),
            ("should", "server", "Order should be preserved from the original", "H17"),
            ("must", "server", "must be preserved in the message as received", "H17"),
            ("should", "server", "Header names should be lowercased", "H09", _CASE),
            ("should", "server", "servers should preserve header case", "", "It asks for a best effort only."),
            ("must", "server", "must be removed", "H10"),
            ("must", "server", "value must be added to the start", "H10", "No client here speaks HTTP/2."),
            ("is", "server", "Subprotocols the client advertised", "W02 W26"),
        ),
    ),
    (
        "ASGI WebSocket 2.5, Connect",
        (
            ("is", "server", "when the client initially opens a connection", "W03"),
            ("must", "application", "must be responded to with either an Accept", "W13"),
            ("must", "server", "must send this message during the handshake", "W03"),
            ("must", "server", "not complete the handshake until it gets a reply", "W03 W15"),
        ),
    ),
    (
        "ASGI WebSocket 2.5, Accept",
        (
            ("is", "application", "when it wishes to accept an incoming connection", "W05"),
            ("is", "application", "subprotocol the server wishes to accept", "W06 W20"),
            ("must", "server", "Order must be preserved in the HTTP response", "W20"),
            ("must", "application", "Header names must be lowercased", "W07"),
            ("must", "application", "Must not include a header named", "W07"),
            ("must", "application", "must not be present", "W07"),
        ),
    ),
    (
        "ASGI WebSocket 2.5, Receive",
        (("must", "server", "Exactly one of bytes or text must be non-None", "W09 W25"),),
    ),
    (
        "ASGI WebSocket 2.5, Send",
        (
            ("is", "application", "to send a data message to the client", "W08 W25"),
            ("must", "application", "Exactly one of bytes or text must be non-None", "W09"),
        ),
    ),
    (
        "ASGI WebSocket 2.5, Disconnect",
        (
            ("is", "server", "when either connection to the client is lost", "W18 W24 C13"),
            ("should", "application", "should expect future calls to send() to raise", "", _INSIDE),
            ("is", "server", "The WebSocket close code, as per", "W14 W24"),
            ("should", "server", "should set this to 1005", "W14 W24"),
        ),
    ),
    (
        "ASGI WebSocket 2.5, Disconnected Client",
        (
            ("should", "server", "should raise a server-specific subclass of OSError", "W16"),
            (
                "must",
                "server",
                "must be prepared to catch this exception",
                "",
                "It shows in the server's log and in its later responses, which no rule watches.",
            ),
            ("should", "server", "should not log it as an error", "", _LOG),
        ),
    ),
    (
        "ASGI WebSocket 2.5, Close",
        (
            ("is", "application", "tell the server to close the connection", "W12"),
            ("must", "server", "must close the connection with a HTTP 403", "W15"),
            ("must", "server", "must close the socket with the close code", "W19"),
            ("is", "application", "reason given for the closure", "W11"),
        ),
    ),
    (
        "ASGI HTTP 2.5, WSGI Compatibility",
        (("must", "-", "must be run in a threadpool in order", "", _BINDING),),
    ),
    (
        "ASGI HTTP 2.5, WSGI encoding differences",
        (
            ("must", "-", "must be of the str type but only contain", "", _BINDING),
            ("should", "-", "headers should be ASCII", "", _ABOUT),
            ("should", "application", "should decode headers as they deem appropriate", "", _INSIDE),
        ),
    ),
)
