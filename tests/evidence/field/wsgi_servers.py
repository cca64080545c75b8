"""Servers of WSGI applications."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.preambles import SERVED

__all__ = ["CASES"]

CASES = (
    Case(
        id="status-of-a-generator",
        rule="",
        claim="If the application calls `start_response` in its first iteration, its status and headers are lost: "
        "201 becomes 200.",
        source="PEP 3333, Specification Details",
        quote="this invocation **may** be performed by the iterable's first iteration, so servers **must not** assume "
        "that `start_response()` has been called before they begin iterating over the iterable.",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    start_response("201 Created", [("X-Made", "1")])
    yield b"made"
'''

def look(ask):
    head = ask(get()).partition(b"\\r\\n\\r\\n")[0].lower()
    return "" if b" 201" in head and b"x-made" in head else repr(head)

run(WSGI, APP, look)
""",
    ),
    Case(
        id="close-of-a-list",
        rule="V28",
        claim="`close()` of an iterable that is a list is not called.",
        source="PEP 3333, Specification Details",
        quote="If the iterable returned by the application has a `close()` method, the server or gateway **must** call "
        "that method upon completion of the current request",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
class Body(list):
    closed = 0

    def close(self):
        Body.closed += 1

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body([b"closed %d times" % Body.closed])
'''

def look(ask):
    ask(get())
    answer = ask(get())
    return "" if b"closed 0" not in answer else "close() was not called after a response that is complete"

run(WSGI, APP, look)
""",
    ),
    Case(
        id="no-write",
        rule="P39",
        claim="`start_response` returns None.",
        source="PEP 3333, The start_response() Callable",
        quote="The `start_response` callable is used to begin the HTTP response, and it must return a "
        "`write(body_data)` callable",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"write is " + repr(write).encode()]
'''

def look(ask):
    return "start_response returned None" if b"write is None" in ask(get()) else ""

run(WSGI, APP, look)
""",
    ),
    Case(
        id="exc-info-after-the-head",
        rule="",
        claim="`start_response` with `exc_info` does not raise, although the headers and a block have been sent. "
        "The error page goes into the middle of the body, and the response looks complete.",
        source="PEP 3333, The start_response() Callable",
        quote="if `exc_info` is provided, and the HTTP headers have already been sent, `start_response` **must** raise "
        "an error, and **should** re-raise using the `exc_info` tuple.",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
import sys

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    try:
        raise LookupError("found in the middle of the body")
    except LookupError:
        start_response("503 Service Unavailable", [], sys.exc_info())
    yield b"sorry"
'''

def look(ask):
    body = ask(get()).partition(b"\\r\\n\\r\\n")[2]
    return repr(body) if b"sorry" in body else ""

run(WSGI, APP, look)
""",
    ),
    Case(
        id="body-of-an-error-page",
        rule="",
        claim="After `start_response` with `exc_info`, the body that the application returns is not sent: the "
        "status is the new one, and the body is empty.",
        source="PEP 3333, Error Handling; Specification Details",
        quote="If no output has been written when an exception occurs, the call to `start_response` will return "
        "normally, and the application will return an error body to be sent to the browser. ... The server or gateway "
        "must transmit the yielded bytestrings to the client",
        breakers=("pyuwsgi",),
        preamble=SERVED,
        body="""\
APP = '''
import sys

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise LookupError("found before there was a body")
    except LookupError:
        start_response("503 Service Unavailable", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]
'''

def look(ask):
    answer = ask(get())
    return "" if b" 503 " in answer and b"sorry" in answer else repr(answer)

run(WSGI, APP, look)
""",
    ),
    Case(
        id="readline",
        rule="",
        claim="`wsgi.input.readline()` returns the line without its end, the next call returns b'', and iteration "
        "stops after the first of three lines.",
        source="PEP 3333, Input and Error Streams",
        quote="The semantics of each method are as documented in the Python Library Reference ... The methods listed "
        "in the table above **must** be supported by all servers conforming to this specification.",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    stream = environ["wsgi.input"]
    seen = [stream.readline(), stream.readline()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(seen).encode()]
'''

def look(ask):
    body = b"one\\ntwo\\nthree\\n"
    answer = ask(get("/", f"Content-Length: {len(body)}\\r\\n", "POST", body))
    seen = answer[answer.find(b"["):answer.rfind(b"]") + 1]
    return repr(seen) if seen != rb"[b'one\\n', b'two\\n']" else ""

run(WSGI, APP, look)
""",
    ),
    Case(
        id="input-without-iteration",
        rule="V07",
        claim="`wsgi.input` of a chunked request has no `__iter__`.",
        source="PEP 3333, Input and Error Streams",
        quote="The methods listed in the table above **must** be supported by all servers conforming to this "
        "specification.",
        breakers=("cheroot",),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    stream = environ["wsgi.input"]
    missing = [name for name in ("read", "readline", "readlines", "__iter__") if not hasattr(stream, name)]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"missing: " + repr(missing).encode()]
'''

def look(ask):
    answer = ask(get("/", "Transfer-Encoding: chunked\\r\\n", "POST", b"3\\r\\nabc\\r\\n0\\r\\n\\r\\n"))
    found = answer.partition(b"missing: ")[2].partition(b"]")[0]
    return repr(found + b"]") if found not in (b"[", b"") else ""

run(WSGI, APP, look)
""",
    ),
    Case(
        id="latin-1-header",
        rule="",
        claim="A response header with a non-ASCII character of Latin-1 is sent as UTF-8.",
        source="PEP 3333, Unicode Issues; A Note On String Types",
        quote="strings passed to `start_response()` as a status or as response headers **must** follow RFC 2616 with "
        "respect to encoding. That is, they must either be ISO-8859-1 characters, or use RFC 2047 MIME encoding. ... "
        "the *content* of native strings must still be translatable to bytes via the Latin-1 encoding!",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    start_response("200 OK", [("X-Name", "caf\\\\xe9")])
    return [b"x"]
'''

def look(ask):
    lines = [line for line in ask(get()).split(b"\\r\\n") if line.lower().startswith(b"x-name")]
    return repr(lines) if not lines or not lines[0].endswith(b"caf\\xe9") else ""

run(WSGI, APP, look)
""",
    ),
    Case(
        id="repeated-header",
        rule="",
        claim="If a request header comes twice, the application gets only the last one.",
        source="RFC 3875, 4.1.18, which PEP 3333 refers to for these variables",
        quote="If multiple header fields with the same field-name are received then the server MUST rewrite them as a "
        "single value having the same semantics.",
        breakers=("cheroot",),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"seen: <" + environ.get("HTTP_X_FORWARDED_FOR", "none").encode() + b">"]
