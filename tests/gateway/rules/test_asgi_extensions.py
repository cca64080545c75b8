import io
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.rules.asgi import (
    CONNECT,
    PLAIN,
    Serve,
    body,
    http,
    msg,
    nested,
    sends,
    serve,
    start,
    websocket,
)
from tests.gateway.rules.cases import Case, shows

FILE = str(Path(__file__).resolve())
OFFERED = {
    f"http.response.{name}": {} for name in ("push", "zerocopysend", "pathsend", "early_hint", "trailers", "debug")
}
SIZED = [*PLAIN, (b"content-length", b"3")]
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
TLS = {"server_cert": CERTIFICATE, "tls_version": 0x0304, "cipher_suite": 0x1301}


def app(*messages: Any, extensions: Any = OFFERED, **scope: Any) -> Any:
    return lambda mode: serve(Serve(app=sends(*messages), scope=http(extensions=extensions, **scope)), mode=mode)


def ws(*messages: Any, extensions: Any = {"websocket.http.response": {}}) -> Any:  # noqa: B006  # never changed
    scope = websocket(extensions=extensions)
    return lambda mode: serve(Serve(app=sends(*messages), scope=scope, events=(CONNECT,)), mode=mode)


def tls(**values: Any) -> Any:
    return app(start(), body(), scheme="https", extensions={"tls": {**TLS, **values}})


def pathsend(path: Any = FILE) -> dict[str, Any]:
    return msg("http.response.pathsend", path=path)


def zero(file: Any, **more: Any) -> dict[str, Any]:
    return msg("http.response.zerocopysend", file=file, **more)


def hint(links: Any) -> dict[str, Any]:
    return msg("http.response.early_hint", links=links)


def trailing(headers: Any = ((b"digest", b"x"),), **more: Any) -> dict[str, Any]:
    return msg("http.response.trailers", headers=headers, **more)


def promised(*headers: Any) -> dict[str, Any]:
    return start(headers=[*PLAIN, (b"trailer", b"digest"), *headers], trailers=True)


def push(path: Any = "/app.css", headers: Any = ()) -> dict[str, Any]:
    return msg("http.response.push", path=path, headers=headers)


