"""Frameworks and middleware."""

from __future__ import annotations

from tests.evidence.field.case import Case
from tests.evidence.field.preambles import ALONE

__all__ = ["CASES"]

_CALL_WSGI = """\
def call(app):
    \"\"\"Call a WSGI application as a server does that has sent the first block when it asks for the second.\"\"\"
    import io

    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "h",
               "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
               "wsgi.input": io.BytesIO(b"line\\n"), "wsgi.errors": io.StringIO(), "wsgi.multithread": False,
               "wsgi.multiprocess": False, "wsgi.run_once": False, "CONTENT_LENGTH": "5"}
    started = []

    def start_response(status, headers, exc_info=None):
        started.append((status, exc_info))
        return lambda data: None

    return app(environ, start_response), started

"""

CASES = (
    Case(
        id="header-names",
        rule="E09",
        claim="Response header names are sent in the spelling of the code: `Content-Type`.",
        source="ASGI HTTP, Response Start",
        quote="Header names must be lowercased.",
        breakers=("Django",),
        preamble=ALONE,
        body='''\
import asyncio

SCOPE = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "OPTIONS", "scheme": "http",
         "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [(b"host", b"localhost")],
         "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 80)}

def names(app):
    """Return the names of the response headers that are not lowercased."""
    sent, events = [], [{"type": "http.request", "body": b"", "more_body": False}]

    async def main():
        async def receive():
            if not events:
                await asyncio.sleep(60)
            return events.pop()

        async def send(message):
            sent.append(message)

        await app(SCOPE, receive, send)

    asyncio.run(main())
    found = [bytes(name) for name, value in sent[0]["headers"] if name != name.lower()]
    return repr(found) if found else ""

def django():
    import types
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.urls import path

    urls = types.ModuleType("urls")
    urls.urlpatterns = [path("", lambda request: HttpResponse("hello"))]
    settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"])
    return names(get_asgi_application())

def falcon():
    import falcon.asgi

    return names(falcon.asgi.App())

def starlette():
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    return names(Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))]))

run({"Django": django, "falcon": falcon, "starlette": starlette})
''',
    ),
    Case(
        id="debugged-application",
        rule="P01",
        claim="If the application raises in the middle of its response, `DebuggedApplication` calls "
        "`start_response` a second time, without `exc_info`. A server that does not raise then sends the "
        "error page after the first part.",
        source="PEP 3333, The start_response() Callable",
        quote="it is a fatal error to call `start_response` without the `exc_info` argument if `start_response` has "
        "already been called within the current invocation of the application.",
        breakers=("Werkzeug",),
        preamble=ALONE,
        body=_CALL_WSGI
        + """\
def werkzeug():
    from werkzeug.debug import DebuggedApplication

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"begun"
        raise LookupError("found in the middle of the body")

    body, started = call(DebuggedApplication(app, pin_security=False))
    for block in body:
        pass
    again = [status for status, exc_info in started[1:] if not exc_info]
    return f"start_response was called again with {again}" if again else ""

run({"Werkzeug": werkzeug})
""",
    ),
    Case(
        id="profiler-joins-blocks",
        rule="P21",
        claim="`ProfilerMiddleware` reads every block of the application before it yields one.",
        source="PEP 3333, Middleware Handling of Block Boundaries",
        quote="a middleware component **must yield at least one value** each time its underlying application yields a "
        "value.",
        breakers=("Werkzeug",),
        preamble=ALONE,
        body=_CALL_WSGI
        + """\
def werkzeug():
    import io
    from werkzeug.middleware.profiler import ProfilerMiddleware

    def app(environ, start_response):
        start_response("200 OK", [])
        for block in (b"one", b"two", b"three"):
            yielded.append(block)
            yield block

    yielded = []
    body, started = call(ProfilerMiddleware(app, stream=io.StringIO()))
    first = next(iter(body))
    return f"{len(yielded)} blocks were taken for the first one, {first}" if len(yielded) > 1 else ""

run({"Werkzeug": werkzeug})
""",
    ),
    Case(
        id="lint-without-readlines",
        rule="V07",
        claim="`wsgi.input` inside `LintMiddleware` has no `readlines`.",
        source="PEP 3333, Input and Error Streams",
        quote="The methods listed in the table above **must** be supported by all servers conforming to this "
        "specification.",
        breakers=("Werkzeug",),
        preamble=ALONE,
        body=_CALL_WSGI
        + """\
def werkzeug():
    from werkzeug.middleware.lint import LintMiddleware

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        missing.extend(name for name in ("read", "readline", "readlines", "__iter__") if not hasattr(stream, name))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    missing = []
    call(LintMiddleware(app))
    return f"missing: {missing}" if missing else ""

run({"Werkzeug": werkzeug})
""",
    ),
    Case(
        id="close-before-the-first-block",
        rule="V28",
        claim="If the client disconnects and the server closes before it has read the first block, `close()` of "
        "the application's iterable is not called.",
        source="PEP 3333, Specification Details",
        quote="If the iterable returned by the application has a `close()` method, the server or gateway **must** call "
        "that method upon completion of the current request, whether the request was completed normally, or terminated "
        "early",
        breakers=("opentelemetry-instrumentation-wsgi",),
        preamble=ALONE,
        body=_CALL_WSGI
        + """\
def opentelemetry():
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    class Body(list):
        closed = 0

        def close(self):
            self.closed += 1

    def app(environ, start_response):
        start_response("200 OK", [])
        return inner

    inner = Body([b"x"])
    body, started = call(OpenTelemetryMiddleware(app))
    body.close()
    return "" if inner.closed else "close() of the inner iterable was not called"

run({"opentelemetry-instrumentation-wsgi": opentelemetry})
""",
    ),
    Case(
        id="state-is-copied-deeply",
        rule="H13",
        claim="`ProxyFixMiddleware` makes a deep copy of the scope, so that every request gets copies of the "
        "objects in the lifespan's `state`. An object that cannot be copied, such as a lock or a pool with a "
        "lock, raises TypeError.",
        source="ASGI lifespan, Lifespan State",
        quote="The server will ensure that a *shallow copy* of the namespace is passed into each subsequent "
        "request/response call into the application.",
        breakers=("Hypercorn",),
        preamble=ALONE,
        body="""\
import asyncio, threading

def hypercorn():
    from hypercorn.middleware import ProxyFixMiddleware

    async def app(scope, receive, send):
        seen.append(scope["state"]["pool"])

    seen, pool = [], {"lock": threading.Lock()}
    scope = {"type": "http", "headers": [], "state": {"pool": pool}}
    try:
        asyncio.run(ProxyFixMiddleware(app)(scope, None, None))
    except TypeError as error:
        return repr(error)
    return "" if seen[0] is pool else "another object"

run({"Hypercorn": hypercorn})
""",
    ),
)
