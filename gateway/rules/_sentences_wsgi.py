"""The sentences of PEP 3333; `gateway.rules.sentences` explains the columns.

(Above 400 lines: one table, in the order of the specification.)
"""

from __future__ import annotations

__all__ = ["WSGI"]

_ABOUT_THE_PEP = "It explains the specification and binds nobody."
_PEOPLE = "It binds authors and their documentation, not a program that runs."
_INSIDE = "It is about the inside of one side, which shows in no call, no message and no byte."
_OLD = "It is about versions of Python before 2.2."
_EXTENSION = "An extension API of a server has a form of its own, so no rule knows how it is called."

WSGI: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "PEP 3333, Preface for Readers of PEP 333",
        (("must", "-", "follow the rules outlined in the sections below", "", _ABOUT_THE_PEP),),
    ),
    (
        "PEP 3333, Original Rationale and Goals",
        (
            ("must", "-", "authors and maintainers must actually implement WSGI", "", _ABOUT_THE_PEP),
            ("must", "-", "WSGI must be easy to implement", "", _ABOUT_THE_PEP),
            ("should", "-", "should also be easy to create request preprocessors", "", _ABOUT_THE_PEP),
        ),
    ),
    (
        "PEP 3333, Specification Overview",
        (
            (
                "must",
                "both",
                "must not have any dependency on what kind of callable",
                "",
                "A dependency shows only when another kind of callable is given; `gateway check --server` gives an "
                "instance with `__call__`.",
            ),
        ),
    ),
    (
        "PEP 3333, A Note On String Types",
        (
            ("must", "both", "content of native strings must still be translatable", "P15 P16 P33"),
            ("should", "-", "this should be read as", "", _ABOUT_THE_PEP),
        ),
    ),
    (
        "PEP 3333, The Application/Framework Side",
        (
            ("should", "-", "should not be misconstrued as requiring an actual object", "", _ABOUT_THE_PEP),
            (
                "must",
                "application",
                "must be able to be invoked more than once",
                "",
                "A failure of the second call looks like any other; the conformance suite calls an application often "
                "and reports it.",
            ),
            ("should", "-", "should not be construed to mean that application developers", "", _ABOUT_THE_PEP),
        ),
    ),
    (
        "PEP 3333, The Server/Gateway Side",
        (
            ("should", "server", "error checking on the headers should happen here", "P56"),
            ("is", "server", "invokes the application callable once for each", "P41"),
        ),
    ),
    (
        "PEP 3333, Middleware: Components that Play Both Sides",
        (
            ("should", "middleware", "should require no special support", "", _INSIDE),
            ("must", "middleware", "must conform to the restrictions and requirements of both", "V28 V25 P11 P12"),
            ("should", "-", "should also check for a content encoding", "", _ABOUT_THE_PEP),
        ),
    ),
    (
        "PEP 3333, Specification Details",
        (
            (
                "must",
                "application",
                "application object must accept two positional arguments",
                "",
                "Python raises a TypeError, which the server sees.",
            ),
            ("must", "server", "must invoke the application object using positional", "V01"),
            ("must", "server", "must be a builtin Python dictionary", "V02"),
            ("must", "server", "must also include certain WSGI-required variables", "V03"),
            ("must", "server", "a callable accepting two required positional arguments", "P50"),
            ("must", "application", "must invoke the start_response callable using positional", "P19"),
            ("is", "application", 'status string of the form "999 Message here"', "V18"),
            ("is", "application", "list of (header_name, header_value) tuples describing", "V19"),
            ("must", "server", "callable must return a write(body_data) callable", "P39"),
            (
                "should",
                "application",
                "should not be used by new applications",
                "",
                "A validator does not know the age of an application.",
            ),
            ("must", "application", "must return an iterable yielding zero or more bytestrings", "V24 V25"),
            ("must", "application", "must always return an iterable yielding zero or more", "V24 V25"),
            ("must", "server", "must transmit the yielded bytestrings to the client", "P43"),
            (
                "should",
                "application",
                "should perform their own buffering",
                "",
                "A block may be small on purpose.",
            ),
            ("should", "server", "should treat the yielded bytestrings as binary", "P61"),
            (
                "must",
                "application",
                "application is responsible for ensuring that the bytestring(s)",
                "",
                "Only the client of one application knows its format.",
            ),
            (
                "must",
                "server",
                "the server must be able to rely on the result",
                "P20",
            ),
            ("must", "application", "it must return an accurate result", "P20"),
            ("must", "server", "must call that method upon completion", "V28"),
            (
                "should",
                "application",
                "should not assume the entire iterator will be consumed",
                "",
                "An assumption shows only in what the application loses when it is closed early; the conformance suite "
                "leaves early and finds responses that stay open.",
            ),
            ("must", "application", "must invoke the start_response() callable before the iterable yields", "V26 P03"),
            ("must", "server", "must not assume that start_response() has been called", "P64"),
            ("must", "server", "must not directly use any other attributes", "P45"),
        ),
    ),
    (
        "PEP 3333, environ Variables",
        (
            ("must", "server", "is required to contain these CGI environment variables", "V03 P30"),
            ("must", "server", "The following variables must be present", "V03 P30"),
            ("must", "server", "cannot ever be an empty string", "P47"),
            ("is", "server", "virtual", "V09 V10", "A server that splits the path at another place shows no fault."),
            ("is", "server", 'request URL that follows the "?"', "P37"),
            ("is", "server", "May be empty or absent", "V12"),
            ("must", "server", "required strings and must never be empty", "P31 P32 V03"),
            ("is", "server", "version of the protocol the client used", "P30"),
            ("should", "-", "should probably be called REQUEST_PROTOCOL", "", _ABOUT_THE_PEP),
            ("should", "server", "should correspond with the presence or absence", "P36 V04 P63"),
            (
                "should",
                "server",
                "should attempt to provide as many other CGI",
                "",
                "The variables that apply depend on the server.",
            ),
            (
                "should",
                "server",
                "should also provide as many of the Apache SSL",
                "",
                "The variables that apply depend on the server.",
            ),
            ("should", "-", "should document what variables", "", _PEOPLE),
            (
                "should",
                "application",
                "should check for the presence of any variables",
                "",
                "An absent variable of one server shows as an exception of the application, like any other.",
            ),
            ("should", "server", "should be left out of the environ", "P51"),
            ("must", "server", "CGI-defined variables must be native strings", "V05"),
            ("must", "server", "violation of this specification for any CGI", "V05"),
            ("must", "server", "must contain the following WSGI-defined variables", "V03"),
            ("is", "server", "The tuple (1, 0)", "P34"),
            ("is", "server", 'string representing the "scheme" portion', "V06"),
            (
                "should",
                "server",
                'This should be a "text mode" stream',
                "P52",
            ),
            ("should", "server", "should accept and log arbitrary unicode", "P52"),
            ("should", "-", "server's documentation should include an explanation", "", _PEOPLE),
            ("should", "server", "simultaneously invoked by another thread", "P49"),
            (
                "should",
                "server",
                "simultaneously invoked by another process",
                "",
                "A validator lives in one process and does not see another one.",
            ),
            (
                "should",
                "server",
                "application will only be invoked this one time",
                "",
                "The text gives no guarantee, so a second call is no violation.",
            ),
            ("should", "server", "should be named using only lower-case", "P55", "The prefix may be any name."),
        ),
    ),
    (
        "PEP 3333, Input and Error Streams",
        (
            ("must", "server", "must support the following methods", "V07 V08"),
            ("is", "server", "semantics of each method are as documented", "P53 V14"),
            ("should", "server", "should simulate an end-of-file condition", "P48"),
            ("should", "application", "should not attempt to read more data", "P23"),
            ("should", "server", "should allow read() to be called without", "P46"),
            ("should", "server", "should return empty bytestrings from any attempt", "P48"),
            ("should", "server", 'should support the optional "size" argument', "P54"),
            (
                "must",
                "application",
                "must call flush() if they need",
                "",
                "Only the application knows its need.",
            ),
            (
                "must",
                "application",
                "cannot assume that output is unbuffered",
                "",
                "An assumption shows in no call.",
            ),
            ("must", "server", "must be supported by all servers", "V07 V08 P52"),
            ("must", "application", "must not use any other methods", "P24 V14 V16"),
            ("must", "application", "must not attempt to close these streams", "P24"),
        ),
    ),
    (
        "PEP 3333, The start_response() Callable",
        (
            ("must", "application", "arguments must be supplied positionally", "P19 V01"),
            ("must", "server", "it must return a write(body_data)", "P39"),
            ("is", "application", "no surrounding whitespace or other characters", "P14 V18"),
            ("must", "application", "must not contain control characters", "P13"),
            ("must", "application", "It must be a Python list", "V19"),
            ("is", "server", "change its contents in any way it desires", "P25"),
            ("must", "application", "must be a valid HTTP header field-name", "V21"),
            ("must", "application", "must not include any control characters", "P17"),
            ("must", "-", "parsing that must be performed by servers", "", _ABOUT_THE_PEP),
            (
                "must",
                "server",
                "the server or gateway must add it",
                "P66",
                "Only Date is checked: other headers are required under conditions.",
            ),
            (
                "must",
                "server",
                "header names are case-insensitive, so be sure",
                "",
                "A server that compares the case shows in what it adds: a second Content-Length or Date.",
            ),
            ("must", "application", "are forbidden from using HTTP/1.1", "P11 P12"),
            ("should", "server", "should consider it a fatal error", "P56"),
            ("should", "server", "should check for errors in the headers", "P56"),
            ("must", "server", "must not actually transmit the response headers", "P42 P69"),
            ("must", "server", "it must store them for the server", "P42 P69 P60"),
            ("must", "server", "headers must not be sent until there is actual", "P42 P69"),
            ("must", "application", "must be a Python sys.exc_info() tuple", "V23"),
            ("should", "application", "should be supplied by the application only if", "V23"),
            ("should", "server", "should replace the currently-stored", "P60"),
            ("must", "server", "start_response must raise an error, and should", "P57"),
            ("should", "server", "should re-raise using the exc_info tuple", "P58"),
            ("should", "-", "in principle should abort the application", "", _ABOUT_THE_PEP),
            ("must", "application", "must not trap any exceptions raised by start_response", "P02"),
            ("should", "application", "should allow such exceptions to propagate", "P02"),
            ("must", "application", "fatal error to call start_response without the exc_info", "P01"),
            ("should", "server", "should ensure that no reference is held", "P26"),
        ),
    ),
    (
        "PEP 3333, Handling the Content-Length Header",
        (
            ("should", "server", "should not transmit more bytes", "P70"),
            ("should", "server", "should stop iterating over the response", "P44 P59"),
            (
                "should",
                "server",
                "should close the connection and log",
                "P71",
                "No rule reads the log of a server.",
            ),
            ("must", "server", "must comply fully with 2616 when doing this", "E26 P61"),
            ("must", "application", "must not apply any kind of Transfer-Encoding", "P12"),
        ),
    ),
    (
        "PEP 3333, Buffering and Streaming",
        (
            ("must", "both", "must not delay the transmission of any block", "P43 P21"),
            ("must", "both", "they must either fully transmit the block", "P43 P21"),
            ("should", "server", "should be transmitted in full to the client", "P43"),
        ),
    ),
    (
        "PEP 3333, Middleware Handling of Block Boundaries",
        (
            ("must", "middleware", "must not block iteration waiting for multiple values", "P21"),
            ("must", "middleware", "it must yield an empty bytestring", "P21"),
            ("must", "middleware", "must yield at least one value", "P21"),
            ("must", "middleware", "cannot yield any other value", "P21"),
            ("must", "middleware", "must return an iterable as soon as", "P21"),
            ("must", "middleware", "forbidden for middleware to use the write()", "P22"),
        ),
    ),
    (
        "PEP 3333, The write() Callable",
        (
            (
                "should",
                "application",
                "should not use the write() callable",
                "",
                "A validator does not know the age of an application.",
            ),
            (
                "should",
                "application",
                "should produce their output via their returned iterable",
                "",
                "A validator does not know the age of an application.",
            ),
            (
                "must",
                "server",
                "before write() returns, it must guarantee",
                "",
                "A wrapper sees write() return, not where the bytes are.",
            ),
            ("must", "application", "must return an iterable object, even if it uses write()", "V24"),
            ("must", "server", "must be treated normally by the server", "P43"),
            ("must", "application", "must not invoke write() from within", "P18"),
            ("is", "application", "accepts a single parameter: a bytestring", "V17"),
        ),
    ),
    (
        "PEP 3333, Unicode Issues",
        (
            ("must", "both", "must be of type str or bytes, never unicode", "V05 V18 V19 V25"),
            ("must", "application", "must follow 2616 with respect to encoding", "P15 P16"),
            ("must", "application", "must either be ISO-8859-1 characters", "P15 P16"),
            ("must", "both", "must contain only code points representable", "P15 P16 P33"),
            ("must", "application", "fatal error for an application to supply strings", "P15 P16"),
            ("must", "server", "must not supply strings to an application", "P33"),
            ("must", "both", "must be of type str or StringType", "V05 V18 V19"),
            ("must", "both", "the value must be of type bytes", "V13 V17 V25"),
        ),
    ),
    (
        "PEP 3333, Error Handling",
        (
            (
                "should",
                "application",
                "should try to trap their own",
                "",
                "An exception that comes out is visible by itself; `gateway check` reports it.",
            ),
            ("must", "application", "must not have actually sent any data", "P01"),
            ("should", "application", "should not be trapped by the application", "P02"),
            ("should", "server", "should trap and log any exception", "", "No rule reads the log of a server."),
        ),
    ),
    (
        "PEP 3333, HTTP 1.1 Expect/Continue",
        (
            ("must", "server", "must provide transparent support for HTTP 1.1's", "P62"),
            (
                "must",
                "server",
                "must then remain blocked until the client responds",
                "P62",
            ),
        ),
    ),
    (
        "PEP 3333, Other HTTP Features",
        (
            ("should", "server", 'should "play dumb"', "P61 E26"),
            ("should", "server", "should only make changes that do not alter", "P61 E26"),
            ("should", "-", "developers should be conservative", "", _PEOPLE),
            ("should", "-", "should consider itself to be like", "", _ABOUT_THE_PEP),
            (
                "must",
                "application",
                "must not generate any",
                "P11 P12",
                "Whether an application relies on a header of a request shows in no call.",
            ),
            ("must", "server", "must handle any supported inbound", "P35"),
            ("should", "application", "should perform its own cache validation", "", _INSIDE),
            ("must", "application", "must not apply a transport encoding", "P12"),
            ("should", "application", "should perform this function on its own", "", _INSIDE),
        ),
    ),
    (
        "PEP 3333, Thread Support",
        (
            (
                "should",
                "server",
                "should also provide the option of running an application in a single-threaded",
                "",
                "It is an option of a server's command line.",
            ),
        ),
    ),
    (
        "PEP 3333, Server Extension APIs",
        (
            ("should", "-", "should not assume that nobody will use middleware", "", _PEOPLE),
            ("must", "server", "must design those APIs", "", _EXTENSION),
            ("must", "server", "must require the application to pass in its current", "", _EXTENSION),
            ("must", "server", "it must refuse service to the application", "", _EXTENSION),
            ("should", "server", "should require the start_response callable to be passed in", "", _EXTENSION),
            ("must", "server", "must refuse to provide the extended service", "", _EXTENSION),
            ("should", "middleware", "should provide these features as functions", "", _INSIDE),
        ),
    ),
    (
        "PEP 3333, Application Configuration",
        (
            ("should", "-", "should document how to create an application object", "", _PEOPLE),
            ("must", "-", "must connect the two together", "", _PEOPLE),
            ("should", "-", "should be merely a mechanical matter", "", _ABOUT_THE_PEP),
            ("should", "server", "should support this by allowing an application's deployer", "", _PEOPLE),
            ("should", "application", "should try to keep such required variables", "", _INSIDE),
            ("should", "application", "should cache such configuration", "", _INSIDE),
        ),
    ),
    (
        "PEP 3333, Supporting Older (<2.2) Versions of Python",
        (
            ("must", "server", "must simply restrict themselves to using only", "", _OLD),
            ("must", "application", "must implement the pre-2.2", "", _OLD),
            ("must", "middleware", "must follow the appropriate recommendations", "", _OLD),
            ("must", "both", "must also use only language features", "", _OLD),
        ),
    ),
    (
        "PEP 3333, Optional Platform-Specific File Handling",
        (
            ("must", "server", "must be a callable that accepts one required positional", "P38"),
            (
                "must",
                "server",
                "must not perform any data transmission until",
                "",
                "The bytes leave the server without a call that a wrapper sees.",
            ),
            ("must", "server", "callable must return an iterable object", "P38"),
            (
                "must",
                "application",
                "must have a read() method",
                "",
                "The server's wrapper reads the file, and raises if it cannot.",
            ),
            (
                "must",
                "server",
                "must have a close() method that invokes",
                "P38",
                "The server closes its own object, which a wrapper does not replace.",
            ),
            (
                "must",
                "server",
                "must occur after the application returns",
                "",
                "The bytes leave the server without a call that a wrapper sees.",
            ),
            (
                "should",
                "server",
                "should be the same as if the application had returned",
                "P61",
            ),
            ("should", "server", "should begin at the current position", "P61"),
            ("must", "server", "must still return an iterable that wraps", "P38"),
        ),
    ),
    (
        "PEP 3333, Questions and Answers",
        (
            ("must", "-", "Why must environ be a dictionary", "", _ABOUT_THE_PEP),
            ("should", "-", "should be able to run it in most", "", _ABOUT_THE_PEP),
            ("should", "-", 'suggestion to the application that it should "rig', "", _ABOUT_THE_PEP),
            ("should", "application", "should not assume that it will definitely not be run", "", _INSIDE),
            ("must", "-", "must use __getattr__", "", _ABOUT_THE_PEP),
        ),
    ),
    (
        "PEP 3333, Proposed/Under Discussion",
        (("should", "-", "Should wsgi.input be an iterator", "", _ABOUT_THE_PEP),),
    ),
)
