"""Errors: what the client may know, in the form that it prefers, and only while it is not too late."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import bottle
import falcon
import litestar.exceptions
import pyramid.httpexceptions
import pytest
import starlette.exceptions
import werkzeug.exceptions
from django.core.exceptions import PermissionDenied
from django.http import Http404
from prometheus_client import CollectorRegistry

from gateway.contract import Refuse
from gateway.errors import ConfigurationError
from gateway.exchange import Response
from gateway.middleware.body_limit import BodyLimit
from gateway.middleware.conditional_get import ConditionalGet
from gateway.middleware.cors import Cors
from gateway.middleware.errors import Errors
from gateway.middleware.health import Health
from gateway.middleware.https_redirect import HttpsRedirect
from gateway.middleware.metrics import Metrics
from gateway.middleware.proxy_headers import ProxyHeaders
from gateway.middleware.rate_limit import RateLimit
from gateway.middleware.request_id import RequestId
from gateway.middleware.static_files import StaticFiles
from gateway.middleware.trusted_host import TrustedHost
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Call, Script, Stack
from tests.shows import shows


class Shortage(Exception):
    """An application's own exception."""


class Famine(Shortage):
    """A narrower one."""


def failing(error: BaseException, after: int | None = None) -> Script:
    return Script(raises=error, raises_after=after, chunks=(b"one", b"two"))


@shows("Exceptions are problem details, text or HTML by Accept with its qualities")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("text/html, */*;q=0.1", "text/html; charset=utf-8"),
        ("text/plain;q=0.9, text/html;q=0.2", "text/plain; charset=utf-8"),
        ("application/json", "application/problem+json"),
        ("text/html;q=0, text/plain;q=0.1", "text/plain; charset=utf-8"),
    ],
)
def test_an_exception_is_a_problem_in_the_form_that_the_client_prefers(
    stack: MakeStack, accept: str | None, kind: str
) -> None:
    fields = [("Accept", accept)] if accept else []
    answer = stack(Errors(), script=failing(RuntimeError("secret"))).request(headers=fields)
    assert (answer.status, answer.error, answer.get("content-type")) == (500, None, kind)
    assert b"secret" not in answer.body
    if kind == "application/problem+json":
        assert json.loads(answer.body)["status"] == 500


EXPECTED = [
    ("werkzeug", werkzeug.exceptions.NotFound("no page"), 404, "no page"),
    ("starlette", starlette.exceptions.HTTPException(418, "teapot"), 418, "teapot"),
    ("litestar", litestar.exceptions.NotAuthorizedException("who?"), 401, "who?"),
    ("falcon", falcon.HTTPConflict(title="t", description="again"), 409, "again"),
    ("django-404", Http404("private"), 404, None),
    ("django-403", PermissionDenied("private"), 403, None),
    ("pyramid", pyramid.httpexceptions.HTTPGone("gone"), 410, "gone"),
    ("bottle", bottle.HTTPError(409, "conflict"), 409, "conflict"),
    ("refuse", Refuse(429, "slow down"), 429, "slow down"),
]


