"""Violations by servers of WSGI applications."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.packages import WSGI
from tests.evidence.field.programs import GET, request, served

__all__ = ["CASES"]

_SECTION = "Servers of WSGI applications"
_PEP = "https://peps.python.org/pep-3333/"
_STATUS = 'answer.split(b" ")[1].decode()'
_CLOSE = (
    "If the iterable returned by the application has a `close()` method, the server or gateway **must** call "
    "that method upon completion of the current request"
)
_TELLS = """\
def app(environ, start_response):
    body = repr({seen}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
_BODY = r'answer.partition(b"\r\n\r\n")[2].decode()'
_URL = """\
answer = urllib.request.urlopen("http://127.0.0.1:8000", timeout=10)
print({show})
"""


def _others(*breakers: str) -> tuple[str, ...]:
    return tuple(name for name in WSGI if name not in breakers)


CASES = (
    Case(
        id="status-of-a-generator",
        section=_SECTION,
        claim="If the application calls `start_response` in its first iteration, its status and headers are lost: "
        "201 becomes 200.",
        source="PEP 3333, Specification Details",
        link=f"{_PEP}#specification-details",
        quote="this invocation **may** be performed by the iterable's first iteration, so servers **must not** assume "
        "that `start_response()` has been called before they begin iterating over the iterable.",
        breakers=("granian",),
        keepers=_others("granian"),
        expected="201, x-made: 1",
        wanted="The response has the status 201 and the header `x-made: 1`.",
        write=served(
            """
def app(environ, start_response):
    start_response("201 Created", [("X-Made", "1")])
    yield b"made"
""",
            imports="import urllib.request",
            client=_URL.format(show="f\"{answer.status}, x-made: {answer.headers.get('x-made')}\""),
        ),
    ),
    Case(
        id="close-of-a-list",
        section=_SECTION,
        rule="V28",
        claim="`close()` of an iterable that is a list is not called.",
        source="PEP 3333, Specification Details",
        link=f"{_PEP}#specification-details",
        quote=_CLOSE,
        breakers=("granian",),
        keepers=_others("granian"),
        expected="closed 1 times",
        wanted="`close()` of the first response was called before the second request.",
        write=served(
            """
class Body(list):
    closed = 0

    def close(self):
        Body.closed += 1

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body([b"closed %d times" % Body.closed])
""",
            imports="import urllib.request",
            client="""\
for _ in range(2):
    answer = urllib.request.urlopen("http://127.0.0.1:8000", timeout=10).read()
    time.sleep(0.5)
print(answer.decode())
""",
        ),
    ),
    Case(
        id="no-write",
        section=_SECTION,
        rule="P39",
        claim="`start_response` returns None.",
        source="PEP 3333, The start_response() Callable",
        link=f"{_PEP}#the-start-response-callable",
        quote="The `start_response` callable is used to begin the HTTP response, and it must return a "
        "`write(body_data)` callable",
        breakers=("granian",),
        keepers=_others("granian"),
        expected="callable: True",
        wanted="`start_response` returns a callable.",
        write=served(
            """
def app(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"callable: %r" % callable(write)]
""",
            imports="import urllib.request",
            client=_URL.format(show="answer.read().decode()"),
        ),
    ),
    Case(
        id="exc-info-after-the-head",
        section=_SECTION,
        claim="`start_response` with `exc_info` does not raise, although the headers and a block have been sent. "
        "The error page goes into the middle of the body, and the response looks complete.",
        source="PEP 3333, The start_response() Callable",
        link=f"{_PEP}#the-start-response-callable",
        quote="if `exc_info` is provided, and the HTTP headers have already been sent, `start_response` **must** raise "
        "an error, and **should** re-raise using the `exc_info` tuple.",
        breakers=("granian",),
        keepers=_others("granian"),
        expected="sorry is not sent",
        wanted="`start_response` raises, so that the block after it is not sent.",
        write=served(
            """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    try:
        raise LookupError
    except LookupError:
        start_response("503 Service Unavailable", [], sys.exc_info())
    yield b"sorry"
""",
            show='"sorry is sent" if b"sorry" in answer else "sorry is not sent"',
        ),
    ),
    Case(
        id="body-of-an-error-page",
        section=_SECTION,
        claim="After `start_response` with `exc_info`, the body that the application returns is not sent: the "
        "status is the new one, and the body is empty.",
        source="PEP 3333, Error Handling; Specification Details",
        link=f"{_PEP}#error-handling",
        quote="If no output has been written when an exception occurs, the call to `start_response` will return "
        "normally, and the application will return an error body to be sent to the browser. ... The server or gateway "
        "must transmit the yielded bytestrings to the client",
        breakers=("pyuwsgi",),
        keepers=_others("pyuwsgi"),
        expected="503, sorry",
        wanted="The response has the status 503 and the body `sorry`.",
        write=served(
            """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    try:
        raise LookupError
    except LookupError:
        headers = [("Content-Length", "5")]
        start_response("503 Service Unavailable", headers, sys.exc_info())
    return [b"sorry"]
""",
            show=f'answer[9:12].decode() + ", " + {_BODY}',
        ),
    ),
    Case(
        id="input-without-iteration",
        section=_SECTION,
        rule="V07",
        claim="`wsgi.input` of a chunked request has no `__iter__`.",
        source="PEP 3333, Input and Error Streams",
        link=f"{_PEP}#input-and-error-streams",
        quote="The methods listed in the table above **must** be supported by all servers conforming to this "
        "specification.",
        breakers=("cheroot",),
        keepers=("gevent", "granian", "gunicorn", "pyuwsgi", "waitress", "werkzeug"),
        expected="True",
        wanted="`wsgi.input` has `read`, `readline`, `readlines` and `__iter__`.",
        write=served(
            _TELLS.format(seen='hasattr(environ["wsgi.input"], "__iter__")'),
            show=_BODY,
            send=request(
                "POST / HTTP/1.1",
                *("Host: a", "Connection: close", "Transfer-Encoding: chunked"),
                body=r"3\r\nabc\r\n0\r\n\r\n",
            ),
        ),
    ),
    Case(
        id="latin-1-header",
        section=_SECTION,
        claim="A response header with a non-ASCII character of Latin-1 is sent as UTF-8.",
        source="PEP 3333, Unicode Issues; A Note On String Types",
        link=f"{_PEP}#unicode-issues",
        quote="strings passed to `start_response()` as a status or as response headers **must** follow RFC 2616 with "
        "respect to encoding. That is, they must either be ISO-8859-1 characters, or use RFC 2047 MIME encoding. ... "
        "the *content* of native strings must still be translatable to bytes via the Latin-1 encoding!",
        breakers=("granian",),
        keepers=_others("granian"),
        expected=r"b'caf\xe9'",
        wanted="The character is sent as the byte E9, as it is encoded in Latin-1.",
        write=served(
            """
def app(environ, start_response):
    start_response("200 OK", [("X-Name", "caf\\xe9")])
    return [b"x"]
""",
            show='answer[answer.lower().index(b"x-name: ") + 8 :].split(b"\\r")[0]',
        ),
    ),
    Case(
        id="repeated-header",
        section=_SECTION,
        claim="If a request header comes twice, the application gets only the last one.",
        source="RFC 3875, 4.1.18, which PEP 3333 refers to for these variables",
        link="https://www.rfc-editor.org/rfc/rfc3875#section-4.1.18",
        quote="If multiple header fields with the same field-name are received then the server MUST rewrite them as a "
        "single value having the same semantics.",
        breakers=("cheroot",),
        keepers=("gevent", "granian", "gunicorn", "pyuwsgi", "werkzeug", "wsgiref"),
        expected="1.1.1.1,2.2.2.2",
        wanted="The variable has both values, joined with a comma.",
        write=served(
            _TELLS.format(seen='environ.get("HTTP_X_FORWARDED_FOR")'),
            show=f"""{_BODY}.strip("'").replace(" ", "")""",
            send=request(
                "GET / HTTP/1.1",
                *("Host: a", "Connection: close", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2"),
            ),
        ),
    ),
    Case(
        id="headers-with-an-empty-block",
        section=_SECTION,
        rule="P69",
        claim="If the first block is empty, the status and headers are sent with it, so that the application can no "
        "longer replace them.",
        source="PEP 3333, The start_response() Callable",
        link=f"{_PEP}#the-start-response-callable",
        quote="the `start_response` callable **must not** actually transmit the response headers. Instead, it must "
        "store them for the server or gateway to transmit **only** after the first iteration of the application return "
        "value that yields a non-empty bytestring",
        breakers=("granian", "gunicorn", "pyuwsgi", "werkzeug", "wsgiref"),
        keepers=_others("granian", "gunicorn", "pyuwsgi", "werkzeug", "wsgiref"),
        expected="headers after 3 seconds",
        wanted="The headers come with the first block that is not empty, after three seconds.",
        write=served(
            """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    yield b""
    time.sleep(3)
    yield b"hello"
""",
            client=f"""\
with socket.create_connection(("127.0.0.1", 8000), 10) as client:
    client.sendall({GET})
    begin = time.monotonic()
    client.recv(65536)
    early = time.monotonic() - begin < 2
    print("headers at once" if early else "headers after 3 seconds")
""",
        ),
    ),
    Case(
        id="sized-iterable",
        section=_SECTION,
        claim="If the iterable has a `__len__`, the server reads all of it for a Content-Length, before it sends "
        "anything. An iterable that can be read once then loses its body.",
        source="PEP 3333, Specification Details",
        link=f"{_PEP}#specification-details",
        quote="The server or gateway must transmit the yielded bytestrings to the client in an unbuffered fashion, "
        "completing the transmission of each bytestring before requesting another one.",
        breakers=("gevent",),
        keepers=_others("gevent"),
        expected="onetwo",
        wanted="The body is `onetwo`.",
        write=served(
            """
class Body:
    left = [b"one", b"two"]

    def __len__(self):
        return 2

    def __iter__(self):
        while self.left:
            yield self.left.pop(0)

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body()
""",
            imports="import urllib.request",
            client=_URL.format(show="answer.read(99).decode()"),
        ),
    ),
    Case(
        id="server-protocol",
        section=_SECTION,
        rule="P73",
        claim="SERVER_PROTOCOL of an HTTP/1.0 request is `HTTP/1`.",
        source="RFC 3875, 4.1.16, which PEP 3333 refers to for this variable",
        link="https://www.rfc-editor.org/rfc/rfc3875#section-4.1.16",
        quote='HTTP-Version = "HTTP" "/" 1*digit "." 1*digit',
        breakers=("granian",),
        keepers=_others("granian"),
        expected="'HTTP/1.0'",
        wanted="`SERVER_PROTOCOL` is `HTTP/1.0`.",
        write=served(
            _TELLS.format(seen='environ["SERVER_PROTOCOL"]'), show=_BODY, send=request("GET / HTTP/1.0", "Host: a")
        ),
    ),
    Case(
        id="cookies-of-http-2",
        section=_SECTION,
        claim='The Cookie headers of an HTTP/2 request are joined with ";", without the space.',
        source="RFC 9113, 8.2.3",
        link="https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3",
        quote="If there are multiple Cookie header fields after decompression, these MUST be concatenated into a "
        'single octet string using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ") before being passed '
        "into a non-HTTP/2 context, such as an HTTP/1.1 connection, or a generic HTTP server application.",
        breakers=("granian-wsgi-h2",),
        keepers=("gunicorn-wsgi-h2",),
        expected="'a=1; b=2'",
        wanted="The cookies are joined with a semicolon and a space.",
        write=served(
            _TELLS.format(seen='environ.get("HTTP_COOKIE")'),
            imports="import httpx",
            client="""\
with httpx.Client(http1=False, http2=True, trust_env=False) as client:
    cookies = [("cookie", "a=1"), ("cookie", "b=2")]
    print(client.get("http://127.0.0.1:8000", headers=cookies).text)
""",
        ),
    ),
)
