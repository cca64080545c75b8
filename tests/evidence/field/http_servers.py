"""Violations of HTTP by servers; the applications of both interfaces do nothing special."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.packages import ASGI, WSGI
from tests.evidence.field.programs import request, served

__all__ = ["CASES"]

_SECTION = "Servers and HTTP"
_HELLO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
_ASGI_HELLO = """\
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})
"""
_STATUS = 'answer[9:12].decode() or "no response"'
#: wsgiref says that it speaks HTTP/1.0.
_EVERY = tuple(name for name in (*WSGI, *ASGI) if name != "wsgiref")


def _others(*breakers: str, every: tuple[str, ...] = _EVERY) -> tuple[str, ...]:
    return tuple(name for name in every if name not in breakers)


_NO_HOST = (
    *("cheroot", "gevent", "granian", "gunicorn", "pyuwsgi", "waitress", "werkzeug"),
    *("daphne", "granian-asgi", "gunicorn-asgi", "uvicorn"),
)
_TWO_HOSTS = (
    *("cheroot", "gevent", "granian", "pyuwsgi", "waitress", "werkzeug"),
    *("daphne", "granian-asgi", "uvicorn"),
)
_LOOSE = ("cheroot", "gevent", "pyuwsgi", "werkzeug")
_CONTENT = ("cheroot", "gevent", "pyuwsgi", "waitress", "werkzeug", "wsgiref")

CASES = (
    Case(
        id="host-missing",
        section=_SECTION,
        claim="An HTTP/1.1 request without Host is served.",
        source="RFC 9112, 3.2",
        link="https://www.rfc-editor.org/rfc/rfc9112#section-3.2",
        quote="A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a "
        "Host header field",
        breakers=_NO_HOST,
        keepers=_others(*_NO_HOST),
        expected="400",
        wanted="The response has the status 400.",
        write=served(_HELLO, asgi=_ASGI_HELLO, show=_STATUS, send=request("GET / HTTP/1.1", "Connection: close")),
    ),
    Case(
        id="host-twice",
        section=_SECTION,
        claim="A request with two different Host headers is served.",
        source="RFC 9112, 3.2",
        link="https://www.rfc-editor.org/rfc/rfc9112#section-3.2",
        quote="A server MUST respond with a 400 (Bad Request) status code ... to any request message that contains "
        "more than one Host header field line",
        breakers=_TWO_HOSTS,
        keepers=_others(*_TWO_HOSTS),
        expected="400",
        wanted="The response has the status 400.",
        write=served(
            _HELLO,
            asgi=_ASGI_HELLO,
            show=_STATUS,
            send=request("GET / HTTP/1.1", "Host: a", "Host: b", "Connection: close"),
        ),
    ),
    Case(
        id="space-before-the-colon",
        section=_SECTION,
        claim="A request with whitespace between a header name and its colon is served.",
        source="RFC 9112, 5.1",
        link="https://www.rfc-editor.org/rfc/rfc9112#section-5.1",
        quote="A server MUST reject, with a response status code of 400 (Bad Request), any received request message "
        "that contains whitespace between a header field name and colon.",
        breakers=_LOOSE,
        keepers=_others(*_LOOSE),
        expected="400",
        wanted="The response has the status 400.",
        write=served(
            _HELLO,
            asgi=_ASGI_HELLO,
            show=_STATUS,
            send=request("GET / HTTP/1.1", "Host: a", "Connection: close", "X-Name : value"),
        ),
    ),
    Case(
        id="two-lengths",
        section=_SECTION,
        claim="A request with two different Content-Length headers is served.",
        source="RFC 9112, 6.3",
        link="https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
        quote="If a message is received without Transfer-Encoding and with an invalid Content-Length header field, "
        "then the message framing is invalid and the recipient MUST treat it as an unrecoverable error ... If the "
        "unrecoverable error is in a request message, the server MUST respond with a 400 (Bad Request) status code "
        "and then close the connection.",
        breakers=_LOOSE,
        keepers=_others(*_LOOSE),
        expected="400",
        wanted="The response has the status 400.",
        write=served(
            _HELLO,
            asgi=_ASGI_HELLO,
            show=_STATUS,
            send=request(
                "POST / HTTP/1.1",
                *("Host: a", "Content-Length: 5", "Content-Length: 6", "Connection: close"),
                body="hello!",
            ),
        ),
    ),
    Case(
        id="absolute-form",
        section=_SECTION,
        claim="A request target in absolute form is refused.",
        source="RFC 9112, 3.2.2",
        link="https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2",
        quote="A server MUST accept the absolute-form in requests even though most HTTP/1.1 clients will only send the "
        "absolute-form to a proxy.",
        breakers=("cheroot",),
        keepers=_others("cheroot"),
        expected="200",
        wanted="The response has the status 200.",
        write=served(
            _HELLO,
            asgi=_ASGI_HELLO,
            show=_STATUS,
            send=request("GET http://a/path HTTP/1.1"),
        ),
    ),
    Case(
        id="content-for-head",
        section=_SECTION,
        claim="The body that a WSGI application returns for HEAD is sent. The sentence binds the whole origin "
        "server; ASGI servers drop the body, and so do gunicorn and granian.",
        source="RFC 9110, 9.3.2",
        link="https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2",
        quote="The HEAD method is identical to GET except that the server MUST NOT send content in the response.",
        breakers=_CONTENT,
        keepers=_others(*_CONTENT, every=(*WSGI, *ASGI)),
        expected="b''",
        wanted="The response has the headers of GET and no content.",
        write=served(
            _HELLO, asgi=_ASGI_HELLO, show=r'answer.partition(b"\r\n\r\n")[2]', send=request("HEAD / HTTP/1.1")
        ),
    ),
    Case(
        id="length-of-204",
        section=_SECTION,
        claim="If an application returns 204 without headers, the server adds a Content-Length.",
        source="RFC 9110, 8.6",
        link="https://www.rfc-editor.org/rfc/rfc9110#section-8.6",
        quote="A server MUST NOT send a Content-Length header field in any response with a status code of 1xx "
        "(Informational) or 204 (No Content).",
        breakers=("wsgiref",),
        keepers=_others("wsgiref", every=(*WSGI, *ASGI)),
        expected="no length",
        wanted="The response has no Content-Length.",
        write=served(
            """