@shows("A table of frameworks' exceptions, and of one's own by the nearest class")
@pytest.mark.parametrize(
    ("error", "status", "detail"), [case[1:] for case in EXPECTED], ids=[case[0] for case in EXPECTED]
)
def test_exceptions_that_frameworks_make_for_clients_keep_status_and_sentence(
    stack: MakeStack, error: Exception, status: int, detail: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    answer = stack(Errors(), script=failing(error)).request()
    assert answer.status == status
    assert json.loads(answer.body).get("detail") == detail
    assert not caplog.records


@shows("A table of frameworks' exceptions, and of one's own by the nearest class")
def test_a_frameworks_further_fields_are_kept(stack: MakeStack) -> None:
    error = starlette.exceptions.HTTPException(503, headers={"Retry-After": "5"})
    assert stack(Errors(), script=failing(error)).request().get("retry-after") == "5"


@shows("A table of frameworks' exceptions, and of one's own by the nearest class")
def test_the_nearest_class_decides_the_response_to_an_exception(stack: MakeStack) -> None:
    middleware = Errors(answers={Shortage: 503, Famine: lambda request, error: Response(200, body=f"ate {error}")})
    assert stack(middleware, script=failing(Shortage("x"))).request().status == 503
    assert stack(middleware, script=failing(Famine("all"))).request().body == b"ate all"


@shows("Never after the head is committed: then the exception goes on and the answer is cut")
def test_an_exception_after_the_headers_reaches_the_server_and_cuts_the_response(stack: MakeStack) -> None:
    answer = stack(Errors(), script=failing(RuntimeError("late"), after=1)).request()
    assert (answer.status, answer.body) == (200, b"one")
    assert isinstance(answer.error, RuntimeError)


@shows("Unexpected exceptions are logged with traceback and request id")
def test_an_unexpected_exception_is_logged_with_its_traceback(
    stack: MakeStack, caplog: pytest.LogCaptureFixture
) -> None:
    answer = stack(RequestId(), Errors(), script=failing(RuntimeError("secret"))).request("/a\n%0ab?x")
    [record] = [record for record in caplog.records if record.name == "gateway.middleware.errors"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is not None
    assert record.request_id == answer.get("x-request-id")  # type: ignore[attr-defined]
    assert json.loads(answer.body)["request_id"] == answer.get("x-request-id")


@shows("Unexpected exceptions are logged with traceback and request id")
def test_logging_can_be_turned_off(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    stack(Errors(log=False), script=failing(RuntimeError("x"))).request()
    assert not caplog.records


@shows("The debug page only with debug=True and a loopback peer")
@pytest.mark.parametrize(
    ("client", "shown"), [(("127.0.0.1", 1), True), (("::1", 1), True), (("203.0.113.1", 1), False), (None, False)]
)
def test_a_traceback_is_shown_only_with_debug_and_on_this_machine(
    stack: MakeStack, client: tuple[str, int] | None, shown: bool
) -> None:
    script = failing(RuntimeError("secret"))
    for accept in ("text/html", "application/json"):
        answer = stack(Errors(debug=True), script=script).request(client=client, headers=[("Accept", accept)])
        assert (answer.status, b"secret" in answer.body, b"Traceback" in answer.body) == (500, shown, shown)
    assert b"secret" not in stack(Errors(), script=script).request(client=("127.0.0.1", 1)).body


@shows("The debug page only with debug=True and a loopback peer")
def test_a_client_behind_a_local_proxy_is_not_on_this_machine(stack: MakeStack) -> None:
    chain = stack(ProxyHeaders(trust=("127.0.0.1",)), Errors(debug=True), script=failing(RuntimeError("secret")))
    answer = chain.request(client=("127.0.0.1", 1), headers=[("X-Forwarded-For", "203.0.113.1")])
    assert b"secret" not in answer.body


@shows("A line of the log cannot be forged, and a client of a local proxy sees no traceback")
@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "CF-Connecting-IP"])
def test_a_local_proxy_without_proxy_headers_in_the_chain_shows_nothing(stack: MakeStack, name: str) -> None:
    chain = stack(Errors(debug=True), script=failing(RuntimeError("secret")))
    answer = chain.request(client=("127.0.0.1", 1), headers=[(name, "203.0.113.1")])
    assert b"secret" not in answer.body


@shows("A line of the log cannot be forged, and a client of a local proxy sees no traceback")
def test_a_client_cannot_forge_or_break_a_line_of_the_log(stack: MakeStack, caplog: pytest.LogCaptureFixture) -> None:
    stack(Errors(), script=failing(RuntimeError("x"))).request("/a\n\x1b[31m\x85ERROR\xe9")
    [record] = [record for record in caplog.records if record.name == "gateway.middleware.errors"]
    assert record.getMessage().isascii()
    assert record.getMessage().isprintable()
    caplog.clear()
    stack(Errors(), script=failing(RuntimeError("x"))).request("/" + "a" * 60_000)
    [record] = [record for record in caplog.records if record.name == "gateway.middleware.errors"]
    assert len(record.getMessage()) < 3000


@shows("The debug page only with debug=True and a loopback peer")
def test_a_forged_loopback_address_shows_nothing(stack: MakeStack) -> None:
    chain = stack(ProxyHeaders(trust=("10.0.0.1",)), Errors(debug=True), script=failing(RuntimeError("secret")))
    answer = chain.request(client=("10.0.0.1", 1), headers=[("X-Forwarded-For", "127.0.0.1")])
    assert b"secret" not in answer.body


@shows("It stands inside Cors, RequestId and AccessLog, whose fields an answered exception still gets")
def test_a_handled_exception_passes_the_outer_middleware(stack: MakeStack) -> None:
    chain = stack(RequestId(), Cors(origins=("https://app.example",)), Errors(), script=failing(RuntimeError("x")))
    answer = chain.request(headers=[("Origin", "https://app.example")])
    assert (answer.status, answer.get("access-control-allow-origin")) == (500, "https://app.example")
    assert answer.get("x-request-id") is not None


class Stop(BaseException):
    """What is no Exception: the process is to end, or the task."""


REFUSALS = {
    "host-400": (lambda folder: [TrustedHost(allowed=("example.org",))], Call("GET", headers=(("Host", "x"),)), 400),
    "host-421": (
        lambda folder: [TrustedHost(allowed=("example.org",), status=421)],
        Call("GET", headers=(("Host", "evil.example"),)),
        421,
    ),
    "origin-403": (
        lambda folder: [Cors(origins=("https://a.example",), refuse=True)],
        Call("GET", headers=(("Host", "example.org"), ("Origin", "https://evil.example"))),
        403,
    ),
    "file-405": (lambda folder: [StaticFiles(folders={"/": folder})], Call("POST", "/file.txt"), 405),
    "file-412": (
        lambda folder: [StaticFiles(folders={"/": folder})],
        Call("GET", "/file.txt", headers=(("If-Match", '"x"'),)),
        412,
    ),
    "file-416": (
        lambda folder: [StaticFiles(folders={"/": folder})],
        Call("GET", "/file.txt", headers=(("Range", "bytes=99-"),)),
        416,
    ),
    "probe-405": (lambda folder: [Health()], Call("POST", "/livez"), 405),
    "scrape-403": (
        lambda folder: [Metrics(allow=("192.0.2.1",), registry=CollectorRegistry())],
        Call("GET", "/metrics"),
        403,
    ),
    "body-413": (lambda folder: [BodyLimit(max_bytes=1)], Call("POST", body=b"xx"), 413),
    "limit-429": (lambda folder: [RateLimit(limits="1/hour", cost=lambda request: 2)], Call("GET"), 429),
    "store-503": (
        lambda folder: [RateLimit(limits="1/hour", store="redis+unix:///nowhere", on_store_error="closed")],
        Call("GET"),
        503,
    ),
    "condition-412": (lambda folder: [ConditionalGet()], Call("GET", headers=(("If-Match", '"x"'),)), 412),
    "redirect-400": (lambda folder: [HttpsRedirect()], Call("GET", headers=(("Host", "example.org"),)), 400),
}


@shows("Every refusal of the other middleware, 400 to 503, is rendered the same way, and a mount's 404 too")
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/problem+json"),
        ("text/html", "text/html; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
    ],
)
def test_every_refusal_of_the_other_middleware_is_rendered_the_same_way(
    stack: MakeStack, refusal: str, accept: str, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "file.txt").write_bytes(b"file")
    make, call, status = REFUSALS[refusal]
    answer = stack(*make(tmp_path)).request(replace(call, headers=(*call.headers, ("Accept", accept))))
    assert (answer.status, answer.get("content-type"), answer.get("vary")) == (status, kind, "Accept")
    assert answer.get("cache-control") == "no-store"
    assert str(status).encode() in answer.body


@shows("Every refusal of the other middleware, 400 to 503, is rendered the same way, and a mount's 404 too")
def test_a_mount_sends_a_404_in_the_same_form_for_unmounted_paths() -> None:
    from gateway.mount import Mount
    from gateway.testing import Client

    def app(environ: object, start_response: object) -> list[bytes]:
        raise AssertionError("not called")

    with Client(Mount({"/api": app})) as client:
        answer = client.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_only_exceptions_are_turned_into_responses() -> None:
    for kind in ("wsgi", "asgi"):
        chain = Stack(kind, [Errors()], failing(Stop()))
        with pytest.raises(Stop):
            chain.request()
        chain.close()


@pytest.mark.parametrize("answers", [{ValueError: 200}, {int: 500}, {ValueError("x"): 500}])
def test_a_wrong_option_is_refused_when_built(answers: dict[object, object]) -> None:
    with pytest.raises(ConfigurationError, match="Errors"):
        Errors(answers=answers)  # type: ignore[arg-type]
