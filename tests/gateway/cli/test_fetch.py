"""``gateway fetch`` calls an application in this process, and prints its response and its time line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli._group import group

SITE = """
import contextvars
from gateway import Gateway
from gateway.middleware import RequestId

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/raises":
        raise LookupError("no database")
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    status = "404 Not Found" if environ["PATH_INFO"] == "/nothing" else "200 OK"
    start_response(status, [("X-Method", environ["REQUEST_METHOD"]), ("X-Type", environ.get("CONTENT_TYPE", "-"))])
    return [body or environ["QUERY_STRING"].encode() or b"hello"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["ready"] = b"started"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["state"]["ready"]})

wsgi_chain = Gateway(wsgi, middleware=[RequestId()])
asgi_chain = Gateway(asgi, middleware=[RequestId()])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "sv_fetched.py").write_text(SITE)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    sys.modules.pop("sv_fetched", None)


def fetch(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["fetch", *arguments, "--app-dir", str(folder)])


@pytest.mark.parametrize("name", ["wsgi", "wsgi_chain"])
@pytest.mark.parametrize("spoken", [(), ("--as", "asgi")], ids=["native", "adapted"])
def test_a_wsgi_application_answers_in_both_interfaces(folder: Path, name: str, spoken: tuple[str, ...]) -> None:
    done = fetch(folder, f"sv_fetched:{name}", "/a?b=%20", "-i", *spoken)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:3] == ["HTTP/1.1 200 OK", "x-method: GET", "x-type: -"]
    assert done.stdout.endswith("\n\nb=%20")


@pytest.mark.parametrize("name", ["asgi", "asgi_chain"])
@pytest.mark.parametrize("spoken", [(), ("--as", "wsgi")], ids=["native", "adapted"])
def test_an_asgi_application_is_started_first(folder: Path, name: str, spoken: tuple[str, ...]) -> None:
    done = fetch(folder, f"sv_fetched:{name}", *spoken)
    assert (done.exit_code, done.stdout) == (0, "started")


def test_data_is_posted_as_a_form_unless_a_type_is_given(folder: Path) -> None:
    (folder / "body").write_bytes(b"from a file")
    done = fetch(folder, "sv_fetched:wsgi", "/", "-d", "a=1", "-i")
    assert "x-method: POST\nx-type: application/x-www-form-urlencoded\n\na=1" in done.stdout
    header = "Content-Type: text/plain"
    done = fetch(folder, "sv_fetched:wsgi", "/", "-X", "PUT", "-d", f"@{folder / 'body'}", "-H", header, "-i")
    assert "x-method: PUT\nx-type: text/plain\n\nfrom a file" in done.stdout


def test_a_head_request_prints_headers_only(folder: Path) -> None:
    assert fetch(folder, "sv_fetched:wsgi", "/", "-I").stdout == "HTTP/1.1 200 OK\nx-method: HEAD\nx-type: -\n\n"


def test_a_refusal_is_status_22_on_request(folder: Path) -> None:
    assert fetch(folder, "sv_fetched:wsgi", "/nothing").exit_code == 0
    assert fetch(folder, "sv_fetched:wsgi", "/nothing", "--fail").exit_code == 22


def test_the_trace_shows_middleware_events_and_hand_offs(folder: Path) -> None:
    said = fetch(folder, "sv_fetched:wsgi_chain", "/", "--trace").stderr
    order = [
        "> RequestId",
        "called (WSGI)",
        "start_response('200 OK', 2 headers)",
        "yields 5 bytes",
        "< RequestId: 200",
    ]
    order += ["  RequestId: completed"]
    assert [said.index(each) for each in order] == sorted(said.index(each) for each in order)
    assert "hand-off" not in said, "one thread does everything"
    said = fetch(folder, "sv_fetched:wsgi_chain", "/", "--as", "asgi", "--trace").stderr
    assert said.count("hand-off: MainThread to ") >= 1
    said = fetch(folder, "sv_fetched:asgi", "/", "--trace").stderr
    assert "sends http.response.body, 7 bytes" in said


WRONG = [
    (("sv_fetched:wsgi", "a"), "a path must be percent-encoded and start with '/'"),
    (("sv_fetched:wsgi", "/", "-H", "broken"), "--header must be 'NAME: VALUE'"),
    (("sv_fetched:wsgi", "/", "-d", "@/no/such"), "--data @/no/such: No such file or directory"),
    (("sv_fetched:wsgi", "/raises"), "sv_fetched:wsgi raised LookupError: no database"),
    (("sv_absent:app", "/"), "no module named 'sv_absent'"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[said for _, said in WRONG])
def test_each_fault_is_one_line_and_status_2(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = fetch(folder, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]
