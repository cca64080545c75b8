"""Ids, hosts, redirects to https, security fields, and answers to exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gateway.middleware import Cors, Errors, HttpsRedirect, ProxyHeaders, RequestId, SecurityHeaders, TrustedHost
from tests.evidence.anchors.django_peer import django
from tests.evidence.anchors.model import Case, Peer, is_status, shown, status
from tests.middleware.stacks import Answer, Call, Script, Seen

ORIGIN = "https://app.example"
ID = "5f2b1c1e9a4d4a5b8c3e2f1a0b9c8d7e"


def correlation_id() -> Peer:
    def build(app: Any) -> Any:
        from asgi_correlation_id import CorrelationIdMiddleware

        return CorrelationIdMiddleware(app)

    return Peer("asgi-correlation-id", "`CorrelationIdMiddleware()`", build)


def trusted_host(*hosts: str, named: bool = True, **options: Any) -> Peer:
    def build(app: Any) -> Any:
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        return TrustedHostMiddleware(app, allowed_hosts=list(hosts), **options)

    words = "".join(f", {name}={value!r}" for name, value in options.items())
    return Peer("starlette", f"`TrustedHostMiddleware(allowed_hosts={list(hosts)!r}{words})`", build, named=named)


def https_redirect(*, named: bool = True) -> Peer:
    def build(app: Any) -> Any:
        from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware

        return HTTPSRedirectMiddleware(app)

    return Peer("starlette", "`HTTPSRedirectMiddleware()`", build, named=named)


def secure(**more: Any) -> Peer:
    def build(app: Any) -> Any:
        from secure import Secure
        from secure.middleware import SecureASGIMiddleware

        return SecureASGIMiddleware(app, secure=Secure.with_default_headers())

    return Peer("secure", "`SecureASGIMiddleware(secure=Secure.with_default_headers())`", build, **more)


def starlette_with_cors(app: Any) -> Any:
    """Build a Starlette application the documented way: CORS and ids as its middleware, the route raises."""
    from asgi_correlation_id import CorrelationIdMiddleware
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.routing import Route

    async def route(request: Any) -> Any:
        raise RuntimeError("x")

    return Starlette(
        routes=[Route("/", route)],
        middleware=[Middleware(CorrelationIdMiddleware), Middleware(CORSMiddleware, allow_origins=[ORIGIN])],
    )


def debugger() -> Peer:
    def build(app: Any) -> Any:
        from werkzeug.debug import DebuggedApplication

        return DebuggedApplication(app, evalex=False)

    return Peer("werkzeug", "`DebuggedApplication(evalex=False)`", build, side="wsgi")


def hosted(value: str, **more: Any) -> tuple[Call]:
    return (Call(headers=(("Host", value),), **more),)


def ours_hosts(*allowed: str) -> Callable[[], list[Any]]:
    return lambda: [TrustedHost(allowed=allowed)]


def redirecting(**options: Any) -> Callable[[], list[Any]]:
    return lambda: [TrustedHost(allowed=("example.org",)), HttpsRedirect(**options)]


def leads_to(answer: Answer, start: str) -> bool:
    return all(location.startswith(start) for location in answer.all("location"))


def _writes_script(seen: Seen) -> Script:
    """Write a page whose script names the nonce of the response, where there is one; it says the former one too."""
    former = seen.headers.get("x-former", "")
    page = f"<script nonce={seen.state.get('csp_nonce', '')}>"
    return Script(headers=(("Content-Type", "text/html"), ("X-Former", former)), chunks=(page.encode(),))


def _nonce(answer: Answer) -> str | None:
    found = re.search(r"'nonce-([^']+)'", answer.get("content-security-policy") or "")
    return found[1] if found else None


def _again(answer: Answer) -> Call:
    return Call(headers=(("Host", "example.org"), ("X-Former", _nonce(answer) or "none")), scheme="https")


def _is_fresh(answer: Answer) -> bool:
    return _nonce(answer) is not None and _nonce(answer) != answer.get("x-former")


def _ids(answer: Answer) -> str:
    return f"{len(answer.all('x-request-id'))} x-request-id"


def _shows_source(answer: Answer) -> bool:
    return b"Traceback" in answer.body or b"secret-in-the-message" in answer.body


CASES = [
    Case(
        id="id-of-the-application",
        part="RequestId",
        asks="the application sets `X-Request-ID` itself",
        rule="the response has only one id, because the header is not a list",
        source="RFC 9110 section 5.3",
        peers=[correlation_id()],
        ours=lambda: [RequestId()],
        script=Script(headers=(("Content-Type", "text/plain"), ("X-Request-ID", "mine"))),
        shows=_ids,
        judge=lambda answer: len(answer.all("x-request-id")) == 1,
    ),
    Case(
        id="id-of-a-stranger",
        part="RequestId",
        asks="a client that is not a proxy sends its own valid id",
        rule="the id is not accepted: the middleware creates a new one",
        source="CWE-345, insufficient verification of data authenticity",
        peers=[correlation_id()],
        ours=lambda: [ProxyHeaders(trust=("10.0.0.0/8",)), RequestId()],
        steps=(Call(headers=(("X-Request-ID", ID),), client=("203.0.113.7", 1)),),
        shows=lambda answer: "the client's id" if answer.all("x-request-id") == [ID] else "an id of our own",
        judge=lambda answer: len(answer.all("x-request-id")) == 1 and answer.all("x-request-id") != [ID],
    ),
    Case(
        id="id-of-a-websocket",
        part="RequestId",
        asks="a WebSocket is opened",
        rule="the response to the handshake has an id too",
        source="RFC 6455 section 4.1: the handshake is an HTTP request with an HTTP response",
        peers=[correlation_id()],
        ours=lambda: [RequestId()],
        handshake=True,
        shows=lambda answer: f"{answer.status}, {_ids(answer)}",
        judge=lambda answer: answer.status == 101 and len(answer.all("x-request-id")) == 1,
    ),
    Case(
        id="two-hosts",
        part="TrustedHost",
        asks="`Host: example.org` and `Host: evil.example` in one request",
        rule="400",
        source="RFC 9112 section 3.2",
        peers=[trusted_host("example.org"), django("security", hosts=["example.org"], named=False)],
        ours=ours_hosts("example.org"),
        steps=(Call(headers=(("Host", "example.org"), ("Host", "evil.example"))),),
        shows=status,
        judge=is_status(400),
    ),
    Case(
        id="port-of-nowhere",
        part="TrustedHost",
        asks="`Host: example.org:99999`",
        rule="400: a port ends at 65535",
        source="RFC 3986 section 3.2.3; RFC 9112 section 3.2",
        peers=[trusted_host("example.org"), django("security", hosts=["example.org"], named=False)],
        ours=ours_hosts("example.org"),
        steps=hosted("example.org:99999"),
        shows=status,
        judge=is_status(400),
    ),
    Case(
        id="final-dot",
        part="TrustedHost",
        asks="`Host: example.org.`, with the final dot of a fully qualified name",
        rule="it is the same host: 200",
        source="RFC 3986 section 3.2.2; RFC 1034 section 3.1",
        peers=[trusted_host("example.org"), django("security", hosts=["example.org"], named=False)],
        ours=ours_hosts("example.org"),
        steps=hosted("example.org."),
        shows=status,
        judge=is_status(200),
    ),
    Case(
        id="www",
        part="TrustedHost",
        asks="only `www.example.org` is allowed; the request is for `example.org`",
        rule="a host that is not allowed is refused with 400 or 421, and is not redirected",
        source="RFC 9110 section 15.5.20",
        peers=[trusted_host("www.example.org")],
        ours=ours_hosts("www.example.org"),
        steps=hosted("example.org"),
        shows=shown("location"),
        judge=is_status(400, 421),
    ),
    Case(
        id="redirect-to-any-host",
        part="HttpsRedirect",
        asks="`Host: evil.example` over HTTP",
        rule="no redirect to a host that was not checked",
        source="CWE-601, open redirect",
        peers=[https_redirect(), django("security", hosts=["example.org"], named=False, SECURE_SSL_REDIRECT=True)],
        ours=lambda: [HttpsRedirect()],
        steps=hosted("evil.example", target="/x"),
        shows=shown("location"),
        judge=lambda answer: leads_to(answer, "https://example.org/") and answer.status != 200,
    ),
    Case(
        id="redirect-with-slashes",
        part="HttpsRedirect",
        asks="`GET //evil.example/x` over HTTP, host `example.org`",
        rule="the redirect stays on example.org",
        source="RFC 3986 section 4.2; CWE-601",
        peers=[
            https_redirect(named=False),
            django("security", hosts=["example.org"], named=False, SECURE_SSL_REDIRECT=True),
        ],
        ours=redirecting(),
        steps=hosted("example.org", target="//evil.example/x"),
        shows=shown("location"),
        judge=lambda answer: answer.status in (301, 302, 307, 308) and leads_to(answer, "https://example.org/"),
    ),
    Case(
        id="redirect-with-port",
        part="HttpsRedirect",
        asks="`Host: example.org:8080` over HTTP",
        rule="HTTP and HTTPS have different ports: `https://example.org/`",
        source="RFC 9110 section 4.2.2",
        peers=[https_redirect(), django("security", hosts=["example.org"], named=False, SECURE_SSL_REDIRECT=True)],
        ours=redirecting(),
        steps=hosted("example.org:8080"),
        shows=shown("location"),
        judge=lambda answer: answer.get("location") == "https://example.org/",
    ),
    Case(
        id="hsts",
        part="HttpsRedirect",
        asks="a request over HTTPS",
        rule="the response has Strict-Transport-Security, by option",
        source="RFC 6797 section 7.1",
        peers=[https_redirect(), django("security", hosts=["example.org"], named=False, SECURE_HSTS_SECONDS=3600)],
        ours=redirecting(hsts_seconds=3600),
        steps=hosted("example.org", scheme="https"),
        shows=shown("strict-transport-security"),
        judge=lambda answer: answer.get("strict-transport-security") == "max-age=3600",
    ),
    Case(
        id="redirect-exempt",
        part="HttpsRedirect",
        asks="`GET /.well-known/acme-challenge/x` over HTTP; this path is exempt",
        rule="no redirect: a certificate authority checks this path over HTTP",
        source="RFC 8555 section 8.3",
        peers=[
            https_redirect(),
            django(
                "security",
                hosts=["example.org"],
                named=False,
                SECURE_SSL_REDIRECT=True,
                SECURE_REDIRECT_EXEMPT=[r"^\.well-known/acme-challenge/"],
            ),
        ],
        ours=redirecting(exempt=(r"/\.well-known/acme-challenge/.*",)),
        steps=hosted("example.org", target="/.well-known/acme-challenge/x"),
        shows=status,
        judge=is_status(200),
    ),
    Case(
        id="redirect-of-a-websocket",
        part="HttpsRedirect",
        asks="a WebSocket is opened without TLS",
        rule="403: clients do not follow redirects in a handshake",
        source="RFC 6455 section 4.1; WHATWG WebSockets",
        peers=[https_redirect()],
        ours=redirecting(),
        steps=hosted("example.org"),
        handshake=True,
        shows=shown("location"),
        judge=is_status(403),
    ),
    Case(
        id="field-of-the-application",
        part="SecurityHeaders",
        asks="the application sets `Referrer-Policy: no-referrer` for this page",
        rule="the application's value is kept: `no-referrer`, once",
        source="Referrer Policy section 4.1",
        peers=[secure(), django("security", hosts=["example.org"], named=False)],
        ours=lambda: [SecurityHeaders(preset="web")],
        steps=hosted("example.org", scheme="https"),
        script=Script(headers=(("Content-Type", "text/html"), ("Referrer-Policy", "no-referrer"))),
        shows=shown("referrer-policy"),
        judge=lambda answer: answer.all("referrer-policy") == ["no-referrer"],
    ),
    Case(
        id="nonce",
        part="SecurityHeaders",
        asks="two pages with an inline script, and a policy with nonces",
        rule="each response has its own nonce in its policy",
        source="CSP level 3 section 7.1",
        peers=[secure()],
        ours=lambda: [SecurityHeaders(content_security_policy="script-src 'self' {nonce}")],
        steps=(*hosted("example.org", scheme="https"), _again),
        script=Script(act=_writes_script),
        shows=lambda answer: (
            "a nonce of its own" if _is_fresh(answer) else "no nonce" if _nonce(answer) is None else "the same nonce"
        ),
        judge=lambda answer: _is_fresh(answer),
    ),
    Case(
        id="error-without-marks",
        part="Errors",
        asks="a page of an allowed origin sends a request, and the application raises",
        rule="the 500 has the CORS headers and the request id, so that the page can read it and the log can be "
        "searched",
        source="Fetch, CORS check; it applies to every response",
        peers=[
            Peer(
                "starlette",
                "`Starlette(middleware=[CorrelationIdMiddleware, CORSMiddleware])`",
                starlette_with_cors,
            )
        ],
        ours=lambda: [RequestId(), Cors(origins=(ORIGIN,)), Errors(log=False)],
        steps=(Call(headers=(("Host", "example.org"), ("Origin", ORIGIN))),),
        script=Script(raises=RuntimeError("x")),
        shows=lambda answer: f"{shown('access-control-allow-origin')(answer)} · {_ids(answer)}",
        judge=lambda answer: (
            answer.status == 500
            and answer.all("access-control-allow-origin") == [ORIGIN]
            and len(answer.all("x-request-id")) == 1
        ),
    ),
    Case(
        id="traceback-for-strangers",
        part="Errors",
        asks="the debugger is on, and a client on another machine gets an exception",
        rule="source and message are shown only to clients on the same machine",
        source="CWE-209",
        peers=[debugger()],
        ours=lambda: [Errors(debug=True, log=False)],
        steps=hosted("example.org", client=("203.0.113.7", 1)),
        script=Script(raises=RuntimeError("secret-in-the-message")),
        shows=lambda answer: f"{answer.status}, {'with' if _shows_source(answer) else 'without'} the traceback",
        judge=lambda answer: answer.status == 500 and not _shows_source(answer),
    ),
]
