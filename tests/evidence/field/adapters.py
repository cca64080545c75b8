"""Violations by adapters: WSGI applications served as ASGI, ASGI applications served as WSGI."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.packages import WSGI_TO_ASGI
from tests.evidence.field.programs import ENVIRON, adapted, alone

__all__ = ["CASES"]

_SECTION = "Adapters: WSGI applications served as ASGI"
_BACK = "Adapters: ASGI applications served as WSGI"
_PEP = "https://peps.python.org/pep-3333/"
_WWW = "https://asgi.readthedocs.io/en/latest/specs/www.html"
_METHODS = (
    "The semantics of each method are as documented in the Python Library Reference ... The methods listed "
    "in the table above **must** be supported by all servers conforming to this specification."
)


def _others(*breakers: str) -> tuple[str, ...]:
    return tuple(name for name in WSGI_TO_ASGI if name not in breakers)


#: An application that keeps the value of an expression.
_SAW = """\
def app(environ, start_response):
    saw.append({saw})
    start_response("200 OK", [])
    return [b"x"]

saw = []
"""

CASES = (
    Case(
        id="server-port-int",
        section=_SECTION,
        rule="V05",
        claim="SERVER_PORT is an int.",
        source="PEP 3333, environ Variables",
        link=f"{_PEP}#environ-variables",
        quote="It is a violation of this specification for *any* CGI variable's value to be of any type other than "
        "`str`.",
        breakers=("hypercorn-wsgi", "starlette", "uvicorn-wsgi"),
        keepers=_others("hypercorn-wsgi", "starlette", "uvicorn-wsgi"),
        expected="'80'",
        wanted="`SERVER_PORT` is the str `'80'`.",
        write=adapted(_SAW.format(saw='environ["SERVER_PORT"]'), show="repr(saw[0])"),
    ),
    Case(
        id="no-write-in-adapters",
        section=_SECTION,
        rule="P39",
        claim="`start_response` returns None.",
        source="PEP 3333, The start_response() Callable",
        link=f"{_PEP}#the-start-response-callable",
        quote="The `start_response` callable is used to begin the HTTP response, and it must return a "
        "`write(body_data)` callable",
        breakers=("asgiref", "hypercorn-wsgi", "starlette", "uvicorn-wsgi"),
        keepers=("a2wsgi",),
        expected="callable: True",
        wanted="`start_response` returns a callable.",
        write=adapted(
            """
def app(environ, start_response):
    write.append(start_response("200 OK", []))
    return [b"x"]

write = []
""",
            show='"callable:", callable(write[0])',
        ),
    ),
    Case(
        id="close",
        section=_SECTION,
        rule="V28",
        claim="`close()` of the iterable is not called after a complete response.",
        source="PEP 3333, Specification Details",
        link=f"{_PEP}#specification-details",
        quote="If the iterable returned by the application has a `close()` method, the server or gateway **must** call "
        "that method upon completion of the current request, whether the request was completed normally, or terminated "
        "early due to an application error during iteration or an early disconnect of the browser.",
        breakers=("asgiref", "starlette", "uvicorn-wsgi"),
        keepers=_others("asgiref", "starlette", "uvicorn-wsgi"),
        expected="closed 1 times",
        wanted="`close()` was called once.",
        write=adapted(
            """
class Body(list):
    closed = 0

    def close(self):
        self.closed += 1

def app(environ, start_response):
    start_response("200 OK", [])
    return body

body = Body([b"x"])
""",
            show='f"closed {body.closed} times"',
        ),
    ),
    Case(
        id="close-when-the-client-leaves",
        section=_SECTION,
        rule="V28",
        claim="`close()` of the iterable is not called if the client disconnects in the middle of a response. Then "
        "`send` raises OSError, and `receive` returns `http.disconnect`.",
        source="PEP 3333, Specification Details",
        link=f"{_PEP}#specification-details",
        quote="the server or gateway **must** call that method upon completion of the current request, whether the "
        "request was completed normally, or terminated early due to an application error during iteration or an early "
        "disconnect of the browser.",
        breakers=("a2wsgi", "asgiref", "starlette", "uvicorn-wsgi"),
        keepers=("hypercorn-wsgi",),
        expected="closed 1 times",
        wanted="`close()` was called once.",
        write=adapted(
            """
