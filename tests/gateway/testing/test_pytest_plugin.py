"""The pytest plugin, as another project uses it: a pytest run of its own, within this one."""

from __future__ import annotations

import json

import pytest

from gateway.servers import get

pytest_plugins = ["pytester"]

ECHO = """
import pytest

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]

async def asgi_app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"] + "!"})
        await receive()
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    # The plugins beside ours are in test_pytest_plugins.py.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest('pytest_plugins = ["gateway.testing.pytest_plugin"]')
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider --import-mode=importlib --strict-markers\n")
    return pytester


def test_one_function_runs_under_every_tier_and_the_id_says_which(project: pytest.Pytester) -> None:
    project.makepyfile(
        ECHO
        + """
@pytest.mark.tiers("all")
@pytest.mark.parametrize("which", [app, asgi_app], ids=["wsgi", "asgi"])
def test_echo(web, which):
    r = web(which).post("/echo", content=[b"ab", b"", b"c"])
    assert (r.status_code, r.content) == (200, b"abc")

def test_without_a_mark(web):
    assert web(app).post("/", content=b"x").text == "x"
"""
    )
    result = project.runpytest("-v")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        ["*::test_echo[[]direct-wsgi]*", "*::test_echo[[]roundtrip-asgi]*", "*::test_without_a_mark[[]direct]*"],
        consecutive=False,
    )


def test_the_option_chooses_among_the_tiers_of_the_mark(project: pytest.Pytester) -> None:
    project.makepyfile(
        ECHO
        + """
@pytest.mark.tiers("direct", "adapted", "roundtrip")
def test_echo(web):
    assert web(app).post("/", content=b"x").text == "x"
"""
    )
    result = project.runpytest("-v", "--tiers=adapted")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_echo[[]adapted]*"])


def test_a_tier_that_does_not_exist_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(ECHO + '@pytest.mark.tiers("sideways")\ndef test_echo(web): pass\n')
    result = project.runpytest()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*::test_echo: unknown tier 'sideways'; possible tiers: direct, *"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")
    unknown = project.runpytest("--tiers=upwards")
    assert unknown.ret == pytest.ExitCode.USAGE_ERROR


def test_a_tier_expected_to_fail_that_does_not_exist_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(ECHO + '@pytest.mark.tiers("direct", xfail={"sideways": "why"})\ndef test_echo(web): pass\n')
    result = project.runpytest()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*::test_echo: unknown tier 'sideways'; possible tiers: *"])


def test_what_a_tier_cannot_do_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    project.makepyfile(
        ECHO
        + """
@pytest.mark.tiers("direct", "adapted")
def test_socket(web):
    with web(asgi_app).websocket("/") as socket:
        socket.send_text("hi")
        assert socket.receive_text() == "hi!"

@pytest.mark.tiers("direct")
def test_server(web_server):
    web_server(app)
"""
    )
    result = project.runpytest("-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*WSGI has no WebSockets*", "*direct has no server*"])


def test_an_expected_failure_of_one_tier_is_marked(project: pytest.Pytester) -> None:
    project.makepyfile(
        ECHO
        + """
@pytest.mark.tiers("direct", "adapted", xfail={"adapted": "driven as ASGI there"})
def test_interface(web):
    assert web(app).interface == "wsgi"
"""
    )
    project.runpytest().assert_outcomes(passed=1, xfailed=1)


def test_a_violation_that_the_test_swallowed_fails_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
def bad(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [b""]

def test_swallows(web):
    try:
        web(bad).get("/")
    except Exception:
        pass
"""
    )
    result = project.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*NotClean*P11*"])


def test_the_asynchronous_fixture_makes_an_asynchronous_client(project: pytest.Pytester) -> None:
    project.makepyfile(
        ECHO
        + """
@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
@pytest.mark.tiers("direct", "adapted", "roundtrip")
async def test_echo(aweb):
    async with aweb(asgi_app) as client:
        assert (await client.post("/", content=[b"a", b"b"])).content == b"ab"
"""
    )
    project.runpytest("-p", "anyio.pytest_plugin").assert_outcomes(passed=3)


