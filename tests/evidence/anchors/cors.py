"""What pages of other origins may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.contract import Middleware
from gateway.exchange import Request, Response
from gateway.middleware import Cors
from gateway.problems import problem
from tests.evidence.anchors.model import Case, Peer, is_status, shown, status
from tests.middleware.stacks import Answer, Call, Script

APP, EVIL = "https://app.example", "https://evil.example"
FETCH = "Fetch, CORS protocol"


def starlette(*, named: bool = True, **options: Any) -> Peer:
    def build(app: Any) -> Any:
        from starlette.middleware.cors import CORSMiddleware

        return CORSMiddleware(app, **options)

    words = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return Peer("starlette", f"`CORSMiddleware({words})`", build, named=named)


def litestar(*, named: bool = True, **options: Any) -> Peer:
    def build(app: Any) -> Any:
        from litestar import Litestar, asgi
        from litestar.config.cors import CORSConfig

        handler = asgi("/", is_mount=True, copy_scope=True)(_mounted(app))
        return Litestar([handler], cors_config=CORSConfig(**options), logging_config=None, openapi_config=None)

    words = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return Peer("litestar", f"`CORSConfig({words})`", build, named=named)


def _mounted(app: Any) -> Any:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return mounted


def falcon() -> Peer:
    """Return Falcon as documented: ``cors_enable``, and a middleware that asks for a password."""

    def build(app: Any) -> Any:
        import falcon

        class Guard:
            def process_request(self, req: Any, resp: Any) -> None:
                if req.auth is None:
                    raise falcon.HTTPUnauthorized

        class Thing:
            def on_get(self, req: Any, resp: Any) -> None:
                resp.text = "hello"

        site = falcon.App(cors_enable=True, middleware=[Guard()])
        site.add_route("/", Thing())
        return site

    return Peer("falcon", "`falcon.App(cors_enable=True)`", build, side="wsgi")


class _Guard(Middleware):
    """Asks for a password, as an application's own middleware does."""

    def on_request(self, request: Request) -> Response | None:
        return None if "authorization" in request.headers else problem(request, 401)


def asked(origin: str | None, *fields: tuple[str, str], **more: Any) -> tuple[Call]:
    own = (("Host", "api.example"), *((("Origin", origin),) if origin else ()), *fields)
    return (Call(headers=own, **more),)


def ours(**options: Any) -> Callable[[], list[Any]]:
    return lambda: [Cors(**options)]


def marks(answer: Answer) -> list[str]:
    return sorted(name.lower() for name, _ in answer.headers if name.lower().startswith("access-control-"))


def show_marks(answer: Answer) -> str:
    return " · ".join([str(answer.status), *(marks(answer) or ["no access-control field"])])


def vary(answer: Answer) -> list[str]:
    return [name.strip().lower() for line in answer.all("vary") for name in line.split(",")]


PREFLIGHT = ("Access-Control-Request-Method", "PUT")

