"""Adapters of the field: WSGI applications served as ASGI, ASGI applications served as WSGI."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.preambles import ASGI_UNDER_WSGI, WSGI_UNDER_ASGI

__all__ = ["CASES"]

_EVERY = ("a2wsgi", "asgiref", "hypercorn", "starlette", "uvicorn")

CASES = (
    Case(
        id="server-port-int",
        rule="V05",
        claim="SERVER_PORT is an int.",
        source="PEP 3333, environ Variables",
        quote="It is a violation of this specification for *any* CGI variable's value to be of any type other than "
        "`str`.",
        breakers=("hypercorn", "starlette", "uvicorn"),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        ports.append(environ["SERVER_PORT"])
        start_response("200 OK", [])
        return [b"x"]

    ports = []
    call(adapter, app)
    return repr(ports[0]) if type(ports[0]) is not str else ""

run(look)
""",
    ),
    Case(
        id="no-write",
        rule="P39",
        claim="`start_response` returns None.",
        source="PEP 3333, The start_response() Callable",
        quote="The `start_response` callable is used to begin the HTTP response, and it must return a "
        "`write(body_data)` callable",
        breakers=("asgiref", "hypercorn", "starlette", "uvicorn"),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        given.append(start_response("200 OK", []))
        return [b"x"]

    given = []
    call(adapter, app)
    return "" if callable(given[0]) else repr(given[0])

run(look)
""",
    ),
    Case(
        id="close",
        rule="V28",
        claim="`close()` of the iterable is not called.",
        source="PEP 3333, Specification Details",
        quote="If the iterable returned by the application has a `close()` method, the server or gateway **must** call "
        "that method upon completion of the current request, whether the request was completed normally, or terminated "
        "early due to an application error during iteration or an early disconnect of the browser.",
        breakers=("asgiref", "starlette", "uvicorn"),
        preamble=WSGI_UNDER_ASGI,
        body="""\
class Body(list):
    closed = 0

    def close(self):
        self.closed += 1

def look(adapter):
    def app(environ, start_response):
        start_response("200 OK", [])
        return body

    body = Body([b"x"])
    call(adapter, app)
    return "" if body.closed else "close() was not called after a response that is complete"

run(look)
""",
    ),
    Case(
        id="close-when-the-client-leaves",
        rule="V28",
        claim="The client disconnects in the middle of a response, `send` raises OSError and `receive` returns "
        "`http.disconnect`: `close()` of the iterable is not called.",
        source="PEP 3333, Specification Details",
        quote="the server or gateway **must** call that method upon completion of the current request, whether the "
        "request was completed normally, or terminated early due to an application error during iteration or an early "
        "disconnect of the browser.",
        breakers=("a2wsgi", "asgiref", "starlette", "uvicorn"),
        preamble=WSGI_UNDER_ASGI,
        body="""\
import time

class Body:
    closed = 0

    def __iter__(self):
        for number in range(300):
            yield b"x"
            time.sleep(0.005)

    def close(self):
        self.closed += 1

def look(adapter):
    def app(environ, start_response):
        start_response("200 OK", [])
        return body

    body = Body()
    call(adapter, app, leaves=True)
    time.sleep(3)  # for what still runs in a thread
    return "" if body.closed else "close() was not called within 3 seconds of the end of the call"

run(look)
""",
    ),
    Case(
        id="head-sent-at-once",
        rule="P42",
        claim="`start_response` sends the headers at once. A second call that should replace them, with `exc_info` "
        "and before any body, is an error.",
        source="PEP 3333, The start_response() Callable",
        quote="the `start_response` callable **must not** actually transmit the response headers. Instead, it must "
        "store them for the server or gateway to transmit **only** after the first iteration of the application return "
        "value that yields a non-empty bytestring, or upon the application's first invocation of the `write()` "
        "callable.",
        breakers=("a2wsgi", "starlette", "uvicorn"),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            raise LookupError("found before there was a body")
        except LookupError:
            start_response("503 Service Unavailable", [], sys.exc_info())
        return [b"sorry"]

    sent, raised = call(adapter, app)
    heads = [message["status"] for message in sent if message["type"] == "http.response.start"]
    return "" if heads == [503] else f"sent {heads}, raised {raised}"

run(look)
""",
    ),
    Case(
        id="exc-info-after-the-head",
        rule="",
        claim="`start_response` with `exc_info` does not raise, although the headers and a block have been sent. "
        "The error page goes into the middle of the body.",
        source="PEP 3333, The start_response() Callable",
        quote="if `exc_info` is provided, and the HTTP headers have already been sent, `start_response` **must** raise "
        "an error, and **should** re-raise using the `exc_info` tuple.",
        breakers=("a2wsgi", "hypercorn", "starlette", "uvicorn"),
        preamble=WSGI_UNDER_ASGI,
        body="""\
import time

def look(adapter):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"begun"
        time.sleep(0.2)  # it has been sent by now
        try:
            raise LookupError("found in the middle of the body")
        except LookupError:
            start_response("503 Service Unavailable", [], sys.exc_info())
            returned.append("start_response returned")
        yield b"sorry"

    returned = []
    sent, raised = call(adapter, app)
    return f"{returned[0]}, the body is {b''.join(m.get('body', b'') for m in sent)}" if returned else ""

run(look)
""",
    ),
    Case(
        id="cookies-of-http-2",
        rule="",
        claim="The Cookie headers of an HTTP/2 request are joined with a comma.",
        source="RFC 9113, 8.2.3",
        quote="If there are multiple Cookie header fields after decompression, these MUST be concatenated into a "
        'single octet string using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ") before being passed '
        "into a non-HTTP/2 context, such as an HTTP/1.1 connection, or a generic HTTP server application.",
        breakers=_EVERY,
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        cookies.append(environ["HTTP_COOKIE"])
        start_response("200 OK", [])
        return [b"x"]

    cookies = []
    call(adapter, app, SCOPE | {"http_version": "2", "headers": [(b"cookie", b"a=1"), (b"cookie", b"b=2")]})
    return repr(cookies[0]) if cookies != ["a=1; b=2"] else ""

run(look)
""",
    ),
    Case(
        id="content-type-in-capitals",
        rule="V04",
        claim="A header with the spelling `Content-Type`, which ASGI allows, does not become CONTENT_TYPE.",
        source="PEP 3333, environ Variables; ASGI HTTP, HTTP Connection Scope",
        quote="The following variables **must** be present, unless their value would be an empty string ... "
        "Header names should be lowercased, but it is not required",
        breakers=_EVERY,
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        seen.append({key: value for key, value in environ.items() if "CONTENT" in key})
        start_response("200 OK", [])
        return [b"x"]

    seen = []
    call(adapter, app, SCOPE | {"headers": [(b"Content-Type", b"text/plain")]})
    return "" if seen[0].get("CONTENT_TYPE") == "text/plain" else repr(seen[0])

run(look)
""",
    ),
    Case(
        id="latin-1-header",
        rule="",
        claim="A response header with a non-ASCII character of Latin-1 raises UnicodeEncodeError.",
        source="PEP 3333, Unicode Issues",
        quote="strings passed to `start_response()` as a status or as response headers **must** follow RFC 2616 with "
        "respect to encoding. That is, they must either be ISO-8859-1 characters, or use RFC 2047 MIME encoding.",
        breakers=("asgiref", "starlette", "uvicorn"),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        start_response("200 OK", [("X-Name", "caf\\xe9")])
        return [b"x"]

    sent, raised = call(adapter, app)
    return repr(raised) if raised or (b"x-name", b"caf\\xe9") not in sent[0]["headers"] else ""

run(look)
""",
    ),
    Case(
        id="empty-response",
        rule="E06",
        claim="A response without a body raises IndexError, or sends a body message before the start.",
        source="PEP 3333, Specification Details; ASGI HTTP, Response Start",
        quote="the application object must always return an iterable yielding zero or more bytestrings.",
        breakers=("hypercorn",),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        start_response("204 No Content", [])
        return []

    sent, raised = call(adapter, app)
    types = [message["type"] for message in sent]
    return "" if types[:1] == ["http.response.start"] and not raised else f"sent {types}, raised {raised}"

run(look)
""",
    ),
    Case(
        id="header-names",
        rule="E09",
        claim="Response header names are sent as the application wrote them.",
        source="ASGI HTTP, Response Start",
        quote="Header names must be lowercased.",
        breakers=("uvicorn",),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    sent, raised = call(adapter, app)
    names = [name for name, value in sent[0]["headers"]]
    return repr(names) if names != [b"content-type"] else ""

run(look)
""",
    ),
    Case(
        id="readlines-of-nothing",
        rule="",
        claim="`wsgi.input.readlines()` of a request without a body raises IndexError.",
        source="PEP 3333, Input and Error Streams",
        quote="The semantics of each method are as documented in the Python Library Reference ... The methods listed "
        "in the table above **must** be supported by all servers conforming to this specification.",
        breakers=("a2wsgi",),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        try:
            seen.append(environ["wsgi.input"].readlines())
        except Exception as error:
            seen.append(error)
        start_response("200 OK", [])
        return [b"x"]

    seen = []
    call(adapter, app)
    return repr(seen[0]) if seen != [[]] else ""

run(look)
""",
    ),
    Case(
        id="readline-with-a-size",
        rule="",
        claim="`wsgi.input.readline(size)` returns b'' although the body is unread. A server may ignore `size`, "
        "but b'' means that the body has ended.",
        source="PEP 3333, Input and Error Streams",
        quote="The semantics of each method are as documented in the Python Library Reference ... Servers **should** "
        'support the optional "size" argument to `readline()`, but as in WSGI 1.0, they are allowed to omit support '
        "for it.",
        breakers=("a2wsgi",),
        preamble=WSGI_UNDER_ASGI,
        body="""\
def look(adapter):
    def app(environ, start_response):
        seen.append(environ["wsgi.input"].readline(100))
        start_response("200 OK", [])
        return [b"x"]

    seen = []
    call(adapter, app, SCOPE | {"headers": [(b"content-length", b"4")]}, body=b"a\\nb\\n")
    return repr(seen[0]) if seen != [b"a\\n"] else ""

run(look)
""",
    ),
    Case(
        id="start-without-headers",
        rule="",
        claim="A start message without `headers` raises KeyError.",
        source="ASGI HTTP, Response Start",
        quote="Header names must be lowercased. Optional; if missing defaults to an empty list.",
        breakers=("a2wsgi",),
        preamble=ASGI_UNDER_WSGI,
        body="""\
def look(adapter):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x"})

    try:
        body = b"".join(call(adapter, app)[0])
    except Exception as error:
        return repr(error)

run(look)
""",
    ),
    Case(
        id="disconnect-never-comes",
        rule="",
        claim="The server closes the iterable, because the client has disconnected; an application that waits in "
        "`receive` never receives `http.disconnect`.",
        source="ASGI HTTP, Disconnect",
        quote="Sent to the application if receive is called after a response has been sent or after the HTTP "
        "connection has been closed.",
        breakers=("a2wsgi",),
        preamble=ASGI_UNDER_WSGI,
        body="""\
def look(adapter):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        told.append((await receive())["type"])
        ended.set()

    told, ended = [], threading.Event()
    iterable, _ = call(adapter, app)
    next(iter(iterable))
    iterable.close()
    ended.wait(5)
    return "" if told else "receive() gave nothing within 5 seconds of close()"

run(look)
""",
    ),
)
