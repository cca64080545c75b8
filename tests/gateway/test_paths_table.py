"""A site below a path prefix: which deployments find the application, and which URLs the application builds.

The rows are the table of ``docs/reference/paths.md``. What each server gives was seen on the server, and a test on the
real one says so.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.http import HttpResponse
from django.urls import path, reverse
from flask import Flask, url_for
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway import Gateway, servers
from gateway.contract import Middleware
from gateway.exchange import Request
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.mount import Mount
from gateway.servers import Bind, Launch, start
from tests.django_site import configure, serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "paths.md"
PROXY = "192.0.2.1"

#: The columns: what a kind of server makes of its root path.
COLUMNS = ("uvicorn", "other ASGI", "waitress", "Gunicorn")
HEAD = ("proxy cuts `/api` off", "root path", "`X-Forwarded-Prefix`", "`Mount`", *COLUMNS, "so")
RIGHT = "right"
TELL = "tell the application: root path or header"
MOUNTED = "use `Mount({{'/api{0}': app}})`"
HEADER = "remove the header, which says that `/api` was cut off"

#: (cut off, root path, header, Mount) -> the outcome in each column, and what to do. A path is the URL that the
#: application builds for its page; it is right if it is the one that the client asked for.
Case = tuple[bool, bool, bool, bool]
ROWS: dict[Case, tuple[str, str, str, str, str]] = {}
for _mount, _m in ((False, ""), (True, "/shop")):
    _public, _short = f"/api{_m}/item", f"{_m}/item"
    _rows: dict[tuple[bool, bool, bool], tuple[str, str, str, str, str]] = {
        (True, False, False): (_short, _short, _short, _short, TELL),
        (True, True, False): (_public, _public, _public, "500", "right; Gunicorn: use the header"),
        (True, False, True): (_public, _public, _public, _public, RIGHT),
        (True, True, True): (_public, _public, _public, "500", "right; Gunicorn: use the header alone"),
        (False, False, False): ("404", "404", "404", "404", MOUNTED.format(_m)),
        (False, True, False): ("404", _public, _public, _public, "right; uvicorn: use `Mount`, without a root path"),
        (False, False, True): ("404", "404", "404", "404", f"{HEADER}; then {MOUNTED.format(_m)}"),
        (False, True, True): ("404", _public, _public, _public, f"{HEADER}; uvicorn: use `Mount`, without a root path"),
    }
    ROWS.update({(*case, _mount): row for case, row in _rows.items()})


def given(column: str, *, root: bool, received: str) -> tuple[str, str] | None:
    """Return mount point and path as such a server gives them for a path that it received; None: it answers 500."""
    if not root:
        return "", received
    match column:
        case "uvicorn":  # puts the root path before
            return "/api", "/api" + received
        case "other ASGI":  # says both, and does not compare
            return "/api", received
        case _:
            below = (received + "/").startswith("/api/")
            if not below and column == "Gunicorn":
                return None
            return "/api", received.removeprefix("/api")


# the applications


def flask_app() -> Any:
    app = Flask("site")
    app.add_url_rule("/item", "item", lambda: url_for("item"))
    return app


def starlette_app() -> Any:
    async def item(request: Any) -> Any:
        return PlainTextResponse(request.url_for("item").path)

    return Starlette(routes=[Route("/item", item, name="item")])


def django_wsgi() -> Any:
    from django.core.handlers.wsgi import WSGIHandler

    return WSGIHandler()


def django_asgi() -> Any:
    from django.core.handlers.asgi import ASGIHandler

    return ASGIHandler()


urlpatterns = [path("item", lambda request: HttpResponse(reverse("item")), name="item")]
APPLICATIONS: dict[str, Callable[[], Any]] = {
    "Flask": flask_app,
    "Starlette": starlette_app,
    "Django, WSGI": django_wsgi,
    "Django, ASGI": django_asgi,
}


@pytest.fixture(autouse=True)
def django() -> Iterator[None]:
    configure()
    with serving(__name__):
        yield


class Note(Middleware):
    """Note what a middleware beside the application sees."""

    def __init__(self) -> None:
        self.local: str | None = None

    def on_request(self, request: Request) -> None:
        self.local = request.local_path


def site(app: Any, note: Note, *, header: bool, mount: bool) -> Any:
    inner: Any = Gateway(app, middleware=[note])
    if mount:
        inner = Mount({"/shop": inner})
    return Gateway(inner, middleware=[ProxyHeaders(trust=(PROXY,), prefix=header)])


def ask_wsgi(
    app: Any, script_name: str, path_info: str, *, raw: str = "", headers: list[Any] | None = None
) -> tuple[int, str]:
    from io import BytesIO
    from sys import stderr

    seen: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": "",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": PROXY,
        "HTTP_HOST": "example.org",
        "HTTP_X_FORWARDED_PREFIX": "/api",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": stderr,
    }
    if raw:
        environ["REQUEST_URI"] = raw

    def start_response(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        seen.append(status)
        if headers is not None:
            headers.extend((name.lower(), value) for name, value in fields)
        return seen.append  # type: ignore[return-value]  # never called

    body = app.wsgi(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        getattr(body, "close", lambda: None)()
    return int(seen[0].split()[0]), content.decode()


def ask_asgi(
    app: Any, root_path: str, full: str, *, raw: str = "", headers: list[Any] | None = None
) -> tuple[int, str]:
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": full,
        "raw_path": (raw or full).encode(),
        "root_path": root_path,
        "query_string": b"",
        "headers": [(b"host", b"example.org"), (b"x-forwarded-prefix", b"/api")],
        "client": (PROXY, 1),
        "server": ("example.org", 80),
    }

    async def main() -> None:
        ended = asyncio.Event()
        requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for message in requests:
                return message
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app.asgi(scope, receive, send)
        ended.set()

    asyncio.run(main())
    if headers is not None:
        headers.extend((name.decode().lower(), value.decode()) for name, value in sent[0]["headers"])
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent).decode()


@pytest.mark.parametrize("name", APPLICATIONS)
@pytest.mark.parametrize("column", COLUMNS)
def test_an_application_builds_the_urls_of_the_table(name: str, column: str) -> None:
    outcomes: dict[Case, str] = {}
    for case in ROWS:
        cut, root, header, mount = case
        public = "/api/shop/item" if mount else "/api/item"
        received = public.removeprefix("/api") if cut else public
        facts = given(column, root=root, received=received)
        if facts is None:
            outcomes[case] = "500"
            continue
        note = Note()
        ask = ask_asgi if "ASGI" in column or column == "uvicorn" else ask_wsgi
        status, body = ask(site(APPLICATIONS[name](), note, header=header, mount=mount), *facts)
        outcomes[case] = body if status == 200 else str(status)
        if status == 200:
            assert note.local == "/item", "middleware and application disagree"
    assert outcomes == {case: row[COLUMNS.index(column)] for case, row in ROWS.items()}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("spelled", ["/item", "/it%2Fem"])
def test_a_redirect_names_the_public_url_where_the_row_is_right(column: str, spelled: str) -> None:
    found: dict[Case, str | None] = {}
    expected: dict[Case, str | None] = {}
    for case, row in ROWS.items():
        cut, root, header, mount = case
        public = "/api/shop" if mount else "/api"
        if row[COLUMNS.index(column)] != f"{public}/item":
            continue
        received = public.removeprefix("/api") + spelled if cut else public + spelled
        facts = given(column, root=root, received=unquote(received))
        assert facts is not None
        inner: Any = Gateway(flask_app(), middleware=[HttpsRedirect(host="example.org")])
        app = Gateway(
            Mount({"/shop": inner}) if mount else inner, middleware=[ProxyHeaders(trust=(PROXY,), prefix=header)]
        )
        headers: list[Any] = []
        if "ASGI" in column or column == "uvicorn":
            # uvicorn puts the root path before the raw path too.
            raw = "/api" + received if column == "uvicorn" and root else received
            ask_asgi(app, *facts, raw=raw, headers=headers)
        else:
            ask_wsgi(app, *facts, raw=received, headers=headers)
        found[case] = dict(headers).get("location")
        expected[case] = f"https://example.org{public}{spelled}"
    assert found == expected


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_is_not_right_everywhere_says_what_to_do(case: Case) -> None:
    *outcomes, advice = ROWS[case]
    public = "/api/shop/item" if case[3] else "/api/item"
    assert (set(outcomes) == {public}) == (advice == RIGHT)


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize("name", APPLICATIONS)
@pytest.mark.parametrize("below", ["", "/shop"])
def test_a_mount_at_the_prefix_is_right_where_nothing_cuts_it_off(interface: str, name: str, below: str) -> None:
    app = Gateway(Mount({f"/api{below}": APPLICATIONS[name]()}))
    ask = ask_asgi if interface == "asgi" else ask_wsgi
    assert ask(app, "", f"/api{below}/item") == (200, f"/api{below}/item")


# the servers

FACTS = {
    ("uvicorn", "asgi"): ("uvicorn", ("--root-path", "/api")),
    ("hypercorn-asyncio", "asgi"): ("other ASGI", ("--root-path", "/api")),
    ("daphne", "asgi"): ("other ASGI", ("--root-path", "/api")),
    ("granian-asgi", "asgi"): ("other ASGI", ("--url-path-prefix", "/api")),
    ("gunicorn-asgi", "asgi"): ("other ASGI", ("--root-path", "/api")),
    ("waitress", "wsgi"): ("waitress", ("--url-prefix=/api",)),
    ("gunicorn-gthread", "wsgi"): ("Gunicorn", ("--env", "SCRIPT_NAME=/api")),
    ("gunicorn-sync", "wsgi"): ("Gunicorn", ("--env", "SCRIPT_NAME=/api")),
}
FAST = ("uvicorn", "waitress", "gunicorn-gthread")


async def echo_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    body = json.dumps([scope["root_path"], scope["path"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


def echo_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [json.dumps([environ.get("SCRIPT_NAME", ""), environ["PATH_INFO"]]).encode()]


@pytest.mark.parametrize(
    ("server", "interface"),
    [pytest.param(*key, marks=() if key[0] in FAST else pytest.mark.slow) for key in FACTS],
)
def test_a_server_gives_the_paths_that_the_table_assumes(server: str, interface: str) -> None:
    column, options = FACTS[server, interface]
    launch = Launch(
        target=f"{__name__}:echo_{interface}",
        bind=Bind(port=0),
        app_dir=str(Path(__file__).resolve().parents[2]),
        arguments=options,
    )
    with start(servers.get(server), launch) as running:
        for received in ("/item", "/api/item", "/shop/item", "/api/shop/item"):
            with running.bind.connect(20) as connection:
                connection.sendall(f"GET {received} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda c=connection: c.recv(65536), b""))
            expected = given(column, root=True, received=received)
            status = int(answer.split()[1])
            assert status == (500 if expected is None else 200)
            if expected is not None:
                found = answer[answer.index(b"[") : answer.index(b"]") + 1]
                assert tuple(json.loads(found)) == expected


# the page


def rendered() -> list[str]:
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for case in itertools.product((True, False), (False, True), (False, True), (False, True)):
        cut, root, header, mount = case
        ways = [
            "yes" if cut else "–",
            "`/api`" if root else "–",
            "`/api`" if header else "–",
            "`/shop`" if mount else "–",
        ]
        *outcomes, advice = ROWS[case]
        cells = [f"`{each}`" if each.startswith("/") else each for each in outcomes]
        lines.append("| " + " | ".join([*ways, *cells, advice]) + " |")
    return lines


def test_the_page_has_the_rows_of_this_module() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begin = lines.index(rendered()[0])
    assert lines[begin : begin + len(rendered())] == rendered()
