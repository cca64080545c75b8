"""The reports of a matrix, the requests of a file, and the page that is generated from the known quirks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway import servers
from gateway.errors import ConfigurationError
from gateway.matrix import BUILTIN, QUIRKS, Configuration, Difference, Matrix, Quirk, Reference, Stale, read_requests
from gateway.matrix import _report as report
from gateway.matrix._proxies import PROXIES
from tests.gateway.matrix.quirk_page import PAGE, generated

QUIRK = Quirk(servers={"one": ""}, requests=("home",), point="status", value="400", why="It refuses <b>.")
KNOWN = Difference("home", "status", "200", "400", QUIRK)
UNKNOWN = Difference("query", "body", "a|b", "<script>")
RESULT = Matrix(
    Reference("shop:app", "wsgi", [], [], []),
    [
        Configuration("one", "1.0", "wsgi", requests=3, differences=[KNOWN, UNKNOWN]),
        Configuration("two", "2.0", "asgi", "nginx", "1.22", failure="no licence"),
    ],
    [Stale("one", "home", QUIRK)],
    1.4,
)


def test_the_json_holds_every_difference_with_its_reason() -> None:
    found = json.loads(json.dumps(report.as_dict(RESULT)))
    assert found["unknown"] == 2, "a server that did not start counts"
    one, two = found["configurations"]
    assert [each["known"] for each in one["differences"]] == ["It refuses <b>.", None]
    assert (two["proxy"], two["proxy_version"], two["failure"]) == ("nginx", "1.22", "no licence")
    assert found["stale"] == [{"server": "one", "request": "home", "point": "status", "why": "It refuses <b>."}]


def test_the_markdown_has_a_row_for_each_configuration() -> None:
    lines = report.as_markdown(RESULT).splitlines()
    assert lines[2] == "| one | 1.0 | WSGI | 3 | 1 | 1 | 1 |"
    assert lines[3] == "| nginx > two | 1.22 > 2.0 | ASGI | 0 | 0 | 0 | did not start |"
    assert "- one: query: body is '<script>' instead of 'a\\|b'" in lines
    assert "- nginx > two did not start: no licence" in lines


def test_the_html_is_one_escaped_page_that_loads_nothing() -> None:
    page = report.as_html(RESULT)
    assert page.startswith("<!doctype html>")
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert re.findall(r"(?:src|href|url)\s*[=(]", page) == []


def test_each_reason_is_named_once_with_its_requests() -> None:
    assert report.explained(RESULT.configurations[0]) == {"It refuses <b>.": ["home"]}


def test_a_file_of_requests_is_read(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text('[[request]]\npath = "/a"\nmethod = "PUT"\nbody = "x"\nheaders = {X-A = "1"}\n')
    (one,) = read_requests(toml)
    assert (one.name, one.method, one.path, one.body, one.headers) == ("PUT /a", "PUT", "/a", b"x", (("X-A", "1"),))
    given = tmp_path / "a.json"
    given.write_text(
        json.dumps([{"path": "/b", "name": "b", "headers": [["X-A", "1"], ["X-A", "2"]], "chunked": True}])
    )
    (other,) = read_requests(given)
    assert (other.name, other.headers, other.chunked) == ("b", (("X-A", "1"), ("X-A", "2")), True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no requests"),
        ("[[request", "cannot be read"),
        ("request = [1]", "request 1 must be a table"),
        ('[[request]]\npath = "a"', "path must be percent-encoded and start with '/', got 'a'"),
        ('[[request]]\npath = "/a"\npaths = 1', "unknown key 'paths'"),
        ('[[request]]\npath = "/a"\nmethod = 1', "method must be text"),
        ('[[request]]\npath = "/a"\n[[request]]\npath = "/a"', "several requests have the name 'GET /a'"),
    ],
)
def test_a_wrong_file_of_requests_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        read_requests(file)


def test_every_quirk_names_servers_requests_and_a_reason_that_there_are() -> None:
    known = {*servers.names(), *(proxy.name for proxy in PROXIES)}
    requests = {request.name for request in BUILTIN}
    for quirk in QUIRKS:
        assert set(quirk.servers) <= known
        assert quirk.requests
        assert set(quirk.requests) <= requests
        assert quirk.why.endswith(".")
    assert len({request.name for request in BUILTIN}) == len(BUILTIN)


def test_the_page_holds_the_current_quirks() -> None:
    assert generated() in PAGE.read_text(encoding="utf-8"), "run: python -m tests.gateway.matrix.quirk_page"