'''

def look(ask):
    seen = ask(get("/", "X-Forwarded-For: 1.1.1.1\\r\\nX-Forwarded-For: 2.2.2.2\\r\\n"))
    seen = seen.partition(b"seen: <")[2].partition(b">")[0]
    # A server that leaves the field out altogether is not meant here.
    return repr(seen) if seen in (b"1.1.1.1", b"2.2.2.2") else ""

run(WSGI, APP, look)
""",
    ),
    Case(
        id="cookies-of-http-2",
        rule="",
        claim='The Cookie headers of an HTTP/2 request are joined with ";", without the space.',
        source="RFC 9113, 8.2.3",
        quote="If there are multiple Cookie header fields after decompression, these MUST be concatenated into a "
        'single octet string using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ") before being passed '
        "into a non-HTTP/2 context, such as an HTTP/1.1 connection, or a generic HTTP server application.",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

APP = '''
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("HTTP_COOKIE", "none").encode()]
'''
GUNICORN = [*WSGI["gunicorn"], "-k", "gthread", "--http-protocols", "h2,h1", "--http2-cleartext", "both"]

def look(ask):
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"),
                            ("cookie", "a=1"), ("cookie", "b=2")], end_stream=True)
    with socket.create_connection(ask.address, 10) as connection:
        connection.sendall(client.data_to_send())
        seen, ended = b"", False
        while not ended and (data := connection.recv(65536)):
            for event in client.receive_data(data):
                seen += event.data if isinstance(event, DataReceived) else b""
                ended = ended or isinstance(event, StreamEnded)
            connection.sendall(client.data_to_send())
    return repr(seen) if seen != b"a=1; b=2" else ""

run({"granian": WSGI["granian"], "gunicorn": GUNICORN}, APP, look)
""",
    ),
)
