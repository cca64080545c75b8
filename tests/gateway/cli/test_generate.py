"""``gateway generate`` on the command line: where the numbers come from, and what is never overwritten."""

from __future__ import annotations

import sys
import textwrap
import types
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli._group import group


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a chain of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "generated_shop.py").write_text(
        textwrap.dedent(
            """
            from gateway import Gateway
            from gateway.middleware import BodyLimit, Health, TrustedHost

            def hello(environ, start_response):
                start_response("200 OK", [])
                return [b"hello"]

            app = Gateway(
                hello,
                middleware=[
                    Health(live_path="/up"),
                    TrustedHost(allowed=("localhost", "10.0.0.1", "shop.example.com")),
                    BodyLimit(max_bytes=12345),
                ],
            )
            """
        )
    )
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["generate", *arguments])


def test_the_chain_gives_the_defaults_and_set_goes_before_it(project: Path) -> None:
    result = run("nginx", "generated_shop:app", "--set", "max_bytes=777")
    assert result.exit_code == 0, result.output
    text = (project / "deploy" / "nginx.conf").read_text()
    assert "server_name shop.example.com;" in text
    assert "client_max_body_size 777;" in text
    assert "/up|/readyz|/startupz" in text
    assert "/metrics" not in text  # the chain has none
    assert result.output.count("\n  ") <= 6


def test_the_configuration_file_gives_its_numbers_and_its_chain(project: Path) -> None:
    (project / "gateway.toml").write_text(
        'application = "generated_shop:hello"\n[[middleware]]\nuse = "body_limit"\noptions = { max_bytes = 4096 }\n'
        '[deploy]\nname = "shop"\nlongest_request = 40\nhosts = ["a.example"]\n'
    )
    result = run("nginx")
    assert result.exit_code == 0, result.output
    assert "client_max_body_size 4096;" in (project / "deploy" / "nginx.conf").read_text()
    conf = (project / "deploy" / "gunicorn.conf.py").read_text()
    assert "wsgi_app = \"gateway.config:load('gateway.toml')\"" in conf.replace("\\u0027", "'")
    assert "graceful_timeout = 50" in conf


def test_a_file_of_somebody_else_is_never_overwritten(project: Path) -> None:
    (project / "deploy").mkdir()
    (project / "deploy" / "nginx.conf").write_text("mine")
    result = run("nginx", "generated_shop:app")
    assert result.exit_code == 2
    assert "nginx.conf" in result.output
    assert (project / "deploy" / "nginx.conf").read_text() == "mine"
    assert not (project / "deploy" / "gunicorn.conf.py").exists()


