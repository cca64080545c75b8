"""Cors: preflights, marks, Vary, and the Origin of WebSockets."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware.cors import Cors
from gateway.middleware.rate_limit import RateLimit
from gateway.middleware.trusted_host import TrustedHost
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Answer, Script, Stack
from tests.shows import shows

APP = "https://app.example"
EVIL = "https://evil.example"
OURS = Cors(origins=(APP,), methods=("GET", "PUT"), headers=("X-Token",), credentials=True, expose=("X-Total",))


def marks(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers if name.lower().startswith("access-control-")}


def preflight(chain: Stack, origin: str, method: str = "PUT", headers: str | None = "x-token", **more: str) -> Answer:
    fields = [("Origin", origin), ("Access-Control-Request-Method", method)]
    if headers is not None:
        fields.append(("Access-Control-Request-Headers", headers))
    fields += [(name.replace("_", "-"), value) for name, value in more.items()]
    return chain.request("/", method="OPTIONS", headers=fields)


@shows("A preflight is OPTIONS with Origin and Access-Control-Request-Method, answered 204 without the application")
def test_a_preflight_is_answered_without_the_application(stack: MakeStack) -> None:
    answer = preflight(stack(OURS), APP)
    assert (answer.status, answer.body, answer.seen) == (204, b"", [])
    assert marks(answer) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "X-Token",
        "access-control-max-age": "600",
    }
    assert answer.get("vary") == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@shows("A disallowed origin gets no Access-Control field at all; 403 by option")
def test_a_preflight_of_a_disallowed_origin_gets_no_cors_headers(stack: MakeStack) -> None:
    answer = preflight(stack(OURS), EVIL)
    assert (answer.status, marks(answer), answer.seen) == (204, {}, [])
    assert "Origin" in (answer.get("vary") or "")


@shows("A disallowed origin gets no Access-Control field at all; 403 by option")
def test_a_disallowed_origin_can_be_refused(stack: MakeStack) -> None:
    chain = stack(Cors(origins=(APP,), refuse=True))
    refused = preflight(chain, EVIL)
    assert (refused.status, marks(refused)) == (403, {})
    assert chain.request(headers=[("Origin", EVIL)]).status == 403
    assert chain.request(headers=[("Origin", APP)]).status == 200
    assert chain.request(headers=[("Origin", "http://here.example"), ("Host", "here.example")]).status == 200


@shows("A preflight is OPTIONS with Origin and Access-Control-Request-Method, answered 204 without the application")
@pytest.mark.parametrize(
    "fields",
    [[("Origin", APP)], [("Access-Control-Request-Method", "GET")], []],
    ids=["no-method", "no-origin", "plain"],
)
def test_an_options_request_without_preflight_headers_reaches_the_application(
    stack: MakeStack, fields: list[tuple[str, str]]
) -> None:
    assert len(stack(OURS).request(method="OPTIONS", headers=fields).seen) == 1


@shows("Exposed fields, max age, private network")
def test_an_allowed_origin_may_read_the_answer(stack: MakeStack) -> None:
    answer = stack(OURS).request(headers=[("Origin", APP)])
    assert marks(answer) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Total",
    }
    assert (answer.body, answer.get("vary")) == (b"hello", "Origin")


@shows("A disallowed origin gets no Access-Control field at all; 403 by option")
@pytest.mark.parametrize(
    "origin",
    [
        EVIL,
        "null",
        "https://app.example.evil.example",
        "https://APP.example",
        "http://app.example",
        "https://app.example:444",
        "x",
    ],
)
def test_a_disallowed_origin_gets_a_response_without_cors_headers(stack: MakeStack, origin: str) -> None:
    answer = stack(OURS).request(headers=[("Origin", origin)])
    assert (answer.body, marks(answer), answer.get("vary")) == (b"hello", {}, "Origin")


@shows(
    "Vary names Origin and the request fields whenever the answer depends on them, also without Origin, never doubled"
)
def test_a_response_without_origin_has_vary_too(stack: MakeStack) -> None:
    answer = stack(OURS).request()
    assert (marks(answer), answer.get("vary")) == ({}, "Origin")


@shows(
    "Vary names Origin and the request fields whenever the answer depends on them, also without Origin, never doubled"
)
@pytest.mark.parametrize("vary", ["Cookie", "origin", "Origin, Cookie", "*"])
def test_vary_is_merged_and_never_doubled(stack: MakeStack, vary: str) -> None:
    answer = stack(OURS, script=Script(headers=(("Vary", vary),))).request(headers=[("Origin", APP)])
    assert answer.get("vary") == {"Cookie": "Cookie, Origin"}.get(vary, vary)


@shows("A fully public answer has * and no Vary")
def test_a_response_for_any_origin_has_a_star_and_no_vary(stack: MakeStack) -> None:
    public = Cors(origins=("*",), expose=("X-Total",))
    for fields in ([("Origin", EVIL)], []):
        answer = stack(public).request(headers=fields)
        assert marks(answer) == {"access-control-allow-origin": "*", "access-control-expose-headers": "X-Total"}
        assert answer.get("vary") is None


@shows("null only if named; a regular expression matches whole")
def test_null_is_allowed_only_by_name(stack: MakeStack) -> None:
    chain = stack(Cors(origins=("null",)))
    assert marks(chain.request(headers=[("Origin", "null")])) == {"access-control-allow-origin": "null"}


@shows("null only if named; a regular expression matches whole")
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.apps.example", True),
        ("https://a.apps.example.evil.example", False),
        ("xhttps://a.apps.example", False),
    ],
)
def test_a_regular_expression_matches_whole(stack: MakeStack, origin: str, allowed: bool) -> None:
    chain = stack(Cors(origin_regex=r"https://[a-z]+\.apps\.example"))
    assert bool(marks(chain.request(headers=[("Origin", origin)]))) is allowed


@shows("Requested field names are allowed by list or by *, and checked before they are echoed")
def test_a_star_allows_any_valid_requested_header(stack: MakeStack) -> None:
    chain = stack(Cors(origins=(APP,), headers=("*",)))
    assert marks(preflight(chain, APP, headers="x-a,X-B"))["access-control-allow-headers"] == "x-a, X-B"
    assert "access-control-allow-headers" not in marks(preflight(chain, APP, headers="x-a, b ad"))
    assert "access-control-allow-headers" not in marks(preflight(chain, APP, headers=None))


def test_a_preflight_for_any_origin_allows_only_named_methods(stack: MakeStack) -> None:
    answer = preflight(stack(Cors(origins=("*",), methods=())), EVIL)
    assert (answer.status, marks(answer)) == (
        204,
        {"access-control-allow-origin": "*", "access-control-max-age": "600"},
    )


@shows("A preflight is never counted or authenticated by what stands inside, and its names are compared without case")
def test_a_preflight_is_not_counted_by_a_limit_inside(stack: MakeStack) -> None:
    chain = stack(OURS, RateLimit(limits="1/hour", namespace="preflights"))
    assert [preflight(chain, APP).status for _ in range(3)] == [204, 204, 204]
    assert [chain.request(headers=[("Origin", APP)]).status for _ in range(2)] == [200, 429]


@shows("A preflight is never counted or authenticated by what stands inside, and its names are compared without case")
def test_names_of_fields_are_compared_without_case(stack: MakeStack) -> None:
    chain = stack(OURS)
    for spell in (str.lower, str.upper, str.title):
        fields = [(spell("origin"), APP), (spell("access-control-request-method"), "PUT")]
        answer = chain.request(method="OPTIONS", headers=fields)
        assert (answer.status, marks(answer)["access-control-allow-origin"]) == (204, APP)
    own = Script(headers=(("ACCESS-control-ALLOW-origin", "https://own.example"), ("VARY", "origin")))
    answer = stack(OURS, script=own).request(headers=[("Origin", APP)])
    assert marks(answer) == {"access-control-allow-origin": "https://own.example"}


@shows("Exposed fields, max age, private network")
def test_a_private_network_is_opened_only_by_option(stack: MakeStack) -> None:
    asked = {"Access_Control_Request_Private_Network": "true"}
    name = "access-control-allow-private-network"
    assert marks(preflight(stack(Cors(origins=(APP,), private_network=True)), APP, **asked))[name] == "true"
    assert name not in marks(preflight(stack(Cors(origins=(APP,), private_network=True)), APP))
    assert name not in marks(preflight(stack(Cors(origins=(APP,))), APP, **asked))


@shows("The application's own Access-Control-Allow-Origin is respected")
def test_the_applications_own_marks_stay(stack: MakeStack) -> None:
    own = Script(headers=(("Access-Control-Allow-Origin", "https://own.example"),))
    answer = stack(OURS, script=own).request(headers=[("Origin", APP)])
    assert marks(answer) == {"access-control-allow-origin": "https://own.example"}


@shows("Error answers are marked too")
@pytest.mark.parametrize("status", [404, 500])
def test_error_responses_get_cors_headers_too(stack: MakeStack, status: int) -> None:
    assert marks(stack(OURS, script=Script(status=status)).request(headers=[("Origin", APP)]))


@shows("Error answers are marked too")
def test_refusals_of_inner_middleware_get_cors_headers(stack: MakeStack) -> None:
    chain = stack(OURS, TrustedHost(allowed=("here.example",)))
    answer = chain.request(headers=[("Origin", APP), ("Host", "other.example")])
    assert (answer.status, marks(answer)["access-control-allow-origin"]) == (400, APP)


@shows("A WebSocket from a disallowed origin is refused", once="WebSockets are ASGI's")
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (APP, 101),
        (EVIL, 403),
        ("null", 403),
        ("http://here.example", 101),
        ("http://here.example:81", 403),
        ("https://here.example", 403),
        (None, 101),
    ],
)
def test_a_websocket_is_opened_by_allowed_and_own_origins_only(
    socket_stack: MakeStack, origin: str | None, status: int
) -> None:
    fields = [("Host", "here.example")] + ([("Origin", origin)] if origin else [])
    assert socket_stack(OURS).handshake(headers=fields).status == status


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"origins": ("*",)}, "any page could act as the user; name the origins"),
        ({"headers": ("*",)}, r'headers=\("\*",\), because with credentials browsers read "\*" as a name'),
        ({"methods": ("*",)}, r'methods=\("\*",\), because with credentials browsers'),
        ({"expose": ("*",)}, r'expose=\("\*",\), because with credentials browsers'),
    ],
    ids=["origins", "headers", "methods", "expose"],
)
def test_a_star_with_credentials_is_refused_for_its_own_reason(option: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Cors(**{"origins": (APP,), "credentials": True, **option})


@shows("Credentials never go with a wildcard: an error when built", once="it never gets as far as a driver")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"origins": APP},
        {"origins": ("*",), "credentials": True},
        {"origins": (APP,), "headers": ("*",), "credentials": True},
        {"origins": ("*", APP)},
        {"origins": ("https://app.example/",)},
        {"origins": ("https://app.example:443",)},
        {"origins": ("app.example",)},
        {"origins": ("https://*.example",)},
        {"origins": (APP,), "methods": ("G ET",)},
        {"origins": (APP,), "max_age": -1},
        {"origin_regex": "("},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="Cors"):
        Cors(**options)  # type: ignore[arg-type]
