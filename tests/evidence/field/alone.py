"""Violations by frameworks and middleware."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.programs import alone, called

__all__ = ["CASES"]

_SECTION = "Frameworks and middleware"
_PEP = "https://peps.python.org/pep-3333/"

_DJANGO = """\
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("hello"))]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
app = get_asgi_application()
"""
_FALCON = """\
import falcon.asgi

class Index:
    async def on_get(self, request, response):
        response.text = "hello"

app = falcon.asgi.App()
app.add_route("/", Index())
"""
_STARLETTE = """\
from starlette.responses import PlainTextResponse

app = PlainTextResponse("hello")
"""
_CALL = """\
SCOPE = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
         "method": "GET", "scheme": "http", "path": "/", "raw_path": b"/",
         "root_path": "", "query_string": b"", "headers": [],
         "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 80)}
requests = [{"type": "http.request", "body": b""}]

async def receive():
    return requests.pop() if requests else await asyncio.Event().wait()

async def send(message):
    if message["type"] == "http.response.start":
        names = [name.decode() for name, value in message["headers"]]
        print([name for name in names if name != name.lower()])

asyncio.run(app(SCOPE, receive, send))
"""
_APPS = {"django": _DJANGO, "falcon": _FALCON, "starlette-app": _STARLETTE}


def _header_names(name: str) -> str:
    return f"import asyncio\n{_APPS[name]}\n{_CALL}"


CASES = (
    Case(
        id="header-names",
        section=_SECTION,
        rule="E09",
        claim="Response header names are sent in the spelling of the code: `Content-Type`.",
        source="ASGI HTTP, Response Start",
        link="https://asgi.readthedocs.io/en/latest/specs/www.html#response-start-send-event",
        quote="Header names must be lowercased.",
        breakers=("django",),
        keepers=("falcon", "starlette-app"),
        expected="[]",
        wanted="No name has a capital letter.",
        write=_header_names,
    ),
    Case(
        id="debugged-application",
        section=_SECTION,
        rule="P01",
        claim="`DebuggedApplication` calls `start_response` again without `exc_info` if the application raises in its "
        "response. A server that does not raise then sends the error page after the first part.",
        source="PEP 3333, The start_response() Callable",
        link=f"{_PEP}#the-start-response-callable",
        quote="it is a fatal error to call `start_response` without the `exc_info` argument if `start_response` has "
        "already been called within the current invocation of the application.",
        breakers=("werkzeug-middleware",),
        expected="1 calls of start_response",
        also=("a second call with exc_info",),
        wanted="No second call, or a second call with `exc_info`.",
        write=called(
            "from werkzeug.debug import DebuggedApplication",
            """
def app(environ, start_response):
    start_response("200 OK", [])
    yield b"begun"
    raise LookupError
""",
            "DebuggedApplication(app, pin_security=False)",
            """\
for block in body:
    pass
again = "a second call with exc_info" if started[-1][1] else "a second call without exc_info"
print(again if len(started) > 1 else "1 calls of start_response")
""",
        ),
    ),
    Case(
        id="profiler-joins-blocks",
        section=_SECTION,
        rule="P21",
        claim="`ProfilerMiddleware` reads every block of the application before it yields one.",
        source="PEP 3333, Middleware Handling of Block Boundaries",
        link=f"{_PEP}#middleware-handling-of-block-boundaries",
        quote="a middleware component **must yield at least one value** each time its underlying application yields a "
        "value.",
        breakers=("werkzeug-middleware",),
        expected="1 of 3 blocks were read for the first one",
        wanted="One block of the application is read for the first block.",
        write=called(
            "from werkzeug.middleware.profiler import ProfilerMiddleware",
            """
def app(environ, start_response):
    start_response("200 OK", [])
    for block in (b"one", b"two", b"three"):
        read.append(block)
        yield block

read = []
""",
            "ProfilerMiddleware(app, stream=io.StringIO())",
            """\
next(iter(body))
print(len(read), "of 3 blocks were read for the first one")
""",
        ),
    ),
    Case(
        id="lint-without-readlines",
        section=_SECTION,
        rule="V07",
        claim="`wsgi.input` inside `LintMiddleware` has no `readlines`.",
        source="PEP 3333, Input and Error Streams",
        link=f"{_PEP}#input-and-error-streams",
        quote="The methods listed in the table above **must** be supported by all servers conforming to this "
        "specification.",
        breakers=("werkzeug-middleware",),
        expected="readlines: True",
        wanted="`wsgi.input` has `readlines`.",
        write=called(
            "from werkzeug.middleware.lint import LintMiddleware",
            """
def app(environ, start_response):
    print("readlines:", hasattr(environ["wsgi.input"], "readlines"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
""",
            "LintMiddleware(app)",
            "",
        ),
    ),
    Case(
        id="close-before-the-first-block",
        section=_SECTION,
        rule="V28",
        claim="If the client disconnects and the server closes before it has read the first block, `close()` of "
        "the application's iterable is not called.",
        source="PEP 3333, Specification Details",
        link=f"{_PEP}#specification-details",
        quote="If the iterable returned by the application has a `close()` method, the server or gateway **must** call "
        "that method upon completion of the current request, whether the request was completed normally, or terminated "
        "early",
        breakers=("opentelemetry",),
        expected="closed 1 times",
        wanted="`close()` of the application's iterable was called once.",
        write=called(
            "from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware",
            """
class Body(list):
    closed = 0

    def close(self):
        self.closed += 1

def app(environ, start_response):
    start_response("200 OK", [])
    return inner

inner = Body([b"x"])
""",
            "OpenTelemetryMiddleware(app)",
            """\
body.close()
print(f"closed {inner.closed} times")
""",
        ),
    ),
    Case(
        id="state-is-copied-deeply",
        section=_SECTION,
        rule="H13",
        claim="`ProxyFixMiddleware` copies the objects in the lifespan's `state` for every request. It makes a deep "
        "copy of the scope; an object that cannot be copied, such as a lock or a pool with a lock, raises "
        "TypeError.",
        source="ASGI lifespan, Lifespan State",
        link="https://asgi.readthedocs.io/en/latest/specs/lifespan.html#lifespan-state",
        quote="The server will ensure that a *shallow copy* of the namespace is passed into each subsequent "
        "request/response call into the application.",
        breakers=("hypercorn-middleware",),
        expected="the same object",
        wanted="The application gets the object that is in the state.",
        write=alone("""\
import asyncio, threading
from hypercorn.middleware import ProxyFixMiddleware

async def app(scope, receive, send):
    print("the same object" if scope["state"]["lock"] is lock else "another object")

lock = threading.Lock()
scope = {"type": "http", "headers": [], "state": {"lock": lock}}
try:
    asyncio.run(ProxyFixMiddleware(app)(scope, None, None))
except TypeError as error:
    print(repr(error))
"""),
    ),
)