def test_a_trace_holds_what_passed(project: pytest.Pytester) -> None:
    project.makepyfile(
        ECHO
        + """
@pytest.mark.tiers("direct", "adapted")
def test_echo(web):
    web(asgi_app).post("/", content=b"hello")
"""
    )
    project.runpytest("--tiers-trace=traces").assert_outcomes(passed=2)
    files = {path.name: path for path in (project.path / "traces").iterdir()}
    (direct,) = [path for name, path in files.items() if "[direct]" in name]
    lines = [json.loads(line) for line in direct.read_text().splitlines()]
    assert {"exchange": 0, "type": "http.request", "body": "hello", "more_body": False} in lines
    assert [line["type"] for line in lines][-1] == "http.response.body"
    assert len(files) == 2


FIXTURES = """
import os
import pytest

@pytest.fixture
def made(request):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{request.node.name} {os.getpid()}".encode()]
    return app

@pytest.mark.tiers("direct", "wsgiref", "granian-wsgi")
@pytest.mark.parametrize("number", [1, 2])
def test_made(web, made, number):
    name, process = web(made).get("/").text.split()
    assert name.startswith("test_made") and str(number) in name
    assert (int(process) == os.getpid()) == ("direct" in name)

STATE = []

def show(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(STATE).encode()]

@pytest.mark.tiers("wsgiref", copy=True)
def test_copy(web):
    STATE[:] = ["changed"]
    assert web(show).get("/").text == "['changed']"

@pytest.mark.tiers("wsgiref", copy=False)
def test_no_copy(web, made):
    web(made)
"""


@pytest.mark.slow
def test_an_application_that_a_fixture_makes_runs_under_a_server(project: pytest.Pytester) -> None:
    project.makepyfile(FIXTURES)
    result = project.runpytest("-rs")
    result.assert_outcomes(passed=5, skipped=2, failed=1)
    result.stdout.fnmatch_lines(["*must be a global of its module*", "*granian-wsgi imports its application in a new*"])


SERVED = """
import httpx2

@pytest.mark.tiers("direct", {server!r})
def test_served(web, gateway_tier):
    client = web(asgi_app if {asgi!r} else app)
    answer = client.post("/", content=[b"ab", b"", b"c"])
    assert (answer.status_code, answer.reason, answer.content) == (200, "OK", b"abc")
    with client.stream("POST", "/", content=b"xyz") as answer:
        assert b"".join(answer.iter_chunks()) == b"xyz"

@pytest.mark.tiers("direct", {server!r})
def test_exact_chunks(web):
    assert web(app).post("/", content=b"x").chunks == [b"x"]

@pytest.mark.tiers({server!r})
def test_url(web_server):
    assert httpx2.post(web_server(app), content=b"x", trust_env=False).text == "x"

@pytest.mark.tiers({server!r})
def test_socket(web):
    with web(asgi_app).websocket("/") as socket:
        socket.send_text("hi")
        assert socket.receive_text() == "hi!"
"""


@pytest.mark.parametrize("server", ["uvicorn", "waitress"])
def test_a_server_is_a_tier(project: pytest.Pytester, server: str) -> None:
    asgi = get(server).interface == "asgi"
    project.makepyfile(ECHO + SERVED.format(server=server, asgi=asgi))
    result = project.runpytest("-rs")
    # Exact chunks are seen in the process only; waitress has no websocket.
    result.assert_outcomes(passed=5 if asgi else 4, skipped=1 if asgi else 2)
    result.stdout.fnmatch_lines(["*only a client in the same process can see exact chunks*"])


def test_rules_broken_under_a_server_fail_the_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
import pytest

def bad(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"x"]

@pytest.mark.tiers("waitress")
def test_bad(web):
    try:
        web(bad).get("/")
    except Exception:
        pass
"""
    )
    result = project.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the application broke these rules under *", "*P05*"])


def test_a_starlette_application_needs_no_block_around_the_asynchronous_client(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def hello(request):
    return PlainTextResponse("hello")

app = Starlette(routes=[Route("/", hello)])

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_hello(aweb):
    assert (await aweb(app).get("/")).text == "hello"
"""
    )
    project.runpytest("-p", "anyio.pytest_plugin").assert_outcomes(passed=1)