class Body:
    closed = 0

    def __iter__(self):
        for _ in range(100):
            time.sleep(0.01)
            yield b"x"

    def close(self):
        self.closed += 1

def app(environ, start_response):
    start_response("200 OK", [])
    return body

body = Body()
""",
            show="",
            imports="contextlib, os, time",
            send="""\
sent.append(message)
if len(sent) > 3:
    left.set()
    raise OSError("the client has left")
""",
            receive="""\
if not requests:
    await left.wait()
    return {"type": "http.disconnect"}
return requests.pop()
""",
            main="""\
async def main():
    with contextlib.suppress(Exception):
        await asyncio.wait_for({call}, 5)

left = asyncio.Event()
asyncio.new_event_loop().run_until_complete(main())
time.sleep(2)
print(f"closed {{body.closed}} times", flush=True)
os._exit(0)  # a thread may still wait
""",
        ),
    ),
    Case(
        id="head-sent-at-once",
        section=_SECTION,
        rule="P42",
        claim="`start_response` sends the headers at once. A second call that should replace them, with `exc_info` "
        "and before any body, is an error.",
        source="PEP 3333, The start_response() Callable",
        link=f"{_PEP}#the-start-response-callable",
        quote="the `start_response` callable **must not** actually transmit the response headers. Instead, it must "
        "store them for the server or gateway to transmit **only** after the first iteration of the application return "
        "value that yields a non-empty bytestring, or upon the application's first invocation of the `write()` "
        "callable.",
        breakers=("a2wsgi", "starlette", "uvicorn-wsgi"),
        keepers=("asgiref", "hypercorn-wsgi"),
        expected="[503]",
        wanted="One start message, with the status 503.",
        write=adapted(
            """
def app(environ, start_response):
    start_response("200 OK", [])
    try:
        raise LookupError
    except LookupError:
        start_response("503 Service Unavailable", [], sys.exc_info())
    return [b"sorry"]
""",
            show='[message["status"] for message in sent if "status" in message]',
            imports="contextlib, sys",
            main="with contextlib.suppress(LookupError, RuntimeError):\n    asyncio.run({call})\n",
        ),
    ),
    Case(
        id="exc-info-after-the-head-in-adapters",
        section=_SECTION,
        claim="`start_response` with `exc_info` does not raise, although the headers and a block have been sent. "
        "The error page goes into the middle of the body.",
        source="PEP 3333, The start_response() Callable",
        link=f"{_PEP}#the-start-response-callable",
        quote="if `exc_info` is provided, and the HTTP headers have already been sent, `start_response` **must** raise "
        "an error, and **should** re-raise using the `exc_info` tuple.",
        breakers=("a2wsgi", "hypercorn-wsgi", "starlette", "uvicorn-wsgi"),
        keepers=("asgiref",),
        expected="[b'begun']",
        wanted="`start_response` raises, so that the block after it is not sent.",
        write=adapted(
            """
def app(environ, start_response):
    start_response("200 OK", [])
    yield b"begun"
    time.sleep(0.2)  # it has been sent by now
    try:
        raise LookupError
    except LookupError:
        start_response("503 Service Unavailable", [], sys.exc_info())
    yield b"sorry"
