"""Servers of ASGI applications."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.preambles import SERVED

__all__ = ["CASES"]

_H2 = """\
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, TrailersReceived

SERVERS = {"granian": ASGI["granian"], "hypercorn": ASGI["hypercorn"],
           "gunicorn": [*ASGI["gunicorn"], "--http-protocols", "h2,h1", "--http2-cleartext", "both"]}

def fetch(address):
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/"),
                            ("x-first", "1")], end_stream=True)
    with socket.create_connection(address, 10) as connection:
        connection.sendall(client.data_to_send())
        body, trailers, ended = b"", [], False
        while not ended and (data := connection.recv(65536)):
            for event in client.receive_data(data):
                body += event.data if isinstance(event, DataReceived) else b""
                trailers += event.headers if isinstance(event, TrailersReceived) else []
                ended = ended or isinstance(event, StreamEnded)
            connection.sendall(client.data_to_send())
    return body, trailers

"""

CASES = (
    Case(
        id="ports-are-strings",
        rule="H11",
        claim="The ports in `client` and `server` are str.",
        source="ASGI HTTP, HTTP Connection Scope",
        quote="`port` is the remote port as an integer ... `port` is the integer listening port",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    seen = repr([scope.get("client"), scope.get("server")])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"seen: <" + seen.encode() + b">"})
'''

def look(ask):
    seen = eval(ask(get()).partition(b"seen: <")[2].partition(b">")[0])
    return "" if all(pair is None or type(pair[1]) is int for pair in seen) else repr(seen)

run(ASGI, APP, look)
""",
    ),
    Case(
        id="unix-socket",
        rule="H12",
        claim="On a unix socket, gunicorn's `server` has only the first two characters of the path; granian's has "
        "a port, '0'.",
        source="ASGI HTTP, HTTP Connection Scope",
        quote="Either a two-item iterable of `[host, port]` ... or `[path, None]` where `path` is that of the unix "
        "socket. Optional; if missing defaults to `None`.",
        breakers=("granian", "gunicorn"),
        preamble=SERVED,
        body="""\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"seen: <" + repr(scope.get("server")).encode() + b">"})
'''
PATH = os.path.join(tempfile.mkdtemp(), "s")
UNIX = {
    "daphne": ["-m", "daphne", "-u", PATH, "served:app"],
    "granian": ["-m", "granian", "--interface", "asgi", "--uds", PATH, "served:app"],
    "gunicorn": ["-m", "gunicorn", "-k", "asgi", "-b", f"unix:{PATH}", "--no-control-socket", "served:app"],
    "hypercorn": ["-m", "hypercorn", "-b", f"unix:{PATH}", "served:app"],
    "uvicorn": ["-m", "uvicorn", "--uds", PATH, "served:app"],
}

for name in sys.argv[1:] or UNIX:
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "served.py"), "w") as file:
        file.write(APP)
    with contextlib.suppress(OSError):
        os.unlink(PATH)
    server = subprocess.Popen([sys.executable, *UNIX[name]], cwd=folder, stdout=-3, stderr=-3)
    try:
        for _ in range(300):
            with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
                connection.connect(PATH)
                connection.sendall(get())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
                break
            time.sleep(0.1)
        seen = eval(answer.partition(b"seen: <")[2].partition(b">")[0])
    finally:
        server.terminate()
        server.wait(20)
    right = seen is None or tuple(seen) == (PATH, None)
    print(f"{name}: kept:" if right else f"{name}: broken: {seen} for PATH".replace(PATH, "PATH"), flush=True)
""",
    ),
    Case(
        id="transfer-encoding-of-the-application",
        rule="E13",
        claim="If the application sends Transfer-Encoding, the server sends it in addition to its own, instead of "
        "its own, or together with Content-Length; or the response fails.",
        source="ASGI HTTP, Response Start",
        quote="You may send a `Transfer-Encoding` header in this message, but the server must ignore it.",
        breakers=("daphne", "granian", "gunicorn", "hypercorn", "uvicorn"),
        preamble=SERVED,
        body="""\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"transfer-encoding", b"gzip" if scope["path"] == "/gzip" else b"chunked")]
    headers += [(b"content-length", b"5")] if scope["path"] == "/length" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})
'''

def look(ask):
    found = []
    for path in ("/gzip", "/length"):
        head, _, body = ask(get(path)).partition(b"\\r\\n\\r\\n")
        lines = [line.lower() for line in head.split(b"\\r\\n")]
        framing = [line for line in lines[1:] if line.startswith((b"transfer-encoding", b"content-length"))]
        wrong = b" 200" not in lines[0] or b"gzip" in head or len(framing) > 1
        if wrong or (b"chunked" in head) != (b"\\r\\n" in body):
            found.append(f"{path}: {lines[0]} {framing} {body}")
    return "; ".join(found)

run(ASGI, APP, look)
""",
    ),
    Case(
        id="headers-from-a-generator",
        rule="E26",
        claim="If the application gives its response headers as an iterable that can be read only once, they are lost.",
        source="ASGI HTTP, Response Start",
        quote="`headers` (*Iterable[[byte string, byte string]]*) -- An iterable of `[name, value]` two-item iterables",
        breakers=("daphne", "gunicorn"),
        preamble=SERVED,
        body="""\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = (pair for pair in [(b"x-name", b"value")])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x"})
'''

def look(ask):
    head = ask(get()).partition(b"\\r\\n\\r\\n")[0]
    return "" if b"x-name: value" in head.lower() else repr(head)

run(ASGI, APP, look)
""",
    ),
    Case(
        id="start-without-headers",
        rule="",
        claim="A start message without `headers` gives a 500.",
        source="ASGI HTTP, Response Start",
        quote="Header names must be lowercased. Optional; if missing defaults to an empty list.",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x"})
'''

def look(ask):
    line = ask(get()).split(b"\\r\\n")[0].decode()
    return "" if " 200" in line else line

run(ASGI, APP, look)
""",
    ),
    Case(
        id="open-after-an-exception",
        rule="C09",
        claim="If the application raises after the first part of its response, the connection stays open, and the "
        "client waits.",
        source="ASGI 3.0, Error Handling",
        quote="they must terminate the application instance and its associated connection if this happens.",
        breakers=("daphne",),
        preamble=SERVED,
        body="""\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise LookupError("found in the middle of the response")
'''

def look(ask):
    answer = ask(get(), 10)
    return "the connection is open after 10 seconds" if answer.endswith(b"<still open>") else ""

run(ASGI, APP, look)
""",
    ),
    Case(
        id="receive-after-the-response",
        rule="",
        claim="`receive` after a complete response does not return, because `http.disconnect` never comes.",
        source="ASGI HTTP, Disconnect",
        quote="Sent to the application if receive is called after a response has been sent or after the HTTP "
        "connection has been closed.",
        breakers=("gunicorn",),
        preamble=SERVED,
        body="""\
APP = '''
import asyncio
seen = []

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(seen).encode()})
    if scope["path"] == "/first":
        while (await receive())["type"] == "http.request":
            pass
        seen.append("http.disconnect")
'''

def look(ask):
    with socket.create_connection(ask.address, 10) as client:
        client.sendall(get("/first").replace(b"Connection: close\\r\\n", b""))
        client.recv(65536)
        time.sleep(5)  # the client stays; the response has been sent
        seen = ask(get("/second"))
    return "" if b"http.disconnect" in seen else "nothing came within 5 seconds of the response"

run(ASGI, APP, look)
""",
    ),
    Case(
        id="trailers-unasked",
        rule="X09",
        claim="Over HTTP/2, trailers are sent to a client that did not send `TE: trailers`.",
        source="ASGI extensions, HTTP Trailers",
        quote="The ASGI server will only send the trailing headers in case the client has sent the `TE: trailers` "
        "header in the request.",
        breakers=("gunicorn",),
        preamble=SERVED,
        body=_H2
        + """\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    if "http.response.trailers" not in (scope.get("extensions") or {}):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-end")], "trailers": True})
    await send({"type": "http.response.body"})
    await send({"type": "http.response.trailers", "headers": [(b"x-end", b"1")]})
'''

def look(ask):
    _, trailers = fetch(ask.address)
    return repr(trailers) if trailers else ""

run(SERVERS, APP, look)
""",
    ),
    Case(
        id="early-hint-after-the-start",
        rule="X06",
        claim="Over HTTP/2, if the extension is offered, an early hint after the start raises an error in the "
        "application; only an early hint before the start is accepted.",
        source="ASGI extensions, Early Hints",
        quote="This message can be sent at any time (and multiple times) after the *Response Start* message but before "
        "the final *Response Body* message.",
        breakers=("hypercorn",),
        preamble=SERVED,
        body=_H2
        + """\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        assert "http.response.early_hint" in scope["extensions"]
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
        found = "taken"
    except Exception as error:
        found = repr(error)
    await send({"type": "http.response.body", "body": found.encode()})
'''

def look(ask):
    found = fetch(ask.address)[0].decode()
    return "" if found == "taken" else found

run({"hypercorn": SERVERS["hypercorn"]}, APP, look)
""",
    ),
    Case(
        id="authority-not-at-the-start",
        rule="H10",
        claim="Over HTTP/2, the value of `:authority` is added as `host` at the end of the headers.",
        source="ASGI HTTP, HTTP Connection Scope",
        quote="if `:authority` is present its value must be added to the start of the iterable with `host` as the "
        "header name or replace any existing host header already present.",
        breakers=("gunicorn",),
        preamble=SERVED,
        body=_H2
        + """\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(list(scope["headers"])).encode()})
