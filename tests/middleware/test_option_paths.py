"""An option that takes a path means the path below the mount point, in each middleware, however it is mounted."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.handlers
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from gateway import Gateway, path_in, when
from gateway._requests import AsgiRequest
from gateway.contract import Middleware
from gateway.errors import ConfigurationError
from gateway.exchange import Request, Response
from gateway.middleware import presets
from gateway.middleware.access_log import AccessLog
from gateway.middleware.body_limit import BodyLimit
from gateway.middleware.health import Health
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.metrics import Metrics
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.rate_limit import RateLimit
from gateway.middleware.security_headers import SecurityHeaders
from gateway.middleware.static_files import StaticFiles
from gateway.middleware.trusted_host import TrustedHost
from gateway.mount import Mount
from gateway.testing import Client

PEER = ("192.0.2.1", 1)


def page(environ: Any, start_response: Any) -> list[bytes]:
    list(environ["wsgi.input"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"page"]


class Mark(Middleware):
    def on_request(self, request: Request) -> Response:
        return Response(204)


#: How the chain comes to be mounted at /api: the client for a chain, and headers of each request.
MOUNTED: dict[str, tuple[Callable[[list[Any]], object], str, str, dict[str, str]]] = {
    "not mounted": (lambda chain: Gateway(page, middleware=chain), "", "", {}),
    "the server's root path": (lambda chain: Gateway(page, middleware=chain), "/api", "", {}),
    "a Mount": (lambda chain: Mount({"/api": Gateway(page, middleware=chain)}), "", "/api", {}),
    "a Mount below a root path": (lambda chain: Mount({"/api": Gateway(page, middleware=chain)}), "/x", "/api", {}),
    "a forwarded prefix": (
        lambda chain: Gateway(page, middleware=[ProxyHeaders(trust=("192.0.2.1",), prefix=True), *chain]),
        "",
        "",
        {"x-forwarded-prefix": "/api"},
    ),
}


@pytest.fixture(params=MOUNTED)
def mounted(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest, mounted: str) -> Callable[..., Any]:
    make, root_path, before, headers = MOUNTED[mounted]

    def get(chain: list[Any], path: str, *, method: str = "GET", times: int = 1, **options: Any) -> Any:
        fields = {**headers, **options.pop("headers", {})}
        with Client(
            make(chain),  # type: ignore[arg-type]
            interface=request.param,
            lifespan=False,
            root_path=root_path,
            client=PEER,
        ) as client:
            for _ in range(times):
                response = client.request(method, before + path, headers=fields, follow_redirects=False, **options)
        return response

    return get


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_a_probe_answers_below_the_mount_point(ask: Any, path: str) -> None:
    assert ask([Health()], path).text == "ok\n"


def test_a_probe_answers_at_its_full_path_too(ask: Any, mounted: str) -> None:
    full = {"not mounted": "", "a Mount below a root path": "/x/api"}.get(mounted, "/api") + "/up"
    assert ask([Health(live_path=full)], "/up").text == "ok\n"


def test_metrics_answer_below_the_mount_point(ask: Any) -> None:
    assert "# HELP" in ask([Metrics(allow=("192.0.2.1",))], "/metrics").text


def test_the_access_log_skips_below_the_mount_point(ask: Any) -> None:
    lines: queue.Queue[str] = queue.Queue()
    handler = logging.handlers.QueueHandler(lines)  # type: ignore[arg-type]  # of records, which it formats
    logger = logging.getLogger("tests.option_paths")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        chain = [AccessLog(logger=logger.name, skip=("/quiet",))]
        ask(chain, "/quiet")
        ask(chain, "/loud")
        assert "/loud" in str(lines.get(timeout=20))  # the lines come in order, perhaps from a thread
    finally:
        logger.removeHandler(handler)


def test_a_rate_limit_exempts_below_the_mount_point(ask: Any) -> None:
    assert ask([RateLimit(limits="1/minute", exempt=("/free",))], "/free", times=3).status_code == 200
    assert ask([RateLimit(limits="1/minute", exempt=("/free",))], "/other", times=3).status_code == 429


def test_a_host_check_exempts_below_the_mount_point(ask: Any) -> None:
    chain = [TrustedHost(allowed=("example.org",), exempt=("/check",))]
    assert ask(chain, "/check", headers={"host": "other"}).status_code == 200
    assert ask(chain, "/other", headers={"host": "other"}).status_code == 400


def test_a_body_limit_holds_below_the_mount_point(ask: Any) -> None:
    chain = [BodyLimit(max_bytes=100, paths={"/small": 1})]
    assert ask(chain, "/small/x", method="POST", content=b"123").status_code == 413
    assert ask(chain, "/large", method="POST", content=b"123").status_code == 200


def test_security_headers_change_below_the_mount_point(ask: Any) -> None:
    chain = [SecurityHeaders(paths={"/embed": {"X-Frame-Options": None}})]
    assert "x-frame-options" not in ask(chain, "/embed/x").headers
    assert "x-frame-options" in ask(chain, "/other").headers


def test_a_redirect_exempts_below_the_mount_point_and_keeps_the_full_path(ask: Any, mounted: str) -> None:
    chain = [HttpsRedirect(host="example.org", exempt=(r"/\.well-known/.*",))]
    assert ask(chain, "/.well-known/x").status_code == 200
    full = {"not mounted": "", "a Mount below a root path": "/x/api"}.get(mounted, "/api") + "/a"
    assert ask(chain, "/a").headers["location"] == f"https://example.org{full}"


def test_a_condition_on_paths_holds_below_the_mount_point(ask: Any) -> None:
    assert ask([when(path_in("/guarded"), Mark())], "/guarded/x").status_code == 204
    assert ask([when(path_in("/guarded"), Mark())], "/other").status_code == 200


def test_static_files_stand_below_the_mount_point(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("file")
    chain = [StaticFiles(folders={"/static": tmp_path})]
    assert ask(chain, "/static/a.txt").text == "file"


@pytest.mark.parametrize("detail", [False, True])
def test_a_presets_probes_answer_below_the_mount_point(ask: Any, detail: bool) -> None:
    chain = presets.behind_load_balancer(
        trust=("192.0.2.1",), hosts=("example.org",), health=Health(detail=detail, live_path="/up")
    )
    response = ask(list(chain), "/up", headers={"host": "10.0.0.1"})
    assert response.status_code == 200
    assert (json.loads(response.text)["status"] if detail else response.text.strip()) == "ok"


@pytest.mark.parametrize(
    "make",
    [
        lambda paths: AccessLog(skip=paths),
        lambda paths: RateLimit(limits="1/minute", exempt=paths),
        lambda paths: TrustedHost(allowed=("example.org",), exempt=paths),
        lambda paths: BodyLimit(max_bytes=1, paths=dict.fromkeys(paths, 1)),
        lambda paths: SecurityHeaders(paths={path: {} for path in paths}),
        lambda paths: Metrics(path=paths[0]),
        lambda paths: Health(live_path=paths[0]),
        lambda paths: path_in(*paths),
    ],
    ids=["AccessLog", "RateLimit", "TrustedHost", "BodyLimit", "SecurityHeaders", "Metrics", "Health", "path_in"],
)
def test_an_option_path_that_matches_no_request_is_refused(make: Callable[[tuple[str, ...]], object]) -> None:
    make(("/healthz",))
    with pytest.raises(ConfigurationError, match="'healthz'"):
        make(("healthz",))


#: What a middleware sees of a path and a root path, as servers give them: path, root_path -> local_path.
SEEN = {
    ("/api/item", "/api"): "/item",
    ("/item", "/api"): "/item",  # a proxy cut it off, and Hypercorn, Daphne or Granian has the root path
    ("/api//item", "/api/"): "/item",  # uvicorn --root-path /api/
    ("/api/item", "/api/"): "/item",  # Hypercorn --root-path /api/
    ("api/item", "api"): "/item",  # uvicorn --root-path api
    ("/api/item", "api"): "/item",
    ("/api", "/api"): "",
    ("/apix", "/api"): "/apix",
    ("/api/api/item", "/api"): "/api/item",
    ("*", "/api"): "*",
    ("/é/x", "/é"): "/x",
}


@pytest.mark.parametrize(("path", "root_path"), SEEN)
def test_a_local_path_is_the_path_without_the_root_path(path: str, root_path: str) -> None:
    request = AsgiRequest({"type": "http", "path": path, "root_path": root_path, "headers": []})
    assert request.local_path == SEEN[path, root_path]
    root = "/" + root_path.strip("/")
    whole = "*" if path == "*" else root + request.local_path
    assert (request.root_path, request.path) == (root, whole)
    assert unquote(request.raw_path.decode()) == whole


@pytest.mark.parametrize("root_path", ["", "/api", "/api/", "api"])
@pytest.mark.parametrize("older", [False, True])
def test_a_mount_works_with_every_spelling_of_a_root_path(root_path: str, older: bool) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["root_path"], scope["path"], scope["raw_path"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    path = "/m/item" if older else root_path + "/m/item"
    mount = Mount({"/m": app})
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "root_path": root_path, "headers": []}

    async def send(message: Any) -> None: ...

    asyncio.run(mount.asgi({**scope, "method": "GET", "asgi": {}}, send, send))  # type: ignore[arg-type]
    root = "/api" if root_path else ""
    assert seen == [(f"{root}/m", f"{root}/m/item", f"{root}/m/item".encode())]
