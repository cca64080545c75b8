"""``gateway demo``: it finds what is different, and exits 0 only when nothing is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path

import pytest

from gateway.cli import _demo_apps
from gateway.cli.demo import REQUESTS, compare, demonstrate
from gateway.matrix._reference import Answer, call_asgi, call_wsgi
from gateway.matrix._requests import MatrixRequest
from gateway.matrix._wire import ask
from gateway.servers import Bind, Launch, get

#: Adapters that are wrong in one thing each, put in the place of the real ones in every process.
REVERSED_HEADERS = """
from gateway.adapters.wsgi_to_asgi import WsgiToAsgi
original = WsgiToAsgi.__call__
async def wrong(self, scope, receive, send):
    async def altered(message):
        if message["type"] == "http.response.start":
            message = {**message, "headers": list(message["headers"])[::-1]}
        await send(message)
    await original(self, scope, receive, altered)
WsgiToAsgi.__call__ = wrong
"""
JOINED_COOKIES = """
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
original = AsgiToWsgi.__call__
def wrong(self, environ, start_response):
    def altered(status, headers, *rest):
        return start_response(status, list(dict(headers).items()), *rest)
    return original(self, environ, altered)
AsgiToWsgi.__call__ = wrong
"""
LOST_BYTE = """
from gateway.adapters.asgi_to_wsgi import AsgiToWsgi
original = AsgiToWsgi.__call__
def wrong(self, environ, start_response):
    for chunk in original(self, environ, start_response):
        yield chunk[:-1] if len(chunk) > 4096 else chunk
