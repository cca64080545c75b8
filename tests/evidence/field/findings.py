"""What the survey finds and what it means: the case that shows it, or the reason why it is no violation.

The survey knows what the rules of this project say; whether a specification says so, too, is judged here by hand.
"""

from __future__ import annotations

__all__ = ["NOT_COUNTED", "explanation"]

_HEAD = "a body for HEAD: the server drops it, and nothing forbids an application to leave that to the server"
_CLOSED = "case `close`"
_SHOULD_REJECT = 'an unknown scope type is accepted: "applications should actively reject any protocol" is no must'
_SHOULD_RAISE = 'an invalid message is taken in silence: "it should raise an exception" is no must'

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
    ("asgiref WsgiToAsgi", "not-closed"): _CLOSED,
    ("starlette WSGIMiddleware", "not-closed"): _CLOSED,
    ("uvicorn WSGIMiddleware", "not-closed"): _CLOSED,
    ("a2wsgi WSGIMiddleware", "not-closed"): "case `close-when-the-client-leaves`",
    ("a2wsgi WSGIMiddleware", "left-behind"): "threads that wait for ever after the client has left: no specification "
    "speaks of it",
    (
        "a2wsgi ASGIMiddleware",
        "differs",
    ): "a chunked body is dropped: PEP 3333 knows no body without CONTENT_LENGTH, and "
    "`wsgi.input_terminated` is no part of it",
    ("a2wsgi ASGIMiddleware", "P03"): "the application returned without an answer, as it may when the client has left",
    ("hypercorn AsyncioWSGIMiddleware", "E06"): "case `empty-response`",
    ("hypercorn AsyncioWSGIMiddleware", "raises"): "case `empty-response`",
    ("hypercorn AsyncioWSGIMiddleware", "differs"): "case `empty-response`",
    (
        "baize (WSGI)",
        "P03",
    ): "no `start_response` where the client has left: an iterable that yields nothing needs none, by the letter",
    ("BlackSheep", "E13"): 'a Transfer-Encoding field: "you may send" one',
    ("connexion (FlaskApp)", "left-behind"): "the threads of a2wsgi's pool: no specification speaks of it",
    ("Sanic (ASGI mode)", "E06"): "a second start after `send` raised OSError: that the first one counts is this "
    "project's reading",
    ("cheroot", "V07"): "case `input-without-iteration`",
    ("cheroot", "differs"): "case `repeated-header`",
    (
        "granian-wsgi",
        "differs",
    ): 'a request header with a byte beyond ASCII is given as "": RFC 9110 5.5 says that such '
    "bytes should be opaque data, and no more",
    ("granian-rsgi", "differs"): "a request header with a byte beyond ASCII is lost: as for granian-wsgi; RSGI has no "
    "specification that speaks of it",
    ("granian-wsgi", "swallowed"): "a response that the application broke off ends as if it were complete: PEP 3333 "
    "leaves it to the server what it does then",
    (
        "pyuwsgi",
        "other",
    ): "the connection is closed without an answer when the application raises: a 500 is custom, and "
    "nothing asks for it",
    ("Werkzeug debugger", "P01"): "case `debugged-application`",
    ("Werkzeug debugger", "P05"): "case `debugged-application`",
    ("Werkzeug debugger", "swallowed"): "case `debugged-application`",
    ("Werkzeug lint", "V07"): "case `lint-without-readlines`",
    ("Werkzeug profiler", "P21"): "case `profiler-joins-blocks`",
    ("Werkzeug profiler", "not-closed"): "case `profiler-joins-blocks`: the iterable is not closed either where the "
    "application raises while it is taken",
}

#: What was said of the field or seen in it, and is no case: a sentence each, with the reason.
NOT_COUNTED = (
    "gunicorn's ASGI worker is said to give `http_version` 2.0 over HTTP/2: not reproduced with gunicorn 27.0.1, which "
    "gives 2.",
    "hypercorn's `WSGIWrapper` joins the Cookie fields of HTTP/2 with a comma when it is called alone (case "
    "`cookies-of-http-2`); under hypercorn 0.18.0 itself they come joined as they must, by the library h2.",
    "uvicorn and granian raise RuntimeError, hypercorn UnexpectedMessageError, from `send` after the last body "
    'message. "Any further messages on the channel will be ignored", but it is the application that sends them.',
    "daphne and granian group response headers of one name: `set-cookie`, `x-a`, `set-cookie` arrive as `set-cookie`, "
    '`set-cookie`, `x-a`. "Order must be preserved" can be read of the values of one name, as it is for requests.',
    "daphne and hypercorn give `http.disconnect` once, and a second `receive` waits: the specification can be read "
    "either way.",
    "daphne has no lifespan and no `state`: the lifespan protocol is a specification of its own, and `state` is "
    "optional.",
    "a2wsgi and others take a second `start_response` without `exc_info` in silence: the sentence that calls it a "
    "fatal error binds the application.",
    "a2wsgi's `ASGIMiddleware` blocks its thread for ever when the application returns without an answer: that is the "
    "application's breach (E19), and no sentence says what a server does then.",
    "a2wsgi's `ASGIMiddleware` gives an endless row of empty `http.request` messages when the body ends before its "
    "Content-Length: no sentence says what a server does with such a body.",
    "A WSGI application that sends more than its Content-Length: most adapters and some servers send it on. PEP 3333 "
    "says should not.",
    "wsgiref, Werkzeug's server and cheroot let a read of `wsgi.input` beyond the body wait for the client: PEP 3333 "
    "says that a server should simulate the end of the file.",
    "Werkzeug's server gives REMOTE_PORT as an int: PEP 3333 asks str of CGI-defined variables, and RFC 3875 does not "
    "define this one.",
    "wsgiref gives CONTENT_TYPE text/plain for a request without one: RFC 3875 4.1.3 says should omit.",
    "wsgiref says `wsgi.multithread` False in a threading server, too: it is the subclass that adds the threads, and "
    "PEP 3333 says should.",
    "gunicorn over HTTP/2 gives an `HTTP_VERSION` for which there is no header: PEP 3333 says that the presence of "
    "such a variable should correspond with the header's.",
    "Header fields with an underscore reach the same variable as those with a dash (cheroot, granian, pyuwsgi, "
    "wsgiref, all adapters): dangerous, and written in no specification.",
    "`Proxy` of a client becomes HTTP_PROXY (all adapters): CVE-2016-5385, and written in no specification.",
    "Two Cookie fields in an HTTP/1.1 request are joined with a comma by most WSGI servers: RFC 6265 5.4 forbids the "
    "client to send two.",
    "asgiref, Starlette, uvicorn and others raise on a lifespan or websocket scope that they do not know: so they "
    "should.",
    "WebOb, and Pyramid with it, take a `read(n)` that gives fewer than n bytes for the client's departure: the Python "
    "Library Reference can be read so.",
    "hypercorn with two workers drops requests when it stops (reproduced with 0.18.0; D06): no specification speaks of "
    "stopping.",
    "daphne, waitress, cheroot and uWSGI drop what is under way on SIGTERM: no specification speaks of it (D07).",
    "socketify, fastpysgi, bjoern, h2corn, mod_wsgi, twisted, tornado, eventlet and NGINX Unit are not run for this "
    "page.",
)


def explanation(name: str, finding: str) -> str | None:
    """Return what a finding means, or None where nobody has judged it yet."""
    return _EXPLAINED.get((name, finding)) or _EXPLAINED.get(("", finding))
