"""The meaning of each finding of the survey: the case that shows it, or the reason why it is not a violation.

The survey applies the rules of this project. This module says, by hand, if a specification has the same rule.
"""

from __future__ import annotations

__all__ = ["NOT_COUNTED", "explanation"]

_HEAD = "a body for HEAD: the server drops it, and an application is allowed to rely on this"
_CLOSED = "case `close`"
_SHOULD_REJECT = 'an unknown scope type is accepted: "applications should actively reject any protocol" is not a must'
_SHOULD_STOP = "more bytes than the application's Content-Length: PEP 3333 says should not"
_RSGI_VERSION = "as for granian-asgi: granian gives HTTP/1.0 as '1'"
_RSGI_WEBSOCKET = "RSGI has no subprotocols, no headers of an accept and no close codes"
_NO_500 = "if the application raises, the connection is closed without a response: a 500 is common, but not required"
_SHOULD_RAISE = 'an invalid message does not raise: "it should raise an exception" is not a must'

#: By name and finding, or by finding alone where it means the same for all.
_EXPLAINED: dict[tuple[str, str], str] = {
    ("", "E20"): _HEAD,
    ("", "P10"): _HEAD,
    ("", "C06"): _SHOULD_RAISE,
    ("", "C08"): _SHOULD_REJECT,
    ("", "H11"): "case `ports-are-strings`",
    ("", "H12"): "case `ports-are-strings`",
    ("", "V05"): "case `server-port-int`",
    ("", "P39"): "case `no-write`",
    ("", "V28"): _CLOSED,
    ("", "E09"): "case `header-names`",
    ("", "E13"): "case `transfer-encoding-gzip`",
    ("", "P44"): _SHOULD_STOP,
    ("", "P70"): _SHOULD_STOP,
    ("", "P71"): "a body that is too short leaves the connection open: PEP 3333 says that the server *should* close it",
    ("", "P66"): "case `no-date`",
    ("", "N01"): "case `chunked-to-http-1.0`",
    ("", "N06"): "case `content-for-head`",
    ("", "N07"): "case `length-of-204`",
    ("", "W24"): "case `websocket-close-code`",
    ("granian-asgi", "H01"): "case `http-version`",
    ("granian-asgi", "H20"): "case `http-version`",
    ("granian-wsgi", "P73"): "case `server-protocol`",
    ("granian-rsgi", "H01"): _RSGI_VERSION,
    ("granian-rsgi", "H20"): _RSGI_VERSION,
    ("granian-rsgi", "W19"): _RSGI_WEBSOCKET,
    ("granian-rsgi", "W20"): _RSGI_WEBSOCKET,
    ("granian-rsgi", "W24"): _RSGI_WEBSOCKET,
    ("granian-rsgi", "W26"): _RSGI_WEBSOCKET,
    ("pyuwsgi", "N05"): _NO_500,
    ("", "P69"): "case `headers-with-an-empty-block`",
    ("granian-asgi", "W20"): "case `websocket-accept-headers`",
    ("daphne", "W20"): "the headers of `websocket.accept` are not sent: the scope has no `spec_version`, so the "
    "server claims 2.0, which does not contain them",
    ("daphne", "W23"): 'the WebSocket stays open after the application raised: "the socket should be closed" is not '
    "a must",
    ("pyuwsgi", "P42"): "case `body-of-an-error-page`",
    ("werkzeug", "P62"): "the server sends `100 Continue` twice, which RFC 9110 15.2 allows",
    ("werkzeug", "V05"): "REMOTE_PORT is an int: RFC 3875 does not define this variable",
    ("asgiref WsgiToAsgi", "not-closed"): _CLOSED,
    ("starlette WSGIMiddleware", "not-closed"): _CLOSED,
    ("uvicorn WSGIMiddleware", "not-closed"): _CLOSED,
    ("a2wsgi WSGIMiddleware", "not-closed"): "case `close-when-the-client-leaves`",
    (
        "a2wsgi WSGIMiddleware",
        "left-behind",
    ): "threads that wait for ever after the client has disconnected: no specification covers this",
    (
        "a2wsgi ASGIMiddleware",
        "differs",
    ): "a chunked body is dropped: PEP 3333 has no body without CONTENT_LENGTH, and does not contain "
    "`wsgi.input_terminated`",
    (
        "a2wsgi ASGIMiddleware",
        "P03",
    ): "the application returned without a response, which is allowed after the client has disconnected",
    (
        "a2wsgi ASGIMiddleware",
        "swallowed",
    ): "if the application raises after the first part, the exception is sometimes lost, and the response looks "
    "complete: it depends on which thread is first, so no program shows it every time",
    ("hypercorn AsyncioWSGIMiddleware", "E06"): "case `empty-response`",
    ("hypercorn AsyncioWSGIMiddleware", "raises"): "case `empty-response`",
    ("hypercorn AsyncioWSGIMiddleware", "differs"): "case `empty-response`",
    (
        "baize (WSGI)",
        "P03",
    ): "no `start_response` after the client has disconnected: literally, an iterable that yields nothing does "
    "not need it",
    ("BlackSheep", "E13"): 'a Transfer-Encoding header: "you may send" one',
    ("connexion (FlaskApp)", "left-behind"): "the threads of a2wsgi's pool: no specification covers this",
    (
        "Sanic (ASGI mode)",
        "E06",
    ): "a second start after `send` raised OSError: only our interpretation counts the first one",
    ("cheroot", "V07"): "case `input-without-iteration`",
    ("cheroot", "differs"): "case `repeated-header`",
    (
        "granian-wsgi",
        "differs",
    ): 'a request header with a non-ASCII byte becomes "": RFC 9110 5.5 only says that such bytes should be '
    "opaque data",
    (
        "granian-rsgi",
        "differs",
    ): "a request header with a non-ASCII byte is lost: as for granian-wsgi; the RSGI specification does not "
    "cover this",
    (
        "granian-wsgi",
        "swallowed",
    ): "if the application raises within the body, the response looks complete: PEP 3333 lets the server decide",
    ("pyuwsgi", "other"): _NO_500,
    ("Werkzeug debugger", "P01"): "case `debugged-application`",
    ("Werkzeug debugger", "P05"): "case `debugged-application`",
    ("Werkzeug debugger", "swallowed"): "case `debugged-application`",
    ("Werkzeug lint", "V07"): "case `lint-without-readlines`",
    ("Werkzeug profiler", "P21"): "case `profiler-joins-blocks`",
    (
        "Werkzeug profiler",
        "not-closed",
    ): "case `profiler-joins-blocks`: the iterable is not closed either if the application raises while the "
    "iterable is read",
}