'''

def look(ask):
    headers = eval(fetch(ask.address)[0])
    return "" if tuple(headers[0]) == (b"host", b"a.example") else repr(headers)

run(SERVERS, APP, look)
""",
    ),
    Case(
        id="websocket-close-code",
        rule="W14",
        claim="The client closes a WebSocket with 3001; `code` of `websocket.disconnect` is 1006, which means that "
        "there was no close frame.",
        source="ASGI WebSocket, Disconnect",
        quote="`code` (*int*) -- The WebSocket close code, as per the WebSocket spec.",
        breakers=("hypercorn",),
        preamble=SERVED,
        body="""\
APP = '''
seen = []

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        seen.append((await receive())["code"])
        return
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(seen).encode()})
'''

def look(ask):
    from websockets.sync.client import connect

    with connect("ws://127.0.0.1:%d" % ask.address[1]) as client:
        client.close(3001, "done")
    time.sleep(2)
    seen = ask(get())
    return "" if b"[3001]" in seen else repr(seen.partition(b"\\r\\n\\r\\n")[2])

run(ASGI, APP, look)
""",
    ),
    Case(
        id="websocket-accept-headers",
        rule="",
        claim="`headers` of `websocket.accept` are not sent, although the scope has `spec_version` 2.3.",
        source="ASGI WebSocket, Accept; Spec Versions",
        quote="`2.1`: Added the `headers` key to the WebSocket Accept response ... Spec versions let you understand "
        "what the server you are using understands.",
        breakers=("granian",),
        preamble=SERVED,
        body="""\
APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    told = scope["asgi"].get("spec_version", "2.0")
    headers = {"headers": [(b"x-name", b"value")]} if told >= "2.1" else {}
    await send({"type": "websocket.accept"} | headers)
    await send({"type": "websocket.send", "text": told})
    await send({"type": "websocket.close"})
'''

