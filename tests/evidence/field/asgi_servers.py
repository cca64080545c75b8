"""Violations by servers of ASGI applications."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.packages import ASGI, H2, UNIX
from tests.evidence.field.programs import GET, request, served

__all__ = ["CASES"]

_SECTION = "Servers of ASGI applications"
_WWW = "https://asgi.readthedocs.io/en/latest/specs/www.html"
_SCOPE = f"{_WWW}#http-connection-scope"
_START = f"{_WWW}#response-start-send-event"
_DISCONNECT = f"{_WWW}#disconnect-receive-event"
_EXTENSIONS = "https://asgi.readthedocs.io/en/latest/extensions.html"

#: An application that sends the value of an expression.
_TELLS = """\
async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = repr({seen}).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": body}})
"""
_BODY = r'answer.partition(b"\r\n\r\n")[2].decode()'
_STATUS = 'answer[9:12].decode() or "no response"'

#: A request over HTTP/2, with the httpx client.
_HTTPX = """\
with httpx.Client(http1=False, http2=True, trust_env=False) as client:
    answer = client.get("http://127.0.0.1:8000/", headers=[("x-first", "1")])
print(answer.text)
"""


def _others(every: tuple[str, ...], *breakers: str) -> tuple[str, ...]:
    return tuple(name for name in every if name not in breakers)


CASES = (
    Case(
        id="ports-are-strings",
        section=_SECTION,
        rule="H11",
        claim="The ports in `client` and `server` are str.",
        source="ASGI HTTP, HTTP Connection Scope",
        link=_SCOPE,
        quote="`port` is the remote port as an integer ... `port` is the integer listening port",
        breakers=("granian-asgi",),
        keepers=_others(ASGI, "granian-asgi"),
        expected="['int', 'int']",
        wanted="Both ports are integers.",
        write=served(
            _TELLS.format(seen='[type(scope[each][1]).__name__ for each in ("client", "server")]'), show=_BODY
        ),
    ),
    Case(
        id="http-version",
        section=_SECTION,
        rule="H01",
        claim="`http_version` of an HTTP/1.0 request is `1`.",
        source="ASGI HTTP, HTTP Connection Scope",
        link=_SCOPE,
        quote='`http_version` (*Unicode string*) -- One of `"1.0"`, `"1.1"` or `"2"`.',
        breakers=("granian-asgi",),
        keepers=_others(ASGI, "granian-asgi"),
        expected="'1.0'",
        wanted="`http_version` is `1.0`.",
        write=served(
            _TELLS.format(seen='scope["http_version"]'), show=_BODY, send=request("GET / HTTP/1.0", "Host: a")
        ),
    ),
    Case(
        id="unix-socket",
        section=_SECTION,
        rule="H12",
        claim="`server` of a unix socket is neither the path with `None`, nor `None`.",
        source="ASGI HTTP, HTTP Connection Scope",
        link=_SCOPE,
        quote="Either a two-item iterable of `[host, port]` ... or `[path, None]` where `path` is that of the unix "
        "socket. Optional; if missing defaults to `None`.",
        breakers=("granian-unix", "gunicorn-unix"),
        keepers=_others(UNIX, "granian-unix", "gunicorn-unix"),
        expected="['app.sock', None]",
        also=("None",),
        wanted="`server` is the path of the socket and `None`, or it is `None`.",
        write=served(
            _TELLS.format(seen='scope.get("server") and [scope["server"][0][-8:], scope["server"][1]]'),
            show=_BODY,
            unix=True,
        ),
    ),
    Case(
        id="transfer-encoding-gzip",
        section=_SECTION,
        rule="E13",
        claim="The Transfer-Encoding `gzip` of an application is not ignored.",
        source="ASGI HTTP, Response Start",
        link=_START,
        quote="You may send a `Transfer-Encoding` header in this message, but the server must ignore it.",
        breakers=("granian-asgi", "gunicorn-asgi", "hypercorn", "uvicorn", "uvicorn-h11"),
        keepers=("daphne",),
        expected="200",
        wanted="The server ignores the header of the application: the response has the status 200, and no "
        "`gzip` in its Transfer-Encoding.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"transfer-encoding", b"gzip")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})
""",
            show='"gzip is sent" if b"gzip" in answer else ' + _STATUS,
        ),
    ),
    Case(
        id="transfer-encoding-and-length",
        section=_SECTION,
        rule="E13",
        claim="A Transfer-Encoding of the application beside its Content-Length is not ignored.",
        source="ASGI HTTP, Response Start",
        link=_START,
        quote="You may send a `Transfer-Encoding` header in this message, but the server must ignore it.",
        breakers=("daphne", "granian-asgi", "gunicorn-asgi", "uvicorn"),
        keepers=("hypercorn", "uvicorn-h11"),
        expected="content-length: 5",
        also=("transfer-encoding: chunked",),
        wanted="The server ignores the Transfer-Encoding of the application. The response has one of the two headers.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})
""",
            client=f"""\
with socket.create_connection(("127.0.0.1", 8000), 10) as client:
    client.sendall({GET})
    lines = client.makefile("rb").read().decode().lower().split("\\r\\n")
names = ("transfer-encoding", "content-length")
print(" and ".join(line for line in lines if line.startswith(names)) or "no response")
""",
        ),
    ),
    Case(
        id="headers-from-a-generator",
        section=_SECTION,
        rule="E26",
        claim="If the application gives its response headers as an iterable that can be read only once, they are lost.",
        source="ASGI HTTP, Response Start",
        link=_START,
        quote="`headers` (*Iterable[[byte string, byte string]]*) -- An iterable of `[name, value]` two-item iterables",
        breakers=("daphne", "gunicorn-asgi"),
        keepers=_others(ASGI, "daphne", "gunicorn-asgi"),
        expected="x-name is sent",
        wanted="The response has the header `x-name`.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = (pair for pair in [(b"x-name", b"value")])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x"})
""",
            show='"x-name is sent" if b"x-name: value" in answer.lower() else "x-name is lost"',
        ),
    ),
    Case(
        id="start-without-headers",
        section=_SECTION,
        claim="A start message without `headers` gives a 500.",
        source="ASGI HTTP, Response Start",
        link=_START,
        quote="Header names must be lowercased. Optional; if missing defaults to an empty list.",
        breakers=("granian-asgi",),
        keepers=_others(ASGI, "granian-asgi"),
        expected="200",
        wanted="The response has the status 200.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x"})
