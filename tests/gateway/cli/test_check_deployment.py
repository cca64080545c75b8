"""``gateway check --server``: what a chain needs of its server, and what the server's configuration says."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.check.servers import CheckedServer
from gateway.cli import check as module
from gateway.cli._group import group

#: The result of a probe that finds nothing.
NOTHING = CheckedServer((), frozenset())


CHAINS = """
    from gateway import Gateway, Mount, path_in, when
    from gateway.middleware import Health, Metrics, ProxyHeaders, SecurityHeaders

    def wsgi(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []

    async def asgi(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    trusting = ProxyHeaders(trust=("127.0.0.1",))
    proxied = Gateway(wsgi, middleware=[trusting])
    mounted = Gateway(Mount({"/a": wsgi, "/b": Gateway(wsgi, middleware=[when(path_in("/b"), trusting)])}))
    edge = Gateway(wsgi, middleware=[ProxyHeaders(trust=(), mode="off")])
    secured = Gateway(wsgi, middleware=[SecurityHeaders()])
    telling = Gateway(wsgi, middleware=[SecurityHeaders(strip=())])
    counted = Gateway(wsgi, middleware=[Metrics()])
    draining = Gateway(wsgi, middleware=[Health(drain_seconds=3)])
    started = Gateway(asgi)

    class Wrapper:
        def __init__(self, application):
            self.application = application

        def __call__(self, environ, start_response):
            return self.application(environ, start_response)

    class Table(dict):
        def __call__(self, environ, start_response):
            return self["/"](environ, start_response)

    def closure(application):
        return lambda environ, start_response: application(environ, start_response)

    def names_it(environ, start_response):
        return proxied(environ, start_response)

    in_attribute, in_table, in_closure = Wrapper(proxied), Table({"/": proxied}), closure(proxied)
    in_gateway = Gateway(Wrapper(proxied))
"""
HOOKS = "from gateway.servers.gunicorn_hooks import *\n"
BY_HAND = """
from gateway.servers import gunicorn_hooks

def post_worker_init(worker):
    gunicorn_hooks.post_worker_init(worker)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checked_chains.py").write_text(textwrap.dedent(CHAINS))
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    # The server itself is probed in tests of its own.
    monkeypatch.setattr(module, "check_server", lambda server: NOTHING)
    # A chain with `Health` would keep SIGTERM for itself in the process of the tests.
    monkeypatch.setattr("gateway.middleware._draining.Draining.install", lambda *owner, **options: True)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    monkeypatch.delitem(sys.modules, "checked_chains", raising=False)
    return tmp_path


def check(attribute: str, server: str, *arguments: str) -> Result:
    given = ["check", f"checked_chains:{attribute}", "--server", server, "--stop-signal", "SIGINT", *arguments]
    return CliRunner().invoke(group, given)


def found(attribute: str, server: str, *arguments: str) -> set[str]:
    result = check(attribute, server, "--format", "json", *arguments)
    assert result.exit_code in (0, 1), result.output
    return {finding["rule"] for finding in json.loads(result.stdout)["findings"]}


@pytest.mark.parametrize("attribute", ["proxied", "mounted"])
def test_waitress_that_removes_forwarded_headers_is_an_error(folder: Path, attribute: str) -> None:
    result = check(attribute, "waitress")
    assert (result.exit_code, "D13" in result.output) == (1, True)
    assert "--no-clear-untrusted-proxy-headers" in result.output
    assert found(attribute, "waitress", "--", "--no-clear-untrusted-proxy-headers") == set()


@pytest.mark.parametrize("server", ["waitress", "uvicorn", "gunicorn-gthread", "gunicorn-asgi", "pyuwsgi"])
@pytest.mark.parametrize("attribute", ["proxied", "started", "draining"])
def test_the_command_of_gateway_run_has_what_the_chain_needs(folder: Path, server: str, attribute: str) -> None:
    assert found(attribute, server, "--gateway-run") - {"D08"} == set()


def test_a_chain_that_believes_nobody_needs_nothing(folder: Path) -> None:
    assert found("edge", "waitress") == found("edge", "uvicorn") == set()


def test_uvicorn_that_replaces_the_client_is_a_warning(folder: Path) -> None:
    result = check("proxied", "uvicorn")
    assert (result.exit_code, "request id" in result.output) == (0, True)
    assert found("proxied", "uvicorn", "--", "--no-proxy-headers") == set()


@pytest.mark.parametrize("attribute", ["in_attribute", "in_table", "in_closure", "in_gateway", "names_it"])
def test_a_chain_is_found_inside_of_any_wrapper(folder: Path, attribute: str) -> None:
    assert found(attribute, "waitress") == {"D13"}
    assert found(attribute, "waitress", "--gateway-run") == set()


@pytest.mark.parametrize("server", ["waitress", "cheroot"])
def test_gateway_run_drains_at_sigterm_and_the_bare_server_does_not(folder: Path, server: str) -> None:
    assert "D07" in found("started", server, "--stop-signal", "SIGTERM")
    assert "D07" not in found("started", server, "--stop-signal", "SIGTERM", "--gateway-run")
    assert "start it with gateway run" in check("started", server, "--stop-signal", "SIGTERM").output


@pytest.mark.parametrize(
    ("attribute", "member"), [("proxied", "gunicorn-gthread"), ("started", "gunicorn-asgi")], ids=["wsgi", "asgi"]
)
def test_the_name_of_a_family_is_the_server_that_gateway_run_chooses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, member: str
) -> None:
    probed: list[str] = []
    monkeypatch.setattr(module, "check_server", lambda server: (probed.append(server.name), NOTHING)[1])
    assert found(attribute, "gunicorn", "--gateway-run") == set()
    assert probed == [member]


def test_a_family_without_an_application_names_its_members() -> None:
    result = CliRunner().invoke(group, ["check", "--server", "granian"])
    assert result.exit_code == 2
    assert "'granian' is a family of several servers" in result.output
    assert "granian-asgi, granian-wsgi, granian-rsgi" in result.output
    assert "did you mean" not in result.output


def test_a_server_header_that_the_chain_cannot_remove_is_a_warning(folder: Path) -> None:
    assert found("secured", "uvicorn") == {"D17"}
    assert found("secured", "uvicorn", "--", "--no-server-header") == found("telling", "uvicorn") == set()


@pytest.mark.parametrize("attribute", ["started", "draining"])
def test_missing_hooks_are_a_warning(folder: Path, attribute: str) -> None:
    assert found(attribute, "gunicorn-gthread") == {"D14"}
    assert found(attribute, "gunicorn-asgi") == set(), "the worker starts the application, and Health with it"


@pytest.mark.parametrize("text", [HOOKS, HOOKS.replace("gunicorn_hooks", "gunicorn_proxied"), BY_HAND])
def test_hooks_of_a_configuration_are_seen(folder: Path, text: str) -> None:
    (folder / "gunicorn.conf.py").write_text(text)
    assert found("started", "gunicorn-gthread") == set()


def test_hooks_of_an_option_and_of_the_environment_are_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = "--config=python:gateway.servers.gunicorn_hooks"
    assert found("started", "gunicorn-gthread", "--", config) == set()
    monkeypatch.setenv("GUNICORN_CMD_ARGS", config)
    assert found("started", "gunicorn-gthread") == set()


def test_the_values_of_a_configuration_are_judged(folder: Path) -> None:
    assert found("proxied", "gunicorn-gthread", "--idle-timeout", "60") == {"D05"}
    (folder / "gunicorn.conf.py").write_text("keepalive = 75\nprint('read')\n")
    assert found("proxied", "gunicorn-gthread", "--idle-timeout", "60") == set()
    assert found("proxied", "gunicorn-asgi", "--idle-timeout", "60") == {"D16"}
    (folder / "gunicorn.conf.py").write_text("keepalive = 75\ngraceful_timeout = 90\n")
    assert found("proxied", "gunicorn-asgi") == set()


def test_a_configuration_may_import_from_the_folder_of_the_application(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    (elsewhere / "gunicorn.conf.py").write_text("import checked_chains\n" + HOOKS)
    assert found("started", "gunicorn-gthread", "--app-dir", str(folder)) == set()


def test_a_configuration_that_gunicorn_refuses_cannot_be_checked(folder: Path) -> None:
    result = check("proxied", "gunicorn-gthread", "--", "--no-such-option")
    assert (result.exit_code, "gunicorn rejected" in result.output) == (2, True)
    assert "--no-such-option" in result.output


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Metrics` itself refuses a folder that it cannot use, so these chains load where it can and are judged here."""
    monkeypatch.setattr("gateway.middleware._multiprocess.prepare", lambda: None)


@pytest.mark.usefixtures("loads")
def test_a_metrics_folder_that_can_be_made_is_no_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder / "numbers"))
    assert found("counted", "granian-wsgi") == set()
    assert found("counted", "gunicorn-asgi") == {"D14"}
    (folder / "gunicorn.conf.py").write_text(HOOKS)
    assert found("counted", "gunicorn-asgi") == set()


@pytest.mark.usefixtures("loads")
def test_a_metrics_folder_that_is_a_file_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gunicorn.conf.py").write_text(HOOKS)
    (folder / "numbers").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder / "numbers"))
    assert found("counted", "gunicorn-gthread") == {"D15"}


@pytest.mark.usefixtures("loads")
def test_a_metrics_folder_of_another_user_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder / "numbers"))
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the user that runs the tests may be root
    assert "does not exist and cannot be created" in check("counted", "granian-wsgi").output
    (folder / "numbers").mkdir()
    assert "cannot be written" in check("counted", "granian-wsgi").output


@pytest.mark.parametrize("arguments", [("--gateway-run",), ("--gateway-run", "--server", "waitress")], ids=len)
def test_gateway_run_is_judged_with_an_application_and_a_server(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(group, ["check", *arguments])
    assert result.exit_code == 2