def test_a_second_run_changes_nothing_and_diff_shows_what_would_change(project: Path) -> None:
    assert run("systemd", "generated_shop:app").exit_code == 0
    before = {path.name: path.read_text() for path in (project / "deploy").iterdir()}
    assert run("systemd", "generated_shop:app").exit_code == 0
    assert {path.name: path.read_text() for path in (project / "deploy").iterdir()} == before
    assert run("systemd", "generated_shop:app", "--diff").exit_code == 0
    changed = run("systemd", "generated_shop:app", "--diff", "--set", "longest_request=50")
    assert changed.exit_code == 1
    assert "-graceful_timeout = 35" in changed.output
    assert "+graceful_timeout = 60" in changed.output
    assert {path.name: path.read_text() for path in (project / "deploy").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nginks", "generated_shop:app"), "did you mean 'nginx'"),
        (("nginx",), "no application given"),
        (("nginx", "generated_shop:app", "--set", "workers"), "has no value"),
        (("nginx", "generated_shop:app", "--set", "worker=2"), "did you mean workers"),
        (("nginx", "generated_shop:app", "--set", "drain=1"), "5 seconds or more"),
        (("uvicorn", "generated_shop:app"), "uvicorn calls asgi applications"),
    ],
)
def test_wrong_input_is_one_clear_line(project: Path, arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_generated_files_pass_the_check_with_their_application(project: Path) -> None:
    assert run("nginx", "generated_shop:app").exit_code == 0
    result = CliRunner().invoke(group, ["check", "deploy/nginx.conf", "deploy/gunicorn.conf.py", "generated_shop:app"])
    assert result.exit_code == 0, result.output


def test_a_finding_names_the_rule_both_places_and_the_remedy(project: Path) -> None:
    assert run("nginx", "generated_shop:app").exit_code == 0
    conf = project / "deploy" / "nginx.conf"
    conf.write_text(conf.read_text().replace("proxy_read_timeout 65s", "proxy_read_timeout 20s"))
    result = CliRunner().invoke(group, ["check", "deploy/"])
    assert result.exit_code == 1
    assert "error R8: " in result.output
    assert "deploy/nginx.conf:" in result.output
    assert "deploy/gunicorn.conf.py:" in result.output
    assert "remedy: " in result.output


def test_the_check_does_not_import_the_application(project: Path) -> None:
    (project / "exploding.py").write_text("raise SystemExit('imported')\n")
    (project / "gunicorn.conf.py").write_text("import exploding\nbind = '127.0.0.1:8000'\n")
    result = CliRunner().invoke(group, ["check", "gunicorn.conf.py", "exploding:app"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("missing.conf",), "does not exist"),
        (("gunicorn.conf.py", "a:app", "b:app"), "2 applications given"),
        (("gunicorn.conf.py", "--server", "gunicorn"), "remove --server"),
        (("broken.yaml",), "is not YAML"),
        (("unknown.bin",), "the format is not known"),
        (("gunicorn.conf.py", "nowhere:app"), "is not in"),
    ],
)
def test_wrong_files_are_one_clear_line(project: Path, arguments: tuple[str, ...], says: str) -> None:
    (project / "gunicorn.conf.py").write_text("bind = '127.0.0.1:8000'\n")
    (project / "broken.yaml").write_text("kind: [\n")
    (project / "unknown.bin").write_text("?\n")
    result = CliRunner().invoke(group, ["check", *arguments])
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    ("files", "installed"),
    [
        ({"requirements.txt": "falcon\n"}, "-r requirements.txt"),
        ({"pyproject.toml": '[project]\nname = "x"\ndependencies = ["falcon>=4", "redis"]\n'}, "'falcon>=4' redis"),
        ({"pyproject.toml": "[tool.ruff]\n"}, "bottle"),
        ({}, "bottle"),
    ],
)
def test_the_printed_commands_install_the_packages_of_the_application(
    project: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], installed: str
) -> None:
    for name in ("django", "flask", "fastapi", "litestar", "quart", "falcon", "pyramid"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, text in files.items():
        (project / name).write_text(text)
    (project / "bottled.py").write_text("import bottle\napp = bottle.default_app()\n")
    result = run("nginx", "bottled:app")
    assert f"/bin/pip install {installed} gunicorn anytier\n" in result.output


def test_an_application_without_the_chain_of_its_proxy_is_told_so(project: Path) -> None:
    assert (
        "note: generated_shop:hello does not see the addresses of its clients behind NGINX"
        in run("nginx", "generated_shop:hello").output
    )
    assert "note:" not in run("gunicorn", "generated_shop:hello").output


class Settings:
    configured = True
    DEBUG = True
    ALLOWED_HOSTS = ("localhost", "10.0.0.1", ".example.com", "www.example.org")


def test_settings_of_django_give_the_hosts_and_notes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django.conf", types.SimpleNamespace(settings=Settings))
    result = run("gunicorn", "generated_shop:hello")
    assert "Next, for .example.com, www.example.org:" not in result.output
    assert "Next, for *.example.com, www.example.org:" in result.output
    assert "note: Django's DEBUG is on" in result.output
    assert "ALLOWED_HOSTS" not in result.output
    other = run("gunicorn", "generated_shop:hello", "--set", "hosts=shop.example.net,a.example.com")
    assert "note: Django refuses shop.example.net: add it to ALLOWED_HOSTS" in other.output


def test_a_container_gets_a_list_of_packages_if_the_project_has_none(project: Path) -> None:
    assert "printf '%s\\n'" in run("docker", "generated_shop:app").output
    assert "cp -r deploy/. . && docker compose up --build" in run("docker", "generated_shop:app").output
    (project / "requirements.txt").write_text("flask\n")
    assert "printf" not in run("docker", "generated_shop:app", "--out", ".").output
    assert "cp -r" not in run("docker", "generated_shop:app", "--out", ".").output