""",
            show='[message["body"] for message in sent if message.get("body")]',
            imports="contextlib, sys, time",
            main="with contextlib.suppress(Exception):\n    asyncio.run({call})\n",
        ),
    ),
    Case(
        id="cookies-of-http-2-in-adapters",
        section=_SECTION,
        claim="The Cookie headers of an HTTP/2 request are joined with a comma. ASGI hands them over as they came, "
        "so the adapter makes the first context that is not HTTP/2.",
        source="RFC 9113, 8.2.3; RFC 3875, 4.1.18, which PEP 3333 refers to",
        link="https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3",
        quote="If there are multiple Cookie header fields after decompression, these MUST be concatenated into a "
        'single octet string using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ") before being passed '
        "into a non-HTTP/2 context ... If multiple header fields with the same field-name are received then the "
        "server MUST rewrite them as a single value having the same semantics.",
        breakers=WSGI_TO_ASGI,
        expected="a=1; b=2",
        wanted="The cookies are joined with a semicolon and a space.",
        write=adapted(
            _SAW.format(saw='environ["HTTP_COOKIE"]'),
            show="saw[0]",
            scope='{"http_version": "2", "headers": [(b"cookie", b"a=1"), (b"cookie", b"b=2")]}',
        ),
    ),
    Case(
        id="content-type-in-capitals",
        section=_SECTION,
        rule="V04",
        claim="A header with the spelling `Content-Type`, which ASGI allows, does not become CONTENT_TYPE. The servers "
        "of this report send lower case, so another server or a middleware is needed to see it.",
        source="PEP 3333, environ Variables; ASGI HTTP, HTTP Connection Scope",
        link=f"{_PEP}#environ-variables",
        quote="The following variables **must** be present, unless their value would be an empty string ... "
        "Header names should be lowercased, but it is not required",
        breakers=WSGI_TO_ASGI,
        expected="text/plain",
        wanted="`CONTENT_TYPE` is `text/plain`.",
        write=adapted(
            _SAW.format(saw='environ.get("CONTENT_TYPE") or "no CONTENT_TYPE"'),
            show="saw[0]",
            scope='{"headers": [(b"Content-Type", b"text/plain")]}',
        ),
    ),
    Case(
        id="latin-1-header-in-adapters",
        section=_SECTION,
        claim="A response header with a non-ASCII character of Latin-1 raises UnicodeEncodeError.",
        source="PEP 3333, Unicode Issues",
        link=f"{_PEP}#unicode-issues",
        quote="strings passed to `start_response()` as a status or as response headers **must** follow RFC 2616 with "
        "respect to encoding. That is, they must either be ISO-8859-1 characters, or use RFC 2047 MIME encoding.",
        breakers=("asgiref", "starlette", "uvicorn-wsgi"),
        keepers=_others("asgiref", "starlette", "uvicorn-wsgi"),
        expected=r"b'caf\xe9'",
        wanted="The header is sent, encoded in Latin-1.",
        write=adapted(
            """
def app(environ, start_response):
    start_response("200 OK", [("X-Name", "caf\\xe9")])
    return [b"x"]
""",
            show="",
            main="""\
try:
    asyncio.run({call})
    print(dict(sent[0]["headers"])[b"x-name"])
except UnicodeEncodeError as error:
    print("UnicodeEncodeError")
""",
        ),
    ),
    Case(
        id="empty-response",
        section=_SECTION,
        rule="E06",
        claim="The first message of a response without a body is a body message.",
        source="PEP 3333, Specification Details; ASGI HTTP, Response Start",
        link=f"{_PEP}#specification-details",
        quote="the application object must always return an iterable yielding zero or more bytestrings.",
        breakers=("hypercorn-wsgi",),
        keepers=_others("hypercorn-wsgi"),
        expected="http.response.start",
        wanted="The first message is `http.response.start`.",
        write=adapted(
            """
def app(environ, start_response):
    start_response("204 No Content", [])
    return []
""",
            show="",
            main="""\
try:
    asyncio.run({call})
    print(sent[0]["type"])
except IndexError as error:
    print(repr(error))
