"""The way from uWSGI and NGINX Unit: options of configurations as they are found in public repositories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli._group import group
from gateway.deploy.moved import Moved, moved
from gateway.errors import ConfigurationError

#: A Django application behind NGINX, a course platform, a small service, one with gevent, one with an emperor.
UWSGI = {
    "django": """
        [uwsgi]
        chdir = /srv/shop
        module = shop.wsgi:application
        home = /srv/shop/venv
        master = true
        processes = 5
        socket = /run/uwsgi/shop.sock
        chmod-socket = 664
        uid = shop
        gid = www-data
        vacuum = true
        harakiri = 30
        max-requests = 5000
        die-on-term = true
        """,
    "platform": """
        [uwsgi]
        static-map = /static=/openedx/staticfiles/
        http = 0.0.0.0:8000
        buffer-size = 8192
        wsgi-file = lms/wsgi.py
        processes = 2
        thunder-lock = true
        single-interpreter = true
        enable-threads = true
        ignore-sigpipe = true
        ignore-write-errors = true
        disable-write-exception = true
        """,
    "service": """
        ; a comment
        [uwsgi]
        wsgi-file = app.py
        callable = app
        http-socket = :5000
        threads = 4
        processes = 1
        lazy-apps
        need-app = 1
        listen = 1024
        log-format = %(addr) %(status)
        limit-post = 1048576
        touch-reload = /tmp/reload
        [other]
        ignored = yes
        """,
    "greenlets": """
        [uwsgi]
        module = chat:app
        gevent = 200
        gevent-monkey-patch = true
        http-websockets = true
        cheaper = 2
        cheaper-algo = busyness
        spooler = /var/spool
        """,
}
UNIT = {
    "listeners": {"*:8080": {"pass": "applications/shop"}},
    "settings": {"http": {"max_body_size": 8388608, "server_version": False}},
    "applications": {
        "shop": {
            "type": "python 3.11",
            "path": "/srv/shop",
            "home": "/srv/shop/venv",
            "module": "shop.asgi",
            "callable": "app",
            "protocol": "asgi",
            "processes": {"max": 4, "spare": 2},
            "threads": 2,
            "limits": {"timeout": 20, "requests": 1000},
            "environment": {"A": "b"},
            "user": "shop",
        },
        "blog": {"type": "php"},
    },
    "access_log": "/var/log/unit.log",
}


def read(tmp_path: Path, text: str, name: str = "uwsgi.ini") -> Moved:
    (tmp_path / name).write_text(text)
    return moved(tmp_path / name)


@pytest.mark.parametrize("name", UWSGI)
def test_every_option_of_a_real_configuration_has_a_verdict(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, UWSGI[name])
    written = [
        line for line in UWSGI[name].split("[other]")[0].splitlines() if line.strip() and line.strip()[0] not in "[;"
    ]
    assert len(found.options) == len(written)
    assert [option for option in found.options if option.verdict == "unknown"] == []
    assert all(option.instead and "{}" not in option.instead for option in found.options)


def test_a_django_configuration_becomes_a_command_and_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, UWSGI["django"])
    assert found.command == (
        "gunicorn --max-requests 5000 --max-requests-jitter 500 --bind unix:/run/uwsgi/shop.sock --workers 5 "
        "--timeout 30 shop.wsgi:application"
    )
    assert found.numbers["workers"] == 5
    assert found.numbers["longest_request"] == 10  # so that the timeout is not below harakiri
    assert found.numbers["folder"] == "/srv/shop"


def test_greenlets_become_the_gevent_worker(tmp_path: Path) -> None:
    found = read(tmp_path, UWSGI["greenlets"])
    assert found.command == "gunicorn --worker-class gevent chat:app"
    verdicts = {option.name.split(" ")[0]: option.verdict for option in found.options}
    assert verdicts["spooler"] == verdicts["cheaper"] == "none"
    assert verdicts["gevent"] == "equal"


def test_nothing_disappears_that_the_table_does_not_know(tmp_path: Path) -> None:
    found = read(tmp_path, "[uwsgi]\nmodule = a:b\nbrand_new = 1\nif-env = X\n")
    assert [option.verdict for option in found.options] == ["equal", "unknown", "unknown"]


def test_unit_becomes_a_command_and_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, json.dumps(UNIT), "unit.json")
    assert found.command == ("gunicorn --worker-class asgi --bind 0.0.0.0:8080 --workers 4 --timeout 20 shop.asgi:app")
    assert found.numbers["interface"] == "asgi"
    unknown = [option.name for option in found.options if option.verdict == "unknown"]
    assert unknown == ["application blog"]
    assert "settings.http.max_body_size: 8388608" in found.table()


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("hello", "x.ini", "is neither"),
        ("{", "x.json", "is not JSON"),
        ("{}", "x.json", "has no applications"),
        ('{"applications": {"a": {"type": "php"}}}', "x.json", "no application of the type python"),
    ],
)
def test_a_wrong_file_is_a_clear_error(text: str, name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read(tmp_path, text, name)


def test_the_command_prints_the_table_and_writes_files_that_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uwsgi.ini").write_text(UWSGI["django"])
    shown = CliRunner().invoke(group, ["generate", "--from", "uwsgi.ini"])
    assert shown.exit_code == 0
    assert "harakiri = 30" in shown.output
    assert not (tmp_path / "deploy").exists()
    written = CliRunner().invoke(group, ["generate", "nginx", "--from", "uwsgi.ini", "--set", "name=shop"])
    assert written.exit_code == 0, written.output
    conf = (tmp_path / "deploy" / "gunicorn.conf.py").read_text()
    assert 'wsgi_app = "shop.wsgi:application"' in conf
    assert '"WEB_CONCURRENCY", "5"' in conf


def test_gunicorn_accepts_the_command(tmp_path: Path) -> None:
    from gunicorn.config import Config

    for text in UWSGI.values():
        words = read(tmp_path, text).command.split()[1:]
        parsed = Config().parser().parse_args(words)
        assert parsed.args == words[-1:]