def app(environ, start_response):
    start_response("204 No Content", [])
    return []
""",
            asgi="""
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
""",
            show='"a length" if b"content-length" in answer.lower() else "no length"',
        ),
    ),
    Case(
        id="chunked-to-http-1.0",
        section=_SECTION,
        claim="A response to an HTTP/1.0 request is chunked.",
        source="RFC 9112, 6.1",
        link="https://www.rfc-editor.org/rfc/rfc9112#section-6.1",
        quote="A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request "
        "indicates HTTP/1.1 (or later minor revisions).",
        breakers=("werkzeug", "uvicorn"),
        keepers=_others("werkzeug", "uvicorn", every=(*WSGI, *ASGI)),
        expected="no transfer-encoding",
        wanted="The response is not chunked: the end of the connection ends the body.",
        write=served(
            """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hel"
    yield b"lo"
""",
            asgi="""
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})
""",
            show='"chunked" if b"transfer-encoding" in answer.lower() else "no transfer-encoding"',
            send=request("GET / HTTP/1.0", "Host: a"),
        ),
    ),
    Case(
        id="no-date",
        section=_SECTION,
        claim="A 200 response has no Date.",
        source="RFC 9110, 6.6.1; PEP 3333, The start_response() Callable",
        link="https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1",
        quote="An origin server with a clock (as defined in Section 5.6.7) MUST generate a Date header field in all "
        "2xx (Successful), 3xx (Redirection), and 4xx (Client Error) responses ... if the application omits a header "
        "required by HTTP (or other relevant specifications that are in effect), the server or gateway **must** add "
        "it.",
        breakers=("pyuwsgi", "daphne"),
        keepers=_others("pyuwsgi", "daphne", every=(*WSGI, *ASGI)),
        expected="a date",
        wanted="The response has a Date.",
        write=served(_HELLO, asgi=_ASGI_HELLO, show=r'"a date" if b"\r\ndate: " in answer.lower() else "no date"'),
    ),
)