def look(ask):
    from websockets.sync.client import connect

    with connect("ws://127.0.0.1:%d" % ask.address[1]) as client:
        told = client.recv()
        got = client.response.headers.get("x-name")
    return f"spec_version {told}, and no x-name" if told >= "2.1" and got is None else ""

run(ASGI, APP, look)
""",
    ),
    Case(
        id="asgiref-keep-alive",
        rule="",
        claim="asgiref's `WsgiToAsgi` under uvicorn sends 500 for some of the requests on a connection that is "
        "kept alive, although the application returns 200 for each.",
        source="ASGI HTTP, WSGI Compatibility",
        quote="The `status` argument becomes `status`, with the reason phrase dropped.",
        breakers=("asgiref",),
        preamble=SERVED,
        body="""\
import http.client

APP = '''
from asgiref.wsgi import WsgiToAsgi

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

app = WsgiToAsgi(wsgi)
'''

def look(ask):
    statuses, connection = [], None
    for _ in range(40):
        if connection is None or connection.sock is None:
            connection = http.client.HTTPConnection(*ask.address, timeout=30)
        connection.request("GET", "/")
        answer = connection.getresponse()
        statuses.append((answer.status, answer.read())[0])
    return f"{statuses.count(500)} of {len(statuses)} answers are 500" if 500 in statuses else ""

run({"asgiref": [*ASGI["uvicorn"], "--lifespan", "off"]}, APP, look)
""",
    ),
)
