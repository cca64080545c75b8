"""What the reproductions begin with: a call of an adapter as a server makes it, and a server that is started."""

from __future__ import annotations

from tests.evidence.field.case import Preamble

__all__ = ["ALONE", "ASGI_UNDER_WSGI", "SERVED", "WSGI_UNDER_ASGI"]

WSGI_UNDER_ASGI = Preamble(
    "WSGI applications served as ASGI",
    "Each adapter is called like an ASGI server calls an application, without code of this project.",
    '''\
import asyncio, os, sys, warnings

warnings.simplefilter("ignore")  # some of them are deprecated
from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from hypercorn.middleware import AsyncioWSGIMiddleware
from starlette.middleware.wsgi import WSGIMiddleware as StarletteMiddleware
from uvicorn.middleware.wsgi import _WSGIMiddleware as UvicornMiddleware

ADAPTERS = {"a2wsgi": WSGIMiddleware, "asgiref": WsgiToAsgi, "hypercorn": AsyncioWSGIMiddleware,
            "starlette": StarletteMiddleware, "uvicorn": UvicornMiddleware}
SCOPE = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
         "path": "/", "query_string": b"", "root_path": "", "headers": [], "client": ("127.0.0.1", 50000),
         "server": ("127.0.0.1", 80)}

def call(adapter, app, scope=SCOPE, body=b"", leaves=False):
    """Call the adapted application; return the messages that it sent, and what it raised."""
    sent, raised = [], []

    async def main():
        left = asyncio.Event()
        events = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            if not events:
                await left.wait()
                return {"type": "http.disconnect"}
            return events.pop()

        async def send(message):
            sent.append(message)
            if leaves and len(sent) > 3:
                left.set()
                raise OSError("the client has left")

        try:
            await asyncio.wait_for(adapter(app)(scope, receive, send), 10)
        except Exception as error:
            raised.append(error)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    return sent, raised

def run(look):
    for name in sys.argv[1:] or ADAPTERS:
        found = look(ADAPTERS[name])
        print(f"{name}: broken: {found}" if found else f"{name}: kept:", flush=True)
    os._exit(0)  # whatever thread still waits
''',
)

ASGI_UNDER_WSGI = Preamble(
    "ASGI applications served as WSGI",
    "The adapter is called like a WSGI server calls an application.",
    '''\
import asyncio, io, os, sys, threading

from a2wsgi import ASGIMiddleware

ADAPTERS = {"a2wsgi": ASGIMiddleware}

def call(adapter, app):
    """Call the adapted application; return its iterable and what it gave to start_response."""
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "h",
               "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
               "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.multithread": True,
               "wsgi.multiprocess": False, "wsgi.run_once": False}
    started = []
    return adapter(app)(environ, lambda *given: started.append(given)), started

def run(look):
    for name in sys.argv[1:] or ADAPTERS:
        found = look(ADAPTERS[name])
        print(f"{name}: broken: {found}" if found else f"{name}: kept:", flush=True)
    os._exit(0)  # whatever thread still waits
''',
)

SERVED = Preamble(
    "Servers",
    "Each server is started with its own command and its defaults; a client writes bytes to a socket and "
    "reads the response.",
    '''\
import contextlib, json, os, socket, subprocess, sys, tempfile, time

WSGI = {
    "cheroot": ["-m", "cheroot", "--bind", "127.0.0.1:{port}", "served:app"],
    "gevent": ["-c", "from gevent.pywsgi import WSGIServer; from served import app; "
                     "WSGIServer(('127.0.0.1', {port}), app).serve_forever()"],
    "granian": ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "served:app"],
    "gunicorn": ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket", "served:app"],
    "pyuwsgi": ["-c", "import pyuwsgi; pyuwsgi.run(['--http-socket', '127.0.0.1:{port}', '--module', 'served:app', "
                      "'--master', '--need-app', '--die-on-term'])"],
    "waitress": ["-m", "waitress", "--listen", "127.0.0.1:{port}", "served:app"],
    "werkzeug": ["-c", "from werkzeug.serving import make_server; from served import app; "
                       "make_server('127.0.0.1', {port}, app, threaded=True).serve_forever()"],
    "wsgiref": ["-c", "from wsgiref.simple_server import make_server; from served import app; "
                      "make_server('127.0.0.1', {port}, app).serve_forever()"],
}
ASGI = {
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "served:app"],
    "granian": ["-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "served:app"],
    "gunicorn": ["-m", "gunicorn", "-k", "asgi", "-b", "127.0.0.1:{port}", "--no-control-socket", "served:app"],
    "hypercorn": ["-m", "hypercorn", "-b", "127.0.0.1:{port}", "served:app"],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "served:app"],
}

@contextlib.contextmanager
def serve(command, code):
    """Start a server with the application in code; give a function that sends bytes and returns all that comes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "served.py"), "w") as file:
        file.write(code)
    argv = [sys.executable, *(word.replace("{port}", str(address[1])) for word in command)]
    server = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(request, seconds=8):
        answer = b""
        with socket.create_connection(address, seconds) as connection:
            connection.sendall(request)
            try:
                while data := connection.recv(65536):
                    answer += data
            except TimeoutError:
                answer += b"<still open>"
            except OSError:
                answer += b"<reset>"
        return answer

    ask.address = address
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                socket.create_connection(address, 1).close()
                break
            time.sleep(0.1)
        yield ask
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()

def get(path="/", lines="", method="GET", body=b""):
    return f"{method} {path} HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n{lines}\\r\\n".encode("latin-1") + body

def run(servers, code, look, asgi=None):
    """Look at servers with the application in code; where asgi is given, at the ASGI servers with that one, too."""
    commands = {name: (command, code) for name, command in servers.items()}
    if asgi:
        commands |= {f"{name} asgi" if name in servers else name: (ASGI[name], asgi) for name in ASGI}
    for name in sys.argv[1:] or commands:
        with serve(*commands[name]) as ask:
            found = look(ask)
        print(f"{name}: broken: {found}" if found else f"{name}: kept:", flush=True)
''',
)

ALONE = Preamble(
    "Frameworks and middleware",
    "Each program stands alone.",
    '''\
import os, sys

def run(looks):
    """Look at each package that is installed."""
    for name in sys.argv[1:] or looks:
        try:
            found = looks[name]()
        except ImportError:
            continue
        print(f"{name}: broken: {found}" if found else f"{name}: kept:", flush=True)
    os._exit(0)  # whatever thread still waits
''',
)