#: Observations and reports that are not cases, each with the reason.
NOT_COUNTED = (
    "granian 2.8.7 returned lines of `wsgi.input` without their end: fixed in 2.8.9.",
    "uvicorn's `WSGIMiddleware` is that of a2wsgi if a2wsgi is installed. An earlier version of this page counted "
    "violations of the class that replaces it otherwise; that class and Starlette's are deprecated, and are not "
    "counted now.",
    "uvicorn with h11 refuses a request without Host or with two, and sends no chunks to HTTP/1.0. An earlier version "
    "of this page did not name the parser.",
    "Werkzeug's server sends `100 Continue` twice: RFC 9110 15.2 says that a client must be able to parse several.",
    "pyuwsgi does not send `100 Continue` and waits for the body: PEP 3333 allows this, and advises against it.",
    "A report says that gunicorn's ASGI worker sets `http_version` to 2.0 over HTTP/2: not reproduced with "
    "gunicorn 27.0.1, which sets 2.",
    "hypercorn's `WSGIWrapper`, called alone, joins the Cookie headers of HTTP/2 with a comma (case "
    "`cookies-of-http-2`); under hypercorn 0.18.0 itself, the library h2 has already joined them correctly.",
    "uvicorn and granian raise RuntimeError, hypercorn UnexpectedMessageError, from `send` after the last "
    'body message. "Any further messages on the channel will be ignored", but the application should not '
    "send them.",
    "daphne and granian group response headers of the same name: `set-cookie`, `x-a`, `set-cookie` arrive as "
    '`set-cookie`, `set-cookie`, `x-a`. "Order must be preserved" may mean only the values of one name, as '
    "for requests.",
    "daphne and hypercorn send `http.disconnect` once, and a second `receive` waits: both interpretations of "
    "the specification are possible.",
    "daphne has no lifespan and no `state`: the lifespan protocol is a separate specification, and `state` "
    "is optional.",
    "a2wsgi and others do not raise for a second `start_response` without `exc_info`: the sentence that "
    "calls it a fatal error is a rule for applications.",
    "a2wsgi's `ASGIMiddleware` blocks its thread for ever if the application returns without a response: "
    "this is a mistake of the application (E19), and no sentence says how a server must handle it.",
    "a2wsgi's `ASGIMiddleware` sends endless empty `http.request` messages if the body ends before its "
    "Content-Length: no sentence says how a server must handle such a body.",
    "If a WSGI application sends more than its Content-Length, most adapters and some servers pass the extra "
    "bytes on: PEP 3333 says should not.",
    "Under wsgiref, Werkzeug's server and cheroot, a read of `wsgi.input` beyond the body waits for the "
    "client: PEP 3333 says that a server should simulate the end of the file.",
    "Werkzeug's server sets REMOTE_PORT to an int: PEP 3333 requires str for variables that CGI defines, and "
    "RFC 3875 does not define this one.",
    "wsgiref sets CONTENT_TYPE to text/plain for a request without Content-Type: RFC 3875 4.1.3 says that it "
    "should be omitted.",
    "wsgiref sets `wsgi.multithread` to False in a threading server, too: a subclass adds the threads, and "
    "PEP 3333 says should.",
    "gunicorn over HTTP/2 sets an `HTTP_VERSION` without such a header: PEP 3333 says that the presence of "
    "such a variable should correspond with the header's.",
    "Headers with an underscore become the same variable as headers with a dash (cheroot, granian, pyuwsgi, "
    "wsgiref, all adapters): dangerous, but no specification forbids it.",
    "A client's `Proxy` header becomes HTTP_PROXY (all adapters): CVE-2016-5385, but no specification forbids it.",
    "Most WSGI servers join two Cookie headers of an HTTP/1.1 request with a comma: RFC 6265 5.4 does not "
    "allow a client to send two.",
    "asgiref, Starlette, uvicorn and others raise for a lifespan or websocket scope that they do not "
    "support: this is correct.",
    "WebOb, and so Pyramid, treat a `read(n)` that returns fewer than n bytes as a disconnect: this is a "
    "possible interpretation of the Python Library Reference.",
    "hypercorn with two workers drops requests when it stops (reproduced with 0.18.0; D06): no specification "
    "covers stopping.",
    "daphne, waitress, cheroot and uWSGI drop running requests on SIGTERM: no specification covers this (D07).",
    "This page does not cover socketify, fastpysgi, bjoern, h2corn, mod_wsgi, twisted, tornado, eventlet and "
    "NGINX Unit.",
)


def explanation(name: str, finding: str) -> str | None:
    """Return what a finding means, or None where nobody has judged it yet."""
    return _EXPLAINED.get((name, finding)) or _EXPLAINED.get(("", finding))