""",
        ),
    ),
    Case(
        id="header-names-in-adapters",
        section=_SECTION,
        rule="E09",
        claim="Response header names are sent as the application wrote them.",
        source="ASGI HTTP, Response Start",
        link=f"{_WWW}#response-start-send-event",
        quote="Header names must be lowercased.",
        breakers=("uvicorn-wsgi",),
        keepers=_others("uvicorn-wsgi"),
        expected="b'content-type'",
        wanted="The name is `content-type`.",
        write=adapted(
            """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
""",
            show='sent[0]["headers"][0][0]',
        ),
    ),
    Case(
        id="readlines-of-nothing",
        section=_SECTION,
        claim="`wsgi.input.readlines()` of a request without a body raises IndexError.",
        source="PEP 3333, Input and Error Streams",
        link=f"{_PEP}#input-and-error-streams",
        quote=_METHODS,
        breakers=("a2wsgi",),
        keepers=_others("a2wsgi"),
        expected="[]",
        wanted="`readlines()` returns an empty list.",
        write=adapted(
            """
def app(environ, start_response):
    try:
        print(environ["wsgi.input"].readlines())
    except IndexError as error:
        print(repr(error))
    start_response("200 OK", [])
    return [b"x"]
""",
            show="",
        ),
    ),
    Case(
        id="readline-with-a-size",
        section=_SECTION,
        claim="`wsgi.input.readline(size)` returns b'' although the body is unread. A server may ignore `size`, "
        "but b'' means that the body has ended.",
        source="PEP 3333, Input and Error Streams",
        link=f"{_PEP}#input-and-error-streams",
        quote="The semantics of each method are as documented in the Python Library Reference ... Servers **should** "
        'support the optional "size" argument to `readline()`, but as in WSGI 1.0, they are allowed to omit support '
        "for it.",
        breakers=("a2wsgi",),
        keepers=_others("a2wsgi"),
        expected=r"b'a\n'",
        wanted="The call returns the first line.",
        write=adapted(
            _SAW.format(saw='environ["wsgi.input"].readline(100)'),
            show="saw[0]",
            scope='{"headers": [(b"content-length", b"4")]}',
            body=r'b"a\nb\n"',
        ),
    ),
    Case(
        id="start-without-headers-in-adapters",
        section=_BACK,
        claim="A start message without `headers` raises KeyError.",
        source="ASGI HTTP, Response Start",
        link=f"{_WWW}#response-start-send-event",
        quote="Header names must be lowercased. Optional; if missing defaults to an empty list.",
        breakers=("a2wsgi-asgi",),
        expected="b'x'",
        wanted="The response has no headers and the body `x`.",
        write=alone(
            """\
import io, os
from a2wsgi import ASGIMiddleware

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x"})

"""
            + ENVIRON
            + """\
try:
    print(b"".join(ASGIMiddleware(app)(ENVIRON, lambda *given: None)), flush=True)
except KeyError as error:
    print(repr(error), flush=True)
os._exit(0)  # a thread may still wait
"""
        ),
    ),
    Case(
        id="disconnect-never-comes",
        section=_BACK,
        claim="An application that waits in `receive` never gets `http.disconnect` after the client has disconnected. "
        "The server has closed the iterable.",
        source="ASGI HTTP, Disconnect",
        link=f"{_WWW}#disconnect-receive-event",
        quote="Sent to the application if receive is called after a response has been sent or after the HTTP "
        "connection has been closed.",
        breakers=("a2wsgi-asgi",),
        expected="http.disconnect",
        wanted="`receive` returns `http.disconnect` after the iterable has been closed.",
        write=alone(
            """\
import io, os, queue
from a2wsgi import ASGIMiddleware

async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    events.put((await receive())["type"])

"""
            + ENVIRON
            + """\
events = queue.Queue()
body = ASGIMiddleware(app)(ENVIRON, lambda *given: None)
next(iter(body))
body.close()
try:
    print(events.get(timeout=4), flush=True)
except queue.Empty:
    print("nothing within 4 seconds", flush=True)
os._exit(0)  # a thread may still wait
"""
        ),
    ),
)