def files(*steps: Any, close: bool = True) -> Any:
    """The case of an application that sends a file of its own."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        file = Path(FILE).open("rb")  # noqa: SIM115, ASYNC230  # left open on purpose in one case
        OPEN.append(file)
        await sends(start(headers=SIZED), zero(file, **dict(steps)))(scope, receive, send)
        if close:
            file.close()

    return lambda mode: serve(Serve(app=application, scope=http(extensions=OFFERED)), mode=mode)


OPEN: list[Any] = []


@pytest.fixture(autouse=True)
def closed() -> Any:
    yield
    while OPEN:
        OPEN.pop().close()


def gzips(handles_files: bool) -> Any:
    """A middleware that promises gzip, and hides the extension from the application or does not."""

    def middleware(inner: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            async def gzip_send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                    headers += [(b"content-length", b"3"), (b"content-encoding", b"gzip")]
                    message = {**message, "headers": headers}
                await send(message)

            if handles_files:
                scope = {**scope, "extensions": {}}
            await inner(scope, receive, gzip_send)

        return call

    return middleware


async def sends_a_file_if_it_can(scope: Any, receive: Any, send: Any) -> None:
    if "http.response.pathsend" in scope["extensions"]:
        await sends(start(headers=SIZED), pathsend())(scope, receive, send)
    else:
        await sends(start(headers=SIZED), body(b"abc"))(scope, receive, send)


def through(middleware: Any) -> Any:
    call = Serve(app=sends_a_file_if_it_can, scope=http(extensions=OFFERED))
    return lambda mode: nested(call, middleware, mode)


sized_file = app(start(headers=SIZED), pathsend())
denied = ws(
    msg("websocket.http.response.start", status=401, headers=[]), msg("websocket.http.response.body", body=b"no")
)
ok = app(start(), body())

CASES = [
    Case("X00", app(start(), hint([b"</a>"]), body(), extensions={}), app(start(), hint([b"</a>"]), body())),
    Case("X00", ws(msg("websocket.http.response.start", status=401), extensions={}), denied, "denial"),
    Case("X01", app(start(headers=SIZED), pathsend("file.txt")), sized_file, "relative"),
    Case("X01", app(start(headers=SIZED), pathsend(FILE.encode())), sized_file, "bytes"),
    Case("X02", app(start(headers=SIZED), pathsend(), pathsend()), sized_file, "twice"),
    Case("X02", app(start(headers=SIZED), pathsend(), body()), sized_file, "then-body"),
    Case("X02", app(start(), body(more=True), pathsend()), sized_file, "after-body"),
    Case("X02", app(pathsend()), sized_file, "before-start"),
    Case("X03", app(start(), pathsend()), sized_file),
    Case("X04", app(start(), zero(io.BytesIO(b"x"))), files(), "no-descriptor"),
    Case("X04", files(("offset", -1)), files(("offset", 0), ("count", 3)), "negative"),
    Case("X05", files(close=False), files()),
    Case("X06", app(start(), hint(["</a>"]), body()), app(start(), hint([b"</a>"]), body()), "str"),
    Case(
        "X06",
        app(hint([b"</a>"]), start(), body()),
        app(start(), hint([]), hint([b"</b>"]), body()),
        "before-start",
        minor=True,
    ),
    Case("X06", app(start(), body(), hint([b"</a>"])), app(start(), body(more=True), hint([b"</a>"]), body()), "late"),
    Case("X07", app(start(), body(), trailing()), app(promised(), body(), trailing()), "not-promised"),
    Case("X07", app(promised(), body()), app(promised(), body(), trailing([])), "not-sent"),
    Case("X07", app(promised(), trailing(), body()), app(promised(), body(), trailing()), "before-the-end"),
    Case("X07", app(promised(), body(), trailing([(b"Digest", b"x")])), ok, "upper-case"),
    Case("X07", app(promised(), body(), trailing([(b"content-length", b"2")])), ok, "framing"),
    Case("E11", app(promised(), body(), trailing([(b"x y", b"1")])), ok, "in-trailers"),
    Case("E12", app(promised(), body(), trailing([(b"x", b"1\r\ny: 2")])), ok, "in-trailers"),
    Case("E12", app(start(), hint([b"</a>\r\nx: 1"]), body()), app(start(), hint([b"</a>"]), body()), "in-a-hint"),
    Case("X07", app(promised(), body(), trailing([(b":digest", b"x")])), ok, "pseudo"),
    Case(
        "X07",
        app(promised(), body(), trailing(), trailing()),
        app(promised(), body(), trailing(more_trailers=True), trailing()),
        "after-the-last",
    ),
    Case("X08", app(start(trailers=True), body(), trailing()), app(promised(), body(), trailing())),
    Case("X10", app(start(), body(), push()), app(start(), push(), body()), "late"),
    Case("X10", app(push(), start(), body()), ok, "early", minor=True),
    Case("X10", app(start(), push(b"/app.css"), body()), ok, "bytes"),
    Case("X10", app(start(), push(headers=[(b"Accept", b"*")]), body()), app(start(), push(), body()), "upper-case"),
    Case("X11", app(start(), msg("http.response.debug", info={}), body()), ok, "late"),
    Case(
        "X11",
        app(msg("http.response.debug", info={}), msg("http.response.debug", info={}), start(), body()),
        app(msg("http.response.debug", info={"template": object()}), start(), body()),
        "twice",
    ),
    Case("X11", app(msg("http.response.debug"), start(), body()), ok, "no-info"),
    Case("X12", app(start(), body(), extensions={"tls": TLS}), tls()),
    Case("X13", app(start(), body(), scheme="https", extensions={"tls": {}}), tls(server_cert=None, tls_version=None)),
    Case("X14", tls(tls_version="1.3"), tls(client_cert_chain=(), client_cert_name=None), "version-str"),
    Case("X14", tls(cipher_suite=0x10000), tls(cipher_suite=None), "17-bits"),
    Case("X14", tls(server_cert=b"der"), tls(server_cert=None), "bytes"),
    Case(
        "X14",
        tls(client_cert_chain=[CERTIFICATE]),
        tls(client_cert_chain=[CERTIFICATE], client_cert_name="CN=a"),
        "name",
    ),
    Case(
        "X15",
        ws(msg("websocket.accept"), msg("websocket.http.response.start", status=401)),
        denied,
        "after-accept",
    ),
    Case("X15", ws(msg("websocket.http.response.start", status=401), msg("websocket.close")), denied, "then-close"),
    Case("X16", through(gzips(handles_files=False)), through(gzips(handles_files=True))),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_of_the_extensions_is_caught_broken_and_silent_kept(case: Case) -> None:
    shows(case)


def test_a_server_extension_of_its_own_passes_through() -> None:
    result = app(msg("http.fullflush"), start(), body(), extensions={"http.fullflush": {}})("raise")
    assert (result.errors, result.found) == ([], [])
