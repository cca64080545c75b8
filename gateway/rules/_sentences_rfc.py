"""Sentences of the RFCs that bind an application or a server through WSGI or ASGI.

Only the sentences that a rule names are here: an RFC binds a client and a server, and most of it is not the business of
the interface between a server and an application. An application is a part of the origin server.

`gateway.rules.sentences` explains the columns.
"""

from __future__ import annotations

__all__ = ["RFC"]

RFC: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "RFC 9110, 5.1 Field Names",
        (("is", "application", "field-name = token", "E11 V21 E07 H21"),),
    ),
    (
        "RFC 9110, 5.5 Field Values",
        (("must", "both", "CR, LF, or NUL", "E12 P17 H21 P78"),),
    ),
    (
        "RFC 9110, 5.3 Field Order",
        (("must", "application", "MUST NOT generate multiple field lines with the same", "E33 P77"),),
    ),
    (
        "RFC 9110, 6.5.1 Limitations on Use of Trailers",
        (("must", "application", "MUST NOT generate a trailer field unless the sender", "X07"),),
    ),
    (
        "RFC 3986, 3.1 Scheme",
        (("is", "server", "scheme = ALPHA *( ALPHA / DIGIT", "H03 V06"),),
    ),
    (
        "RFC 9110, 6.6.1 Date",
        (("must", "server", "MUST generate a Date header field", "P66"),),
    ),
    (
        "RFC 9110, 8.6 Content-Length",
        (
            ("is", "application", "Content-Length = 1*DIGIT", "E14 P06 P07 V12"),
            ("must", "application", "MUST NOT send a Content-Length header field in such a response", "E15 P04 P05"),
            ("must", "application", "1xx (Informational) or 204 (No Content)", "V30 N07 E30"),
            (
                "must",
                "client",
                "Content-Length header field value that is known to be",
                "H16 E15 P05",
            ),
        ),
    ),
    (
        "RFC 9110, 8.8.3 ETag",
        (("is", "application", "entity-tag = [ weak ] opaque-tag", "V31 E32"),),
    ),
    (
        "RFC 9110, 9.3.2 HEAD",
        (("must", "both", "MUST NOT send content in the response", "P10 E20 N06"),),
    ),
    (
        "RFC 9110, 15 Status Codes",
        (("is", "application", "three-digit integer code describing the result", "E07 V18"),),
    ),
    (
        "RFC 9110, 15.3.5, 15.4.5, 15.2: 204, 304 and 1xx",
        (
            ("is", "application", "terminated by the end of the header section", "E20 P08 P09"),
            ("should", "application", "generate representation metadata other than the above listed fields", "V29 E31"),
        ),
    ),
    (
        "RFC 9110, 15.6.1 500 Internal Server Error",
        (("is", "server", "unexpected condition that prevented it from fulfilling", "N05"),),
    ),
    (
        "RFC 9112, 6.1 Transfer-Encoding",
        (
            ("must", "server", "unless the corresponding request indicates HTTP/1.1", "N01"),
            ("must", "server", "status code of 1xx (Informational) or 204", "N07"),
        ),
    ),
    (
        "RFC 9112, 9.3 Persistence",
        (
            ("must", "server", "does not support persistent connections MUST send", "N02"),
            ("must", "server", "MUST read the entire request message body or close", "N04"),
        ),
    ),
    (
        "RFC 9112, 9.3.2 Pipelining",
        (("must", "server", "MUST send the corresponding responses in the same order", "N03"),),
    ),
    (
        "RFC 9112, 6.3 Message Body Length",
        (("must", "server", "decoding the chunked", "P35 H15"),),
    ),
    (
        "RFC 9112, 8 Handling Incomplete Messages",
        (("must", "server", "record the message as incomplete", "C09 P71 P76"),),
    ),
    (
        "RFC 9113, 8.2.2 Connection-Specific Header Fields",
        (("must", "server", "message containing connection-specific header fields", "E13b"),),
    ),
    (
        "RFC 6455, 4.2.2 Sending the Server's Opening Handshake",
        (("must", "application", "value chosen MUST be derived from the client's handshake", "W06"),),
    ),
    (
        "RFC 6455, 5.5 Control Frames",
        (("must", "application", "MUST have a payload length of 125 bytes or less", "W11"),),
    ),
    (
        "RFC 6455, 5.5.1 Close",
        (("must", "application", "MUST NOT send any more data frames after", "W08"),),
    ),
    (
        "RFC 6455, 7.4 Status Codes",
        (("must", "application", "MUST NOT be set as a status code in a Close", "W10"),),
    ),
    (
        "RFC 3875, 4.1 Request Meta-Variables",
        (
            ("is", "server", 'CONTENT_LENGTH = "" | 1*digit', "V12"),
            ("is", "server", 'PATH_INFO = "" | ( "/" path )', "V09 V10"),
            ("is", "server", "converted to upper case, has all occurrences of", "P36"),
            ("should", "server", "remove any header fields carrying authentication", "V04"),
        ),
    ),
    (
        "RFC 3875, 6.3.3 Status",
        (("is", "application", "Status header field contains a 3-digit integer", "V20"),),
    ),
)