""",
            show=_STATUS,
        ),
    ),
    Case(
        id="open-after-an-exception",
        section=_SECTION,
        rule="C09",
        claim="If the application raises after the first part of its response, the connection stays open, and the "
        "client waits.",
        source="ASGI 3.0, Error Handling",
        link="https://asgi.readthedocs.io/en/latest/specs/main.html#error-handling",
        quote="they must terminate the application instance and its associated connection if this happens.",
        breakers=("daphne",),
        keepers=_others(ASGI, "daphne"),
        expected="closed",
        wanted="The server closes the connection.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise LookupError
""",
            client=f"""\
with socket.create_connection(("127.0.0.1", 8000), 4) as client:
    client.sendall({GET})
    try:
        while client.recv(65536):
            pass
        print("closed")
    except ConnectionResetError:
        print("closed")
    except TimeoutError:
        print("open after 4 seconds")
""",
        ),
    ),
    Case(
        id="receive-after-the-response",
        section=_SECTION,
        claim="On a connection that is kept, `receive` after a complete response does not return, because "
        "`http.disconnect` never comes.",
        source="ASGI HTTP, Disconnect",
        link=_DISCONNECT,
        quote="Sent to the application if receive is called after a response has been sent or after the HTTP "
        "connection has been closed.",
        breakers=("gunicorn-asgi",),
        keepers=_others(ASGI, "gunicorn-asgi"),
        expected="['http.request', 'http.disconnect']",
        also=("['http.disconnect', 'http.disconnect']",),
        wanted="The second `receive` returns `http.disconnect`.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = repr(seen).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    while scope["path"] == "/first" and len(seen) < 2:
        seen.append((await receive())["type"])

seen = []
""",
            client=f"""\
with socket.create_connection(("127.0.0.1", 8000), 10) as kept:
    kept.sendall({request("GET /first HTTP/1.1", "Host: a")})
    kept.recv(65536)
    time.sleep(3)
    with socket.create_connection(("127.0.0.1", 8000), 10) as client:
        client.sendall({GET})
        print(client.makefile("rb").read().split(b"\\r\\n")[-1].decode())
""",
        ),
    ),
    Case(
        id="trailers-unasked",
        section=_SECTION,
        rule="X09",
        claim="Over HTTP/2, trailers are sent to a client that did not send `TE: trailers`.",
        source="ASGI extensions, HTTP Trailers",
        link=f"{_EXTENSIONS}#http-trailers",
        quote="The ASGI server will only send the trailing headers in case the client has sent the `TE: trailers` "
        "header in the request.",
        breakers=("gunicorn-h2",),
        keepers=_others(H2, "gunicorn-h2"),
        expected="no trailers",
        wanted="The server drops the trailers, because the client did not ask for them.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    trailers = "http.response.trailers" in (scope.get("extensions") or {})
    headers = [(b"trailer", b"x-end")]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start | {"trailers": True} if trailers else start)
    await send({"type": "http.response.body", "body": b"x"})
    if trailers:
        await send({"type": "http.response.trailers", "headers": [(b"x-end", b"1")]})
""",
            imports="import h2.connection, h2.events",
            client="""\
client, events = h2.connection.H2Connection(), []
client.initiate_connection()
fields = {":method": "GET", ":scheme": "http", ":authority": "a", ":path": "/"}
client.send_headers(1, fields.items(), end_stream=True)
with socket.create_connection(("127.0.0.1", 8000), 10) as connection:
    connection.sendall(client.data_to_send())
    while not any(isinstance(each, h2.events.StreamEnded) for each in events):
        events += client.receive_data(connection.recv(65536))
ends = [each.headers for each in events if isinstance(each, h2.events.TrailersReceived)]
print(ends[0] if ends else "no trailers")
""",
        ),
    ),
    Case(
        id="early-hint-after-the-start",
        section=_SECTION,
        rule="X06",
        claim="An early hint directly after the start raises in the application, over HTTP/2. The extension is offered,"
        " there was no body yet, and an early hint before the start is accepted.",
        source="ASGI extensions, Early Hints",
        link=f"{_EXTENSIONS}#early-hints",
        quote="This message can be sent at any time (and multiple times) after the *Response Start* message but before "
        "the final *Response Body* message.",
        breakers=("hypercorn-h2",),
        expected="accepted",
        wanted="`send` accepts the message. (A server need not send the start before the first body message, so the "
        "hint can still go out before it.)",
        write=served(
            """
async def app(scope, receive, send):
    assert "http.response.early_hint" in scope["extensions"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        found = "accepted"
    except Exception as error:
        found = type(error).__name__
    await send({"type": "http.response.body", "body": found.encode()})
""",
            imports="import httpx",
            client=_HTTPX,
        ),
    ),
    Case(
        id="authority-not-at-the-start",
        section=_SECTION,
        rule="H10",
        claim="Over HTTP/2, the value of `:authority` is added as `host` at the end of the headers.",
        source="ASGI HTTP, HTTP Connection Scope",
        link=_SCOPE,
        quote="if `:authority` is present its value must be added to the start of the iterable with `host` as the "
        "header name or replace any existing host header already present.",
        breakers=("gunicorn-h2",),
        keepers=_others(H2, "gunicorn-h2"),
        expected="host is number 1",
        wanted="`host` is the first header.",
        write=served(
            _TELLS.format(seen='[name for name, value in scope["headers"]].index(b"host") + 1'),
            imports="import httpx",
            client=_HTTPX.replace("print(answer.text)", 'print("host is number", answer.text)'),
        ),
    ),
    Case(
        id="websocket-close-code",
        section=_SECTION,
        rule="W14",
        claim="`code` of `websocket.disconnect` is 1006, which means no close frame, if the client closes with 3001.",
        source="ASGI WebSocket, Disconnect",
        link=f"{_WWW}#disconnect-receive-event-ws",
        quote="`code` (*int*) -- The WebSocket close code, as per the WebSocket spec.",
        breakers=("hypercorn",),
        keepers=("daphne", "granian-asgi", "gunicorn-asgi", "uvicorn"),
        expected="[3001]",
        wanted="`code` is 3001.",
        write=served(
            """
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        seen.append((await receive())["code"])
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr(seen).encode()})

seen = []
""",
            imports="import urllib.request\nfrom websockets.sync.client import connect",
            client="""\
with connect("ws://127.0.0.1:8000") as client:
    client.close(3001)
seen = "[]"
while seen == "[]":
    time.sleep(0.2)
    seen = urllib.request.urlopen("http://127.0.0.1:8000").read().decode()
print(seen)
""",
        ),
    ),
    Case(
        id="websocket-accept-headers",
        section=_SECTION,
        claim="`headers` of `websocket.accept` are not sent, although the scope has `spec_version` 2.3.",
        source="ASGI WebSocket, Accept; Spec Versions",
        link=f"{_WWW}#spec-versions",
        quote="`2.1`: Added the `headers` key to the WebSocket Accept response ... Spec versions let you understand "
        "what the server you are using understands.",
        breakers=("granian-asgi",),
        keepers=("gunicorn-asgi", "hypercorn", "uvicorn"),
        expected="x-name: value",
        wanted="The response of the handshake has the header `x-name`.",
        write=served(
            """
async def app(scope, receive, send):
    assert scope["type"] == "websocket" and scope["asgi"]["spec_version"] >= "2.1"
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-name", b"value")]})
    await send({"type": "websocket.close"})
""",
            imports="from websockets.sync.client import connect",
            client="""\
with connect("ws://127.0.0.1:8000") as client:
    print("x-name:", client.response.headers.get("x-name"))
""",
        ),
    ),
    Case(
        id="asgiref-keep-alive",
        section=_SECTION,
        claim="asgiref's `WsgiToAsgi` under uvicorn sends 500 for some requests of a kept connection. The application "
        "returns 200 for each.",
        source="ASGI HTTP, WSGI Compatibility",
        link=f"{_WWW}#wsgi-compatibility",
        quote="The `status` argument becomes `status`, with the reason phrase dropped.",
        breakers=("asgiref-uvicorn",),
        expected="[200]",
        wanted="Every response has the status 200.",
        write=served(
            """
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

app = WsgiToAsgi(wsgi)
""",
            imports="import http.client\nfrom asgiref.wsgi import WsgiToAsgi",
            client="""\
statuses = set()
client = http.client.HTTPConnection("127.0.0.1", 8000, timeout=10)
for _ in range(200):
    client.request("GET", "/")
    answer = client.getresponse()
    statuses.add(answer.status)
    answer.read()
print(sorted(statuses))
""",
        ),
    ),
)
