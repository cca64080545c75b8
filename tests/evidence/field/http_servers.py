"""What servers break of HTTP itself, with applications of either interface that do nothing special."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.preambles import SERVED

__all__ = ["CASES"]

_HELLO = """\
APP = '''
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
'''
ASGI_APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})
'''
HTTP_1_1 = {name: command for name, command in WSGI.items() if name != "wsgiref"}  # which says that it speaks HTTP/1.0

"""

CASES = (
    Case(
        id="host-missing-or-twice",
        rule="",
        claim="An HTTP/1.1 request without Host, or with two, gets 200.",
        source="RFC 9112, 3.2",
        quote="A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a "
        "Host header field and to any request message that contains more than one Host header field line or a Host "
        "header field with an invalid field value.",
        breakers=(
            *("cheroot", "gevent", "granian", "gunicorn", "pyuwsgi", "waitress", "werkzeug"),
            *("daphne", "granian asgi", "gunicorn asgi", "uvicorn"),
        ),
        preamble=SERVED,
        body=_HELLO
        + """\
def look(ask):
    none = ask(b"GET / HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n").split(b"\\r\\n")[0]
    two = ask(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nHost: b\\r\\nConnection: close\\r\\n\\r\\n").split(b"\\r\\n")[0]
    found = {"without Host": none.decode(), "with two": two.decode()}
    return "; ".join(f"{what}: {line}" for what, line in found.items() if " 200" in line)

run(HTTP_1_1, APP, look, ASGI_APP)
""",
    ),
    Case(
        id="space-before-the-colon",
        rule="",
        claim="A request with whitespace between a header name and its colon gets 200.",
        source="RFC 9112, 5.1",
        quote="A server MUST reject, with a response status code of 400 (Bad Request), any received request message "
        "that contains whitespace between a header field name and colon.",
        breakers=("cheroot", "gevent", "pyuwsgi", "werkzeug"),
        preamble=SERVED,
        body=_HELLO
        + """\
def look(ask):
    line = ask(get("/", "X-Name : value\\r\\n")).split(b"\\r\\n")[0].decode()
    return line if " 200" in line else ""

run(HTTP_1_1, APP, look, ASGI_APP)
""",
    ),
    Case(
        id="two-lengths",
        rule="",
        claim="A request with two different Content-Length headers gets 200.",
        source="RFC 9112, 6.3",
        quote="If a message is received without Transfer-Encoding and with an invalid Content-Length header field, "
        "then the message framing is invalid and the recipient MUST treat it as an unrecoverable error, unless the "
        "field value can be successfully parsed as a comma-separated list (Section 5.6.1 of [HTTP]), all values in the "
        "list are valid, and all values in the list are the same",
        breakers=("cheroot", "gevent", "pyuwsgi", "werkzeug"),
        preamble=SERVED,
        body=_HELLO
        + """\
def look(ask):
    answer = ask(get("/", "Content-Length: 5\\r\\nContent-Length: 6\\r\\n", "POST", b"hello!"))
    line = answer.split(b"\\r\\n")[0].decode()
    return line if " 200" in line else ""

run(HTTP_1_1, APP, look, ASGI_APP)
""",
    ),
    Case(
        id="absolute-form",
        rule="",
        claim="A request target in absolute form is refused.",
        source="RFC 9112, 3.2.2",
        quote="A server MUST accept the absolute-form in requests even though most HTTP/1.1 clients will only send the "
        "absolute-form to a proxy.",
        breakers=("cheroot",),
        preamble=SERVED,
        body=_HELLO
        + """\
def look(ask):
    line = ask(get("http://a/path")).split(b"\\r\\n")[0].decode()
    return line if " 4" in line else ""

run(WSGI, APP, look, ASGI_APP)
""",
    ),
    Case(
        id="content-for-head",
        rule="",
        claim="The body that a WSGI application returns for HEAD is sent. Frameworks expect the server to drop it.",
        source="RFC 9110, 9.3.2",
        quote="The HEAD method is identical to GET except that the server MUST NOT send content in the response.",
        breakers=("cheroot", "gevent", "pyuwsgi", "waitress", "werkzeug", "wsgiref"),
        preamble=SERVED,
        body=_HELLO
        + """\
def look(ask):
    body = ask(get(method="HEAD")).partition(b"\\r\\n\\r\\n")[2]
    return repr(body) if b"hello" in body else ""

run(WSGI, APP, look, ASGI_APP)
""",
    ),
    Case(
        id="length-of-204",
        rule="",
        claim="If an application returns 204 without headers, the response is sent with a Content-Length.",
        source="RFC 9110, 8.6",
        quote="A server MUST NOT send a Content-Length header field in any response with a status code of 1xx "
        "(Informational) or 204 (No Content).",
        breakers=("wsgiref",),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    start_response("204 No Content", [])
    return []
'''
ASGI_APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
'''

def look(ask):
    lines = [line for line in ask(get()).lower().split(b"\\r\\n") if line.startswith(b"content-length")]
    return repr(lines[0]) if lines else ""

run(WSGI, APP, look, ASGI_APP)
""",
    ),
    Case(
        id="chunked-to-http-1.0",
        rule="",
        claim="A response to an HTTP/1.0 request is chunked.",
        source="RFC 9112, 6.1",
        quote="A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request "
        "indicates HTTP/1.1 (or later minor revisions).",
        breakers=("werkzeug", "uvicorn"),
        preamble=SERVED,
        body="""\
APP = '''
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hel"
    yield b"lo"
'''
ASGI_APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})
'''

def look(ask):
    lines = ask(b"GET / HTTP/1.0\\r\\n\\r\\n").lower().split(b"\\r\\n")
    found = [line for line in lines if line.startswith(b"transfer-encoding")]
    return repr(found[0]) if found else ""

run(WSGI, APP, look, ASGI_APP)
""",
    ),
    Case(
        id="no-date",
        rule="",
        claim="A 200 response has no Date.",
        source="RFC 9110, 6.6.1; PEP 3333, The start_response() Callable",
        quote="An origin server with a clock (as defined in Section 5.6.7) MUST generate a Date header field in all "
        "2xx (Successful), 3xx (Redirection), and 4xx (Client Error) responses ... if the application omits a header "
        "required by HTTP (or other relevant specifications that are in effect), the server or gateway **must** add "
        "it.",
        breakers=("pyuwsgi", "daphne"),
        preamble=SERVED,
        body=_HELLO
        + """\
def look(ask):
    head = ask(get()).partition(b"\\r\\n\\r\\n")[0]
    return "" if b"\\r\\ndate:" in head.lower() else repr(head)

run(WSGI, APP, look, ASGI_APP)
""",
    ),
)