AsgiToWsgi.__call__ = wrong
"""


def demo(*servers: str, instead: Path | None = None) -> subprocess.CompletedProcess[str]:
    options = [option for name in servers for option in ("--server", name)]
    environment = {**os.environ, "COLUMNS": "200"}
    if instead is not None:
        environment["PYTHONPATH"] = str(instead)
    return subprocess.run(
        [sys.executable, "-m", "gateway", "demo", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_servers_of_both_kinds_answer_identically() -> None:
    done = demo("wsgiref", "uvicorn")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "2 servers, 34 responses: every response is identical." in done.stdout
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert [(row[0].split()[0], *row[1:]) for row in rows] == [
        ("wsgiref", "WSGI", "ASGI", "8*", "yes"),
        ("wsgiref", "WSGI", "WSGI", "8*", "yes"),
        ("uvicorn", "ASGI", "ASGI", "9", "yes"),
        ("uvicorn", "ASGI", "WSGI", "9", "yes"),
    ]


def test_a_server_that_refuses_asgi_serves_the_wsgi_application_alone() -> None:
    done = demo("gevent")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 server, 9 responses: every response is identical." in done.stdout


@pytest.mark.slow
def test_every_installed_server_answers_identically() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("wrong", "server", "said"),
    [
        pytest.param(REVERSED_HEADERS, "uvicorn", "uvicorn, WSGI application: hello: header 1 is", id="order"),
        pytest.param(JOINED_COOKIES, "wsgiref", "wsgiref, ASGI application: cookies: header 2 is", id="cookies"),
        pytest.param(LOST_BYTE, "wsgiref", "wsgiref, ASGI application: stream: the body of", id="body"),
    ],
)
def test_a_wrong_adapter_is_found_and_the_status_is_1(tmp_path: Path, wrong: str, server: str, said: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(wrong)
    done = demo(server, instead=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 server, ")
    other = "ASGI application:" if server == "uvicorn" else "WSGI application:"
    assert f"{server}, {other}" not in done.stdout, "the interface without an adapter is not touched"


def test_an_unknown_server_is_one_line_and_status_2() -> None:
    done = demo("unicorn")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: there is no server 'unicorn' (did you mean 'gunicorn'?); choose one of: ")


def test_a_server_that_does_not_start_is_a_difference() -> None:
    def arguments(launch: Launch) -> list[str]:
        return ["-c", "raise SystemExit('no licence')"]

    results = list(demonstrate([replace(get("wsgiref"), arguments=arguments)]))
    assert len(results) == 2
    for result in results:
        assert not result.identical
        assert result.requests == 0
        assert "no licence" in result.differences[0]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request_: request_.name)
def test_both_applications_give_the_same_reference(request_: MatrixRequest) -> None:
    reference = call_wsgi(_demo_apps.wsgi_application, request_)
    assert reference == call_asgi(_demo_apps.asgi_application, request_)
    assert reference.status == {"upload": 201, "chunked upload": 201, "redirect": 303, "not found": 404}.get(
        request_.name, 200
    )
    assert (reference.body == b"") is (request_.name in ("head", "redirect"))


def test_the_requests_are_of_every_kind() -> None:
    answers = {request.name: call_wsgi(_demo_apps.wsgi_application, request) for request in REQUESTS}
    assert [name for name, _ in answers["cookies"].headers].count("set-cookie") == 3
    assert "content-length" not in dict(answers["stream"].headers)
    assert len(answers["stream"].body) == 1 << 20
    assert ("x-latin", "café") in answers["beyond ASCII"].headers
    assert "café 日" in answers["beyond ASCII"].body.decode()
    assert answers["upload"] == answers["chunked upload"]


@dataclass(frozen=True)
class Case:
    id: str
    answer: Answer
    expected: list[str]


GIVEN = Answer(200, (("b", "1"), ("a", "é"), ("b", "2")), b"body")
DIFFERENT = [
    Case("identical", GIVEN, []),
    Case("status", replace(GIVEN, status=201), ["status 201 instead of 200"]),
    Case("order", replace(GIVEN, headers=GIVEN.headers[::-1]), ["header 1 is 'b: 2' instead of 'b: 1'"]),
    Case("lost", replace(GIVEN, headers=GIVEN.headers[:2]), ["header 3 is missing instead of 'b: 2'"]),
    Case("added", replace(GIVEN, headers=(*GIVEN.headers, ("c", ""))), ["header 4 is 'c: ' instead of missing"]),
    Case("byte", replace(GIVEN, body=b"bodY"), ["the body of 4 bytes instead of 4 differs from byte 3"]),
    Case("short", replace(GIVEN, body=b"bo"), ["the body of 2 bytes instead of 4 differs from byte 2"]),
]


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: case.id)
def test_each_difference_is_named(case: Case) -> None:
    assert list(compare(GIVEN, case.answer, get("uvicorn"))) == case.expected


@pytest.mark.parametrize(
    ("server", "headers"),
    [
        ("waitress", (("a", "é"), ("b", "1"), ("b", "2"))),
        ("daphne", (("b", "1"), ("b", "2"), ("a", "é"))),
        ("granian-wsgi", (("b", "1"), ("b", "2"), ("a", "Ã©"))),
    ],
)
def test_what_a_server_does_to_every_applications_headers_is_no_difference(
    server: str, headers: tuple[tuple[str, str], ...]
) -> None:
    assert list(compare(GIVEN, replace(GIVEN, headers=headers), get(server))) == []
    assert list(compare(GIVEN, replace(GIVEN, headers=headers), get("uvicorn"))) != []


@contextmanager
def saying(answer: bytes) -> Iterator[tuple[Bind, list[bytes]]]:
    """A server that reads a request up to its end and says ``answer``."""
    received: list[bytes] = []
    with Bind(port=0).listen() as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                request = b""
                end = b"\r\n\r\n"
                while not request.endswith(end):
                    request += connection.recv(65536)
                    if b"Transfer-Encoding: chunked" in request:
                        end = b"\r\n0\r\n\r\n"
                received.append(request)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Bind(port=0).at(listener), received
        finally:
            thread.join(10)


def test_headers_are_read_in_their_order_without_the_connections_own() -> None:
    answer = b"HTTP/1.1 200 OK\r\nServer: x\r\nB: 1\r\nDate: y\r\nA: 2\r\nConnection: close\r\nB: 3\r\n\r\nbody"
    with saying(answer) as (bind, received):
        assert ask(bind, MatrixRequest("x", path="/p?q")) == Answer(200, (("b", "1"), ("a", "2"), ("b", "3")), b"body")
    assert received == [b"GET /p?q HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"]


def test_a_chunked_request_ends_with_the_empty_chunk() -> None:
    with saying(b"HTTP/1.1 200 OK\r\n\r\n") as (bind, received):
        ask(bind, MatrixRequest("x", "POST", "/", b"a" * 1001, chunked=True))
    (sent,) = received
    assert b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" in sent
    assert sent.endswith(b"\r\n1\r\na\r\n0\r\n\r\n")


def test_an_answer_that_is_cut_short_is_an_error() -> None:
    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody") as (bind, _):
        with pytest.raises(HTTPException):
            ask(bind, MatrixRequest("x"))


def test_a_body_after_head_is_seen() -> None:
    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody") as (bind, _):
        assert ask(bind, MatrixRequest("x", "HEAD")).body == b"body"
