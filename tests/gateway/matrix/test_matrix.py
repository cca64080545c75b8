"""The matrix finds what a server changes, explains it by a known quirk, and calls everything else unknown."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import servers
from gateway._load import parse
from gateway.matrix import BUILTIN, Configuration, Quirk, Reference, reference, run, stale
from gateway.matrix._proxies import PROXIES
from gateway.servers import Launch, Server
from tests.gateway.servers.suite import ALL

ROOT = Path(__file__).resolve().parents[3]
SITE = "tests.gateway.matrix.site"
NAMED = {request.name: request for request in BUILTIN}

#: wsgiref, with one habit that nobody knows: it adds a header and removes the last byte of a query.
FAKE = """
import sys
from gateway.servers import _run_wsgiref
from gateway.servers._runner import run

original = _run_wsgiref._told_of_threads

def wrong(application):
    def served(environ, start_response):
        environ["QUERY_STRING"] = environ["QUERY_STRING"][:-1]
        def started(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Fake", "1")], exc_info)
        return application(environ, started)
    return original(served)

_run_wsgiref._told_of_threads = wrong
run("_run_wsgiref", _run_wsgiref._serve)
"""


def own(name: str, *requests: str) -> Reference:
    return reference(parse(f"{SITE}:{name}"), [NAMED[each] for each in requests] or BUILTIN)


def ran(of: Reference, *names: Server | str, quirks: Sequence[Quirk] | None = None) -> list[Configuration]:
    chosen = [servers.get(each) if isinstance(each, str) else each for each in names]
    known = {} if quirks is None else {"quirks": quirks}
    return list(run(of, chosen, folder=ROOT, jobs=3, **known))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    (tmp_path / "fake_server.py").write_text(FAKE)

    def arguments(launch: Launch) -> list[str]:
        return [str(tmp_path / "fake_server.py"), f"--bind={launch.bind}", launch.target]

    return replace(servers.get("wsgiref"), name="fake", arguments=arguments)


def test_a_server_with_an_unknown_habit_is_reported(fake: Server) -> None:
    (found,) = ran(own("flask_app", "home", "query", "two Cookie headers"), fake)
    assert not found.failure
    assert [str(each) for each in found.unknown] == [
        "home: header x-fake is '1' instead of 'missing'",
        "query: query is 'x=1&x=2&y=%C3%A9+%20&' instead of 'x=1&x=2&y=%C3%A9+%20&z'",
        "query: content-type is 'text/plain' instead of 'missing'",
        "query: header x-fake is '1' instead of 'missing'",
        "two Cookie headers: content-type is 'text/plain' instead of 'missing'",
        "two Cookie headers: cookie is 'a=1,b=2' instead of 'a=1; b=2'",
        "two Cookie headers: header x-fake is '1' instead of 'missing'",
    ], "a quirk belongs to its server by name"


@pytest.mark.parametrize("versions", [">=1", "<1"])
def test_a_quirk_explains_its_value_in_its_versions_only(versions: str) -> None:
    of = own("flask_app", "two Cookie headers")
    servers_ = {"wsgiref": versions}
    quirks = [
        Quirk(servers=servers_, requests=("two Cookie headers",), point="cookie", value="a=1,b=2", why="It joins."),
        Quirk(servers=servers_, requests=("two Cookie headers",), point="content-type", value="text/html", why="No."),
    ]
    found = ran(of, "wsgiref", quirks=quirks)
    unknown = [each.point for each in found[0].unknown]
    applied = versions == ">=1"
    assert unknown == (["content-type"] if applied else ["content-type", "cookie"])
    missing = [(each.name, each.request, each.quirk.point) for each in stale(of, found, quirks)]
    assert missing == ([("wsgiref", "two Cookie headers", "content-type")] if applied else [])
    sometimes = [replace(each, when="sometimes") for each in quirks]
    assert stale(of, ran(of, "wsgiref", quirks=sometimes), sometimes) == []


def test_a_header_that_differs_in_each_response_is_left_out() -> None:
    of = own("counting", "home")
    assert of.ignored == [frozenset({"header x-count"})]
    (found,) = ran(of, "wsgiref")
    assert found.differences == []


def test_a_server_that_does_not_start_is_a_failure(fake: Server) -> None:
    broken = replace(fake, arguments=lambda launch: ["-c", "raise SystemExit('no licence')"])
    (found,) = ran(own("flask_app", "home"), broken)
    assert "no licence" in found.failure
    assert (found.requests, found.name) == (0, "fake")


def test_a_server_that_refuses_asgi_is_left_out() -> None:
    assert ran(own("fastapi_app", "home"), "gevent") == []


def test_an_asgi_application_keeps_lifespan_and_websockets_under_uvicorn() -> None:
    pytest.importorskip("websockets")
    (found,) = ran(own("fastapi_app", "lifespan", "WebSocket", "stream at once", "exception in the body"), "uvicorn")
    assert (found.failure, found.requests, found.differences) == ("", 4, [])


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.name)
def test_a_proxy_is_a_configuration_of_its_own(proxy: object) -> None:
    (front,) = [each for each in PROXIES if each is proxy]
    if front.path() is None:
        pytest.skip(f"{front.name} is not installed")
    of = own("flask_app", "home", "stream at once", "response headers", "upload that nobody reads")
    found = {each.name: each for each in run(of, [servers.get("waitress")], folder=ROOT, proxies=[front])}
    assert set(found) == {"waitress", f"{front.name} > waitress"}
    behind = found[f"{front.name} > waitress"]
    assert (behind.failure, behind.unknown) == ("", [])
    assert behind.requests == 3, "the upload that nobody reads is a race behind a proxy"
    assert behind.where == {"waitress": behind.version, front.name: behind.proxy_version}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flask_app", "fastapi_app"])
def test_every_difference_of_every_server_is_known(name: str) -> None:
    begun = time.monotonic()
    of = own(name)
    found = ran(of, *(each for each in ALL if servers.get(each).installed()))
    seconds = time.monotonic() - begun
    unknown = [f"{each.name}: {other}" for each in found for other in each.unknown]
    if unknown:  # a busy machine may exceed a patience: a real difference is there again
        again = {each.name for each in found if each.unknown}
        unknown = [f"{each.name}: {other}" for each in ran(of, *again) for other in each.unknown]
    assert unknown == []
    assert [each.failure for each in found if each.failure] == []
    assert len(found) >= 20
    assert seconds < 240


def test_the_command_exits_with_1_for_an_unknown_difference_on_request(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('[[request]]\npath = "/"\n[[request]]\npath = "/nothing"\nname = "nothing"\n')
    command = [sys.executable, "-m", "gateway", "matrix", f"{SITE}:flask_app", "--only", "wsgiref"]
    command += ["--requests", str(tmp_path / "one.toml"), "--fail-on-diff"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 configurations, 2 responses" in done.stdout
    (tmp_path / "sitecustomize.py").write_text(
        "import wsgiref.simple_server as s\n"
        "s.ServerHandler.cleanup_headers = lambda self: self.headers.setdefault('X-New', '1')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "wsgiref: GET /: header x-new is '1' instead of 'missing'" in done.stdout
