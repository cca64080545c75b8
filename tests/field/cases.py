"""The violations of the field: what is broken, the sentence that says so, and how to see it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.field import snippets

__all__ = ["CASES", "NOT_COUNTED", "Case"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One claim about one package.

    Attributes:
        id: Name of the case.
        package: Distribution whose code breaks the rule.
        rule: Id of this project's rule, or empty where none is about it.
        claim: What the package does, a sentence.
        source: Specification and section.
        quote: Its words.
        server: Name of the server to probe with ``gateway check``; or
        snippet: The program that shows it.
    """

    id: str
    package: str
    rule: str
    claim: str
    source: str
    quote: str
    server: str = ""
    snippet: str = ""


CASES = (
    Case(
        id="granian-client-port",
        package="granian",
        rule="H11",
        claim="Under its ASGI interface the port in `client` is a str.",
        source="ASGI HTTP, HTTP Connection Scope, `client`",
        quote="`port` is the remote port as an integer",
        server="granian-asgi",
    ),
    Case(
        id="granian-server-port",
        package="granian",
        rule="H12",
        claim="Under its ASGI interface the port in `server` is a str.",
        source="ASGI HTTP, HTTP Connection Scope, `server`",
        quote="`port` is the integer listening port",
        server="granian-asgi",
    ),
    Case(
        id="granian-write",
        package="granian",
        rule="P39",
        claim="Under its WSGI interface `start_response` returns None.",
        source="PEP 3333, The start_response() Callable",
        quote="it must return a `write(body_data)` callable",
        server="granian-wsgi",
    ),
    Case(
        id="cheroot-input-iteration",
        package="cheroot",
        rule="V07",
        claim="`wsgi.input` has no `__iter__`.",
        source="PEP 3333, Input and Error Streams",
        quote="The methods listed in the table above must be supported by all servers "
        "conforming to this specification.",
        server="cheroot",
    ),
    Case(
        id="gunicorn-unix-socket",
        package="gunicorn",
        rule="H12",
        claim="Its ASGI worker on a unix socket takes the path apart: `server` is its first two characters.",
        source="ASGI HTTP, HTTP Connection Scope, `server`",
        quote="`port` is the integer listening port",
        snippet=snippets.GUNICORN_UNIX,
    ),
    Case(
        id="asgiref-keep-alive",
        package="asgiref",
        rule="",
        claim="`WsgiToAsgi` under uvicorn answers 500 to some of the requests on a connection that is kept alive, "
        "though the application answers 200 to each.",
        source="ASGI HTTP, WSGI Compatibility",
        quote="The `status` argument becomes `status`, with the reason phrase dropped.",
        snippet=snippets.ASGIREF_KEEP_ALIVE,
    ),
    Case(
        id="a2wsgi-cookies",
        package="a2wsgi",
        rule="",
        claim="`WSGIMiddleware` joins the Cookie fields of an HTTP/2 request with a comma.",
        source="RFC 9113, 8.2.3",
        quote="these MUST be concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20 (the "
        'ASCII string "; ") before being passed into a non-HTTP/2 context',
        snippet=snippets.A2WSGI_COOKIES,
    ),
    Case(
        id="a2wsgi-readline",
        package="a2wsgi",
        rule="",
        claim="`wsgi.input.readline(size)` of `WSGIMiddleware` gives b'' while the body is unread. "
        "A server may leave the size out, but an empty answer says that the body has ended.",
        source="PEP 3333, Input and Error Streams, note 2",
        quote='Servers should support the optional "size" argument to `readline()`',
        snippet=snippets.A2WSGI_READLINE,
    ),
    Case(
        id="a2wsgi-start-response-twice",
        package="a2wsgi",
        rule="P01",
        claim="`WSGIMiddleware` takes a second `start_response` without `exc_info`.",
        source="PEP 3333, The start_response() Callable",
        quote="it is a fatal error to call `start_response` without the `exc_info` argument if `start_response` has "
        "already been called within the current invocation of the application",
        snippet=snippets.A2WSGI_TWICE,
    ),
)

#: What was said of the field and is no case: a sentence each, with the reason.
NOT_COUNTED = (
    "werkzeug gives REMOTE_PORT as an int: PEP 3333 asks str of CGI-defined "
    "variables, and RFC 3875 does not define this one.",
    "hypercorn takes a start message with a str for its status in silence (`gateway check --server hypercorn-asyncio`, "
    "C06): a warning, because the specification says should.",
    "Two Cookie fields in an HTTP/1.1 request are joined with a comma by most WSGI servers: RFC 6265 5.4 forbids "
    "the client to send two.",
    "a2wsgi's `ASGIMiddleware` blocks its thread for ever when the application returns without an answer: that is the "
    "application's breach (E19), and no sentence says what a server does then.",
    "hypercorn with two workers is said to drop requests when it stops (D06): no specification speaks of stopping. "
    "Not run for this page.",
)
