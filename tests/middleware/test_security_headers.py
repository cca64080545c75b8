"""SecurityHeaders: presets, the application's own word, and nonces only where they are used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.middleware.security_headers import PRESETS, SecurityHeaders
from tests.middleware.conftest import MakeStack
from tests.middleware.stacks import Script, Seen
from tests.shows import shows


@shows("Presets api, web and strict: nosniff, Referrer-Policy, COOP, COEP, CORP, Permissions-Policy, frames, CSP")
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_adds_its_fields_once(stack: MakeStack, preset: str) -> None:
    answer = stack(SecurityHeaders(preset=preset)).request()  # type: ignore[arg-type]
    for name, value in PRESETS[preset].items():
        assert answer.all(name) == [value]
    assert answer.body == b"hello"


def test_the_page_shows_what_each_preset_sends() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "middleware" / "security_headers.md").read_text("utf-8")
    told: dict[str, dict[str, str]] = {name: {} for name in PRESETS}
    for field, *values in re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE):
        told = {name: {**told[name], field: value.strip("`")} for name, value in zip(PRESETS, values, strict=True)}
    assert {name: {f: v for f, v in fields.items() if v != "–"} for name, fields in told.items()} == PRESETS


@shows("What the application sets wins; override by option")
def test_headers_of_the_application_are_kept(stack: MakeStack) -> None:
    app = Script(headers=(("Referrer-Policy", "origin"), ("x-frame-options", "DENY")))
    answer = stack(SecurityHeaders(), script=app).request()
    assert (answer.all("referrer-policy"), answer.all("x-frame-options")) == (["origin"], ["DENY"])
    assert answer.get("x-content-type-options") == "nosniff"


@shows("What the application sets wins; override by option")
def test_override_replaces_what_the_application_sets(stack: MakeStack) -> None:
    app = Script(headers=(("Referrer-Policy", "origin"), ("Referrer-Policy", "unsafe-url")))
    answer = stack(SecurityHeaders(override=True), script=app).request()
    assert answer.all("referrer-policy") == ["strict-origin-when-cross-origin"]


@shows("Presets api, web and strict: nosniff, Referrer-Policy, COOP, COEP, CORP, Permissions-Policy, frames, CSP")
def test_headers_can_be_added_replaced_and_omitted(stack: MakeStack) -> None:
    options = {"X-Frame-Options": None, "referrer-policy": "same-origin", "X-Extra": "1"}
    answer = stack(SecurityHeaders(headers=options)).request()
    assert answer.get("x-frame-options") is None
    assert answer.all("referrer-policy") == ["same-origin"]
    assert answer.get("x-extra") == "1"


@shows("Overrides by path")
def test_paths_can_differ_by_whole_segments(stack: MakeStack) -> None:
    paths = {"/embed": {"X-Frame-Options": None}, "/embed/no": {"X-Frame-Options": "DENY"}}
    chain = stack(SecurityHeaders(paths=paths))
    frames = {
        target: chain.request(target).get("x-frame-options") for target in ("/", "/embed/x", "/embed/no", "/embedded")
    }
    assert frames == {"/": "SAMEORIGIN", "/embed/x": None, "/embed/no": "DENY", "/embedded": "SAMEORIGIN"}


@shows("Server and X-Powered-By are stripped")
def test_server_and_powered_by_are_stripped(stack: MakeStack) -> None:
    app = Script(headers=(("Server", "x/1"), ("X-Powered-By", "y"), ("X-Kept", "z")))
    answer = stack(SecurityHeaders(), script=app).request()
    assert (answer.get("server"), answer.get("x-powered-by"), answer.get("x-kept")) == (None, None, "z")
    kept = stack(SecurityHeaders(strip=()), script=app).request()
    assert kept.get("server") == "x/1"


POLICY = "default-src 'self'; script-src 'self' {nonce}; img-src *"


@shows("A lazy nonce for each request, in the policy only if read")
def test_a_nonce_that_was_read_is_in_the_policy_and_differs_each_time(stack: MakeStack) -> None:
    read: list[str] = []

    def act(seen: Seen) -> None:
        read.append(str(seen.state["csp_nonce"]))
        assert str(seen.state["csp_nonce"]) == read[-1]

    chain = stack(SecurityHeaders(content_security_policy=POLICY), script=Script(act=act))
    policies = [chain.request().get("content-security-policy") for _ in range(2)]
    assert policies == [f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; img-src *" for nonce in read]
    assert len(set(read)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22,}", nonce) for nonce in read)


@shows("A lazy nonce for each request, in the policy only if read")
def test_a_nonce_that_was_not_read_is_not_in_the_policy(stack: MakeStack) -> None:
    answer = stack(SecurityHeaders(content_security_policy=POLICY)).request()
    assert answer.get("content-security-policy") == "default-src 'self'; script-src 'self'; img-src *"


@shows("CSP and its report-only form")
def test_a_second_policy_reports_only(stack: MakeStack) -> None:
    middleware = SecurityHeaders(
        content_security_policy="default-src 'self'", report_only="default-src 'none'; report-to x"
    )
    answer = stack(middleware).request()
    assert answer.get("content-security-policy") == "default-src 'self'"
    assert answer.get("content-security-policy-report-only") == "default-src 'none'; report-to x"


@shows("CSP and its report-only form")
def test_the_applications_policy_wins_over_one_with_a_nonce(stack: MakeStack) -> None:
    app = Script(headers=(("Content-Security-Policy", "default-src 'none'"),))
    answer = stack(SecurityHeaders(content_security_policy=POLICY), script=app).request()
    assert answer.all("content-security-policy") == ["default-src 'none'"]


@shows("Values are checked and encoded when built", once="it never gets as far as a driver")
@pytest.mark.parametrize(
    "options",
    [
        {"preset": "paranoid"},
        {"headers": {"bad name": "x"}},
        {"headers": {"X-A": "a\r\nb: c"}},
        {"content_security_policy": "default-src\n'self'"},
        {"paths": {"embed": {}}},
        {"paths": {"/embed": {"X-A": "\n"}}},
        {"strip": "server"},
        {"strip": ["no token"]},
    ],
)
def test_a_wrong_option_is_refused_when_built(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="SecurityHeaders"):
        SecurityHeaders(**options)  # type: ignore[arg-type]
