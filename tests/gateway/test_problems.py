"""One renderer of refusals: problem details, HTML or text, as Accept prefers."""

from __future__ import annotations

import json

import pytest

from gateway._requests import AsgiRequest
from gateway.contract import Refuse
from gateway.exchange import Response
from gateway.problems import MEDIA_TYPES, preferred_media_type, problem, refusal

JSON, HTML, TEXT = MEDIA_TYPES


def request(accept: str | None) -> AsgiRequest:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return AsgiRequest({"type": "http", "method": "GET", "path": "/", "headers": headers})


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/html", HTML),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("text/plain", TEXT),
        ("text/*", HTML),
        ("text/*;q=0.5, text/plain", TEXT),
        ("application/json", JSON),
        ("application/*;q=0.1, text/html;q=0.2", HTML),
        ("text/html;q=0.8, application/json;q=0.9", JSON),
        ("application/problem+json;q=0, */*", HTML),
        ("application/json;q=0, application/problem+json", JSON),
        ("application/problem+json;q=0.1, application/json;q=0.9, text/html;q=0.5", HTML),
        ("image/png", JSON),
        ("text/html;q=0", JSON),
        ("TEXT/HTML; Q=0.7", HTML),
        ("text/html;q=junk, text/plain;q=0.1", TEXT),
        ("text/html;q=nan, text/plain;q=0.1", TEXT),
        ("text/html;q=7, text/plain;q=0.1", TEXT),
        ("text/html;level=1", HTML),
        (", ,text/plain", TEXT),
    ],
)
def test_the_form_is_what_accept_prefers(accept: str | None, expected: str) -> None:
    assert preferred_media_type(accept) == expected
    response = problem(request(accept), 404)
    assert str(response.headers.get("content-type")).partition(";")[0] == expected


def test_problem_details_have_the_members_of_rfc_9457() -> None:
    response = problem(
        request(None),
        429,
        "Slow down.",
        title="Too fast",
        type="https://example.org/fast",
        instance="/r/1",
        extensions={"retry": 3},
        headers={"retry-after": "3"},
    )
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "type": "https://example.org/fast",
        "title": "Too fast",
        "status": 429,
        "detail": "Slow down.",
        "instance": "/r/1",
        "retry": 3,
    }
    assert response.status == 429
    assert response.headers.get("retry-after") == "3"
    assert response.headers.get("content-length") == str(len(response.body))
    assert response.headers.get("cache-control") == "no-store"
    assert response.headers.get("vary") == "Accept"


def test_what_is_not_given_is_not_said() -> None:
    response = problem(None, 500)
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {"type": "about:blank", "title": "Internal Server Error", "status": 500}


def test_html_is_escaped() -> None:
    body = problem(request("text/html"), 400, "<script>&", title="<b>").body
    assert isinstance(body, bytes)
    assert b"&lt;script&gt;&amp;" in body
    assert b"<b>" not in body


def test_text_is_plain() -> None:
    assert problem(request("text/plain"), 404, "No such page.").body == b"404 Not Found\nNo such page.\n"
    assert problem(request("text/plain"), 404).body == b"404 Not Found\n"


def test_a_cache_control_of_the_caller_stays() -> None:
    assert problem(None, 404, headers={"cache-control": "max-age=5"}).headers.get_all("cache-control") == ["max-age=5"]


@pytest.mark.parametrize("status", [200, 399, 600])
def test_a_problem_has_an_error_status(status: int) -> None:
    with pytest.raises(ValueError, match="400 to 599"):
        problem(None, status)


def test_an_extension_must_not_hide_a_member() -> None:
    with pytest.raises(ValueError, match="status"):
        problem(None, 404, extensions={"status": 200})


def test_a_refusal_is_rendered_or_sent_as_it_is() -> None:
    own = Response(403, body="mine")
    assert refusal(None, Refuse(403, response=own)) is own
    rendered = refusal(request("text/plain"), Refuse(413, "Too large.", headers={"connection": "close"}))
    assert isinstance(rendered.body, bytes)
    assert rendered.body.endswith(b"\nToo large.\n")
    assert rendered.headers.get("connection") == "close"
