"""The sentences of ASGI 3.0, its lifespan, TLS and extensions; `gateway.rules.sentences` explains the columns."""

from __future__ import annotations

__all__ = ["ASGI"]

_ABOUT = "It explains the specification and binds nobody."
_INSIDE = "It is about the inside of one side, which shows in no call, no message and no byte."
_OTHER_PROTOCOL = "It binds the authors of protocols."
_LOG = "No rule reads the log of a server."
_END = "A wrapper ends with the process of the server, and no rule watches the process."
_UNABLE = "A validator does not know what a server is unable to provide."
_PUSH = "No server of today offers push, and no client here speaks HTTP/2."

ASGI: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "ASGI 3.0, Overview",
        (("must", "application", "must run as async / await compatible coroutines", "C11"),),
    ),
    (
        "ASGI 3.0, Connection Scope",
        (
            ("must", "-", "Each protocol definition must contain information", "", _OTHER_PROTOCOL),
            ("is", "server", "Every connection by a user to an ASGI application results", "H18"),
        ),
    ),
    (
        "ASGI 3.0, Events",
        (
            ("must", "-", "that an application must receive and react to", "", _ABOUT),
            ("should", "application", "should be able to handle a mixed set", "", _INSIDE),
            ("is", "both", "dict with a top-level type key", "C04"),
            ("is", "both", "only allowed to contain the following types", "C05"),
            ("should", "both", "tuples should be encoded as lists", "C05"),
            ("must", "both", "keys must be Unicode strings", "C05"),
        ),
    ),
    (
        "ASGI 3.0, Applications",
        (
            ("should", "server", "and should try to support it", "", "It shows only under a server that does not."),
            ("should", "application", "should be a single async callable", "C11"),
            ("is", "application", "awaitable callable taking a single event dictionary", "C04"),
            ("must", "server", "scope must be a dict", "C01"),
            ("is", "server", "will always be present, and can", "C01"),
            ("is", "server", "will also be present as a dictionary", "C02"),
            ("should", "application", "the version should default to", "", _INSIDE),
            ("is", "server", "spec-specific version present", "C03"),
        ),
    ),
    (
        "ASGI 3.0, Protocol Specifications",
        (
            ("must", "server", "type key must be a Unicode string", "C01"),
            ("should", "both", "type should be namespaced as", "C04"),
            ("should", "application", "should actively reject any protocol", "C08 L05"),
        ),
    ),
    (
        "ASGI 3.0, Middleware",
        (
            ("should", "middleware", "should make a copy of the scope", "C10"),
            (
                "should",
                "middleware",
                "should not assume that the copy of the scope",
                "",
                "The scope belongs to the inner application as soon as it is called, so its changes and those of the "
                "middleware look alike.",
            ),
        ),
    ),
    (
        "ASGI 3.0, Error Handling",
        (
            ("should", "server", "should raise an exception out of the send", "C06"),
            (
                "is",
                "application",
                "having an unknown type, missing keys",
                "C04 E07 E08 E16 E17 E21 W09 L04 X01 X04 X06",
            ),
            (
                "should",
                "application",
                "it should raise an exception",
                "",
                "A validator reports the wrong message itself. What the application makes of it is no rule's business.",
            ),
            (
                "should",
                "both",
                "additional keys in the event dictionary should not",
                "C07",
                "An application that raises for an additional key raises as for any other reason.",
            ),
            ("must", "server", "must terminate the application instance", "C09"),
            ("should", "server", "should act as a no-op", "E23 W16"),
            ("should", "server", "should be an error class that the server catches", "", _LOG),
        ),
    ),
    (
        "ASGI 3.0, Extensions",
        (
            ("is", "server", "which is itself a dict", "H14"),
            ("should", "server", "should place an entry into the extensions dictionary", "H14"),
            ("should", "server", "value of that entry should itself be a dict", "H14"),
            ("is", "application", "provided by the server and understood", "X00"),
        ),
    ),
    (
        "ASGI 3.0, Strings and Unicode",
        (("is", "both", "keys mentioned (including those for scopes and events)", "C01 C05 H14"),),
    ),
    (
        "ASGI lifespan 2.0, Lifespan Protocol",
        (
            ("should", "server", "should be executed once per event loop", "L11"),
            ("is", "server", "lifespans and requests are run in the same event loop", "L08"),
        ),
    ),
    (
        "ASGI lifespan 2.0, Scope",
        (
            ("must", "server", "must continue but not send any lifespan events", "L06"),
            ("is", "server", "An empty namespace where the application", "L09"),
        ),
    ),
    (
        "ASGI lifespan 2.0, Lifespan State",
        (
            ("is", "server", "server will ensure that a shallow copy", "H13"),
            ("is", "server", "will not interact with it other than to copy", "L09 H13"),
            (
                "should",
                "application",
                "should be cooperative by properly naming",
                "",
                "A key shows no collision before it happens.",
            ),
        ),
    ),
    (
        "ASGI lifespan 2.0, Startup",
        (("is", "server", "ready to startup and receive connections, but before", "L01 L08"),),
    ),
    (
        "ASGI lifespan 2.0, Startup Complete",
        (
            ("is", "application", "Sent by the application when it has completed its startup", "L02 L03 L05"),
            ("must", "server", "must wait for this message before it starts processing", "L08 L07"),
        ),
    ),
    (
        "ASGI lifespan 2.0, Startup Failed",
        (
            ("is", "application", "when it has failed to complete its startup", "L02 L03 L04"),
            ("should", "server", "should log/print the message provided and then exit", "L07 L01", _LOG),
        ),
    ),
    (
        "ASGI lifespan 2.0, Shutdown",
        (("is", "server", "has stopped accepting connections and closed", "L01 L10 L12 L13"),),
    ),
    (
        "ASGI lifespan 2.0, Shutdown Complete",
        (
            ("is", "application", "when it has completed its cleanup", "L02 L03 L05"),
            ("must", "server", "must wait for this message before terminating", "", _END),
        ),
    ),
    (
        "ASGI lifespan 2.0, Shutdown Failed",
        (
            ("is", "application", "when it has failed to complete its cleanup", "L02 L03 L04"),
            ("should", "server", "should log/print the message provided and then terminate", "", _LOG),
        ),
    ),
    (
        "ASGI TLS 0.2, The Base Protocol",
        (
            ("must", "-", "it must be used as an extension to another", "", _OTHER_PROTOCOL),
            ("must", "-", "base protocol specification must define", "", _OTHER_PROTOCOL),
            ("must", "-", "you cannot use this extension", "", _OTHER_PROTOCOL),
        ),
    ),
    (
        "ASGI TLS 0.2, When to use this extension",
        (
            ("must", "server", "must only be used for TLS connections", "X12"),
            ("must", "server", "is forbidden from providing", "X12"),
        ),
    ),
    (
        "ASGI TLS 0.2, TLS Connection Scope",
        (
            ("must", "server", "server_cert (Unicode string or None)", "X13 X14"),
            (
                "must",
                "server",
                "in that case this shall be None",
                "X14",
                _UNABLE,
            ),
            (
                "must",
                "server",
                "this shall be an empty iterable",
                "X14",
                _UNABLE,
            ),
            (
                "must",
                "server",
                "then this field must be provided",
                "X14",
                "Whether the name fits the certificate is not checked: it needs a parser for certificates.",
            ),
            ("must", "server", "tls_version (integer or None)", "X13 X14"),
            ("must", "server", "cipher_suite (integer or None)", "X13 X14"),
            ("must", "server", "Mandatory", "X13"),
        ),
    ),
    (
        "ASGI extensions, Websocket Denial Response",
        (
            ("should", "server", "403 should be returned", "W15"),
            ("must", "application", "cannot be followed by any other websocket messages", "X15"),
            (
                "should",
                "server",
                "should send a HTTP response and then close",
                "X17",
                "No rule watches how the connection ends.",
            ),
            ("should", "application", "messages themselves should be", "X15 E06 E07 E08 E16 E17"),
            ("is", "application", "after the websocket.connect message", "W04"),
        ),
    ),
    (
        "ASGI extensions, HTTP/2 Server Push",
        (
            ("is", "application", "at any time after the Response Start message", "X10"),
            ("must", "application", "Header names must be lowercased", "X10"),
            ("must", "application", "must not be present", "X10"),
            ("should", "server", "should then attempt to send a server push", "", _PUSH),
            ("should", "server", "should create a new connection", "", _PUSH),
            ("should", "server", "should set the pseudo :authority", "", _PUSH),
        ),
    ),
    (
        "ASGI extensions, Zero Copy Send",
        (
            ("is", "application", "An opened file descriptor object", "X04"),
            ("should", "both", "should behave the same as ordinary", "E06 E17 E18 X16"),
            ("should", "application", "should actively close the used file", "X05"),
        ),
    ),
    (
        "ASGI extensions, Path Send",
        (
            ("must", "application", "cannot be mixed with http.response.body", "X02"),
            ("is", "application", "just one time in one response", "X02"),
            ("is", "application", "string representation of the absolute", "X01"),
            ("should", "both", "should behave the same as ordinary", "E06 X16"),
            ("must", "application", "is responsible to send the relevant headers", "X03"),
        ),
    ),
    (
        "ASGI extensions, Early Hints",
        (
            ("is", "application", "An iterable of link header field values", "X06"),
            ("is", "application", "at any time (and multiple times) after", "X06"),
            (
                "should",
                "server",
                "should then attempt to send an informational",
                "",
                "The next sentence allows a server to ignore the message.",
            ),
        ),
    ),
    (
        "ASGI extensions, HTTP Trailers",
        (
            ("must", "application", "must set the field trailers", "X07"),
            ("must", "application", "is in charge of sending the Trailer", "X08"),
            ("must", "-", "not responsible for validating the Trailer", "", _ABOUT),
            ("must", "application", "Header names must be lowercased", "X07"),
            ("must", "application", "must not be present", "X07"),
            ("is", "server", "only send the trailing headers in case", "X09"),
        ),
    ),
    (
        "ASGI extensions, Debug",
        (
            ("should", "server", "ASGI servers should not implement it", "X11"),
            ("must", "application", "must be sent once, before", "X11"),
        ),
    ),
)