CASES = [
    Case(
        id="star-with-credentials",
        part="Cors",
        asks=f"every origin is allowed, with credentials; a page of `{EVIL}` sends a request with the user's cookie",
        rule='credentials and "every origin" are not allowed together: any page could act as the user',
        source="Fetch, CORS protocol and credentials",
        peers=[
            starlette(allow_origins=["*"], allow_credentials=True),
            litestar(allow_origins=["*"], allow_credentials=True),
        ],
        ours=ours(origins=("*",), credentials=True),
        steps=asked(EVIL, ("Cookie", "session=1")),
        shows=shown("access-control-allow-origin", "access-control-allow-credentials"),
        judge=lambda answer: not answer.all("access-control-allow-credentials"),
        refusal_is_right=True,
    ),
    Case(
        id="stranger-gets-marks",
        part="Cors",
        asks=f"`{APP}` is allowed, with credentials; a page of `{EVIL}` sends a request",
        rule="no Access-Control headers, because nothing is allowed",
        source=FETCH,
        peers=[
            starlette(allow_origins=[APP], allow_credentials=True, expose_headers=["X-Total"]),
            litestar(allow_origins=[APP], allow_credentials=True, expose_headers=["X-Total"]),
        ],
        ours=ours(origins=(APP,), credentials=True, expose=("X-Total",)),
        steps=asked(EVIL),
        shows=show_marks,
        judge=lambda answer: answer.status == 200 and not marks(answer),
    ),
    Case(
        id="preflight-of-a-stranger",
        part="Cors",
        asks=f"`{APP}` is allowed; a page of `{EVIL}` sends a preflight",
        rule="no Access-Control headers, so that the browser refuses",
        source="Fetch, CORS-preflight fetch",
        peers=[starlette(allow_origins=[APP]), litestar(allow_origins=[APP], named=False)],
        ours=ours(origins=(APP,)),
        steps=asked(EVIL, PREFLIGHT, method="OPTIONS"),
        shows=show_marks,
        judge=lambda answer: not marks(answer),
    ),
    Case(
        id="vary-doubled",
        part="Cors",
        asks="the application's response already has `Vary: origin`",
        rule="the name occurs once: header names are compared without case",
        source="RFC 9110 sections 5.1, 12.5.5",
        peers=[starlette(allow_origins=[APP]), litestar(allow_origins=[APP], named=False)],
        ours=ours(origins=(APP,)),
        steps=asked(APP),
        script=Script(headers=(("Content-Type", "text/plain"), ("Vary", "origin"))),
        shows=shown("vary"),
        judge=lambda answer: vary(answer) == ["origin"],
    ),
    Case(
        id="vary-of-the-application",
        part="Cors",
        asks="the application's response has `Vary: Accept`",
        rule="both names: `Accept` and `Origin`",
        source="RFC 9110 section 12.5.5",
        peers=[litestar(allow_origins=[APP]), starlette(allow_origins=[APP], named=False)],
        ours=ours(origins=(APP,)),
        steps=asked(APP),
        script=Script(headers=(("Content-Type", "text/plain"), ("Vary", "Accept"))),
        shows=shown("vary"),
        judge=lambda answer: sorted(vary(answer)) == ["accept", "origin"],
    ),
    Case(
        id="vary-without-origin",
        part="Cors",
        asks=f"`{APP}` is allowed; a request has no Origin, and its response is cached",
        rule="`Vary: Origin`: a cache must not give this response to a page, which needs the CORS headers",
        source="Fetch, CORS protocol and HTTP caches",
        peers=[
            starlette(allow_origins=[APP], named=False),
            litestar(allow_origins=[APP], named=False),
        ],
        ours=ours(origins=(APP,)),
        steps=asked(None),
        shows=shown("vary"),
        judge=lambda answer: vary(answer) == ["origin"],
    ),
    Case(
        id="vary-of-the-public",
        part="Cors",
        asks="every origin is allowed, without credentials",
        rule="`*` for all and no Vary: one response fits all",
        source="Fetch, CORS protocol and HTTP caches",
        peers=[starlette(allow_origins=["*"]), litestar(allow_origins=["*"], named=False)],
        ours=ours(origins=("*",)),
        steps=asked(APP, ("Cookie", "a=1")),
        shows=shown("access-control-allow-origin", "vary"),
        judge=lambda answer: answer.all("access-control-allow-origin") == ["*"] and not vary(answer),
    ),
    Case(
        id="simple-answer",
        part="Cors",
        asks=f"a page of `{APP}`, which is allowed, sends a GET",
        rule="only a preflight response names allowed methods and headers",
        source=FETCH,
        peers=[litestar(allow_origins=[APP]), starlette(allow_origins=[APP], named=False)],
        ours=ours(origins=(APP,)),
        steps=asked(APP),
        shows=show_marks,
        judge=lambda answer: marks(answer) == ["access-control-allow-origin"],
    ),
    Case(
        id="preflight-at-a-guard",
        part="Cors",
        asks=f"a preflight of `{APP}` to a site with password protection; a browser sends no password with it",
        rule="the response comes before the password check, with a status from 200 to 299",
        source="Fetch, CORS-preflight fetch",
        peers=[falcon()],
        ours=lambda: [Cors(origins=(APP,), methods=("PUT",)), _Guard()],
        steps=asked(APP, PREFLIGHT, method="OPTIONS"),
        shows=status,
        judge=is_status(*range(200, 300)),
    ),
    Case(
        id="websocket",
        part="Cors",
        asks=f"`{APP}` is allowed; a page of `{EVIL}` opens a WebSocket, with the user's cookies",
        rule="403: a browser sends no preflight for a WebSocket, so only the server can refuse",
        source="RFC 6455 sections 4.2.2, 10.2",
        peers=[starlette(allow_origins=[APP]), litestar(allow_origins=[APP], named=False)],
        ours=ours(origins=(APP,)),
        steps=asked(EVIL, ("Cookie", "session=1")),
        handshake=True,
        shows=status,
        judge=is_status(403),
    ),
]
