"""Reproductions: programs that need nothing of this project. Each prints ``broken: ...`` or ``kept: ...``.

They stand in the report as they are here, so that whoever reads it can paste and run them.
"""

from __future__ import annotations

__all__ = ["A2WSGI_COOKIES", "A2WSGI_READLINE", "A2WSGI_TWICE", "ASGIREF_KEEP_ALIVE", "GUNICORN_UNIX"]

_A2WSGI = """\
import asyncio
from a2wsgi import WSGIMiddleware

found = []
{app}
scope = {{"type": "http", "asgi": {{"version": "3.0"}}, "http_version": "1.1", "method": "POST", "scheme": "http",
         "path": "/", "query_string": b"", "root_path": "", "headers": {headers}, "server": ("a", 80)}}

async def main():
    async def receive():
        if sent:
            await asyncio.sleep(60)
        sent.append(1)
        return {{"type": "http.request", "body": b"a\\nb\\n", "more_body": False}}

    async def send(message):
        pass

    sent = []
    try:
        await WSGIMiddleware(app)(scope, receive, send)
    except ValueError:
        pass

asyncio.run(main())
print("kept: " if found == {wanted} else "broken: ", found)
"""

A2WSGI_READLINE = _A2WSGI.format(
    app="""
def app(environ, start_response):
    found.append(environ["wsgi.input"].readline(100))
    start_response("200 OK", [])
    return [b""]
""",
    headers='[(b"content-length", b"4")]',
    wanted='[b"a\\n"]',
)

A2WSGI_TWICE = _A2WSGI.format(
    app="""
def app(environ, start_response):
    start_response("200 OK", [])
    try:
        start_response("200 OK", [])
        found.append("a second start_response was taken")
    except Exception:
        pass
    return [b""]
""",
    headers="[]",
    wanted="[]",
)

A2WSGI_COOKIES = _A2WSGI.format(
    app="""
def app(environ, start_response):
    found.append(environ["HTTP_COOKIE"])
    start_response("200 OK", [])
    return [b""]
""",
    headers='[(b"cookie", b"a=1"), (b"cookie", b"b=2")]',
    wanted='["a=1; b=2"]',
).replace('"http_version": "1.1"', '"http_version": "2"')

_SERVED = """\
import http.client, os, socket, subprocess, sys, tempfile, time

os.chdir(tempfile.mkdtemp())
open("served.py", "w").write('''{app}''')
server = subprocess.Popen([sys.executable, "-m", {arguments}], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    def connect():
        for _ in range(300):
            connection = http.client.HTTPConnection("localhost", timeout=30)
            connection.sock = socket.socket(socket.AF_UNIX)
            try:
                connection.sock.connect("s")
                return connection
            except OSError:
                time.sleep(0.1)

    found = []
    connection = connect()
    for _ in range({requests}):
        connection = connection if connection.sock else connect()
        connection.request("GET", "/")
        answer = connection.getresponse()
        found.append((answer.status, answer.read().decode()))
    found = sorted(set(found))
finally:
    server.terminate()
    server.wait()
print("kept: " if found == {wanted} else "broken: ", found)
"""

GUNICORN_UNIX = _SERVED.format(
    app="""
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(scope["server"]).encode()})
""",
    arguments='"gunicorn", "-k", "asgi", "-b", "unix:" + os.path.abspath("s"), "--no-control-socket", "served:app"',
    requests=1,
    wanted='[(200, repr((os.path.abspath("s"), None)))]',
)

ASGIREF_KEEP_ALIVE = _SERVED.format(
    app="""
from asgiref.wsgi import WsgiToAsgi

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

app = WsgiToAsgi(wsgi)
""",
    arguments='"uvicorn", "--uds", "s", "--lifespan", "off", "served:app"',
    requests=40,
    wanted='[(200, "ok")]',
)
