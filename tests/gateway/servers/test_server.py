"""The descriptions: each builds its server's own command, and refuses what the server does not have."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway import servers
from gateway.errors import ConfigurationError
from gateway.servers import Bind, Capabilities, Command, Launch, Server, hypercorn

PYTHON = sys.executable
PORT = Bind("127.0.0.1", 8001)
UNIX = Bind(path="/run/app.sock")
HERE = Launch(target="shop:app", bind=PORT)


@dataclass(frozen=True)
class Case:
    server: str
    launch: Launch
    expected: str

    def __str__(self) -> str:
        return f"{self.server}-{self.launch.bind}"


COMMANDS = [
    Case("uvicorn", HERE, "-m uvicorn --host 127.0.0.1 --port 8001 shop:app"),
    Case("uvicorn", replace(HERE, bind=UNIX, workers=2), "-m uvicorn --uds /run/app.sock --workers 2 shop:app"),
    Case("uvicorn", replace(HERE, bind=Bind(fd=3), reload=True), "-m uvicorn --fd 3 --reload shop:app"),
    Case(
        "gunicorn-gthread",
        HERE,
        "-m gunicorn --bind 127.0.0.1:8001 --worker-class gthread --threads 4 shop:app",
    ),
    Case(
        "gunicorn-gthread",
        replace(HERE, bind=UNIX, threads=9, workers=3, reload=True, arguments=("--timeout", "5")),
        "-m gunicorn --bind unix:/run/app.sock --worker-class gthread --workers 3 --threads 9 --reload --timeout 5 "
        "shop:app",
    ),
    Case("gunicorn-sync", HERE, "-m gunicorn --bind 127.0.0.1:8001 --worker-class sync shop:app"),
    Case("gunicorn-asgi", replace(HERE, bind=Bind(fd=4)), "-m gunicorn --bind fd://4 --worker-class asgi shop:app"),
    Case("waitress", replace(HERE, threads=8), "DRAIN waitress --listen=127.0.0.1:8001 --threads=8 shop:app"),
    Case("waitress", replace(HERE, bind=UNIX), "DRAIN waitress --unix-socket=/run/app.sock shop:app"),
    Case("hypercorn-trio", HERE, "-m hypercorn --bind 127.0.0.1:8001 --worker-class trio asgi:shop:app"),
    Case("daphne", HERE, "-m daphne -b 127.0.0.1 -p 8001 shop:app"),
    Case("daphne", replace(HERE, bind=UNIX), "-m daphne -u /run/app.sock shop:app"),
    Case("daphne", replace(HERE, bind=Bind(fd=3)), "-m daphne --fd 3 shop:app"),
    Case(
        "granian-wsgi",
        replace(HERE, threads=2, workers=2),
        "-m granian --interface wsgi --host 127.0.0.1 --port 8001 --workers 2 --blocking-threads 2 shop:app",
    ),
    Case("granian-rsgi", replace(HERE, bind=UNIX), "-m granian --interface rsgi --uds /run/app.sock shop:app"),
    Case("cheroot", replace(HERE, bind=UNIX, threads=2), "DRAIN cheroot --bind /run/app.sock --threads 2 shop:app"),
    Case("cheroot", replace(HERE, bind=Bind("::1", 80)), "DRAIN cheroot --bind '[::1]:80' shop:app"),
    Case(
        "wsgiref",
        replace(HERE, threads=1),
        "-m gateway.servers._run_wsgiref --bind=127.0.0.1:8001 --threads=1 shop:app",
    ),
    Case(
        "werkzeug",
        replace(HERE, reload=True),
        "-m gateway.servers._run_werkzeug --bind=127.0.0.1:8001 --reload shop:app",
    ),
    Case("gevent", replace(HERE, bind=UNIX), "-m gateway.servers._run_gevent --bind=unix:/run/app.sock shop:app"),
]


SECURE = replace(HERE, certfile="c.pem", keyfile="k.pem")


@pytest.mark.parametrize("name", ["hypercorn-asyncio", "hypercorn-trio", "anycorn"])
def test_a_certificate_brings_http_3_at_the_same_port_if_aioquic_is_installed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = servers.get(name).command(SECURE).argv
    assert argv[argv.index("--quic-bind") + 1] == "127.0.0.1:8001"
    for launch in (HERE, replace(SECURE, bind=UNIX)):
        assert "--quic-bind" not in servers.get(name).command(launch).argv
    monkeypatch.setattr(hypercorn, "find_spec", lambda name: None)
    assert "--quic-bind" not in servers.get(name).command(SECURE).argv


@pytest.mark.parametrize("case", COMMANDS, ids=str)
def test_a_launch_becomes_the_servers_own_command(case: Case) -> None:
    expected = case.expected.replace("DRAIN", "-m gateway.servers._drain_on_sigterm")
    assert str(servers.get(case.server).command(case.launch)) == f"{PYTHON} {expected}"


def test_uwsgi_is_told_to_drain_on_sigterm() -> None:
    argv = servers.get("pyuwsgi").command(replace(HERE, reload=True, workers=2, threads=3)).argv
    assert argv[argv.index("--hook-master-start") + 1] == "unix_signal:15 gracefully_kill_them_all"
    assert argv[argv.index("--processes") + 1] == "2"
    assert argv[argv.index("--threads") + 1] == "3"
    assert argv[-2:] == ("--module", "shop:app")


@pytest.mark.parametrize("arguments", ["--config mine.py", "-c mine.py", "-cmine.py", "--timeout 5 --config=mine.py"])
def test_a_configuration_in_gunicorns_variable_is_kept(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = replace(HERE, hooks=True, believes_proxies=False)
    assert "--config" in servers.get("gunicorn-sync").command(launch).argv
    monkeypatch.setenv("GUNICORN_CMD_ARGS", arguments)
    assert "--config" not in servers.get("gunicorn-sync").command(launch).argv


def test_an_app_dir_comes_first_on_the_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    command = servers.get("waitress").command(replace(HERE, app_dir="/mine"))
    assert command.environment["PYTHONPATH"] == "/mine:/theirs"
    monkeypatch.delenv("PYTHONPATH")
    assert servers.get("waitress").command(replace(HERE, app_dir="/mine")).environment["PYTHONPATH"] == "/mine"


def test_a_command_is_written_as_a_shell_reads_it() -> None:
    assert str(Command(("a b", "c"), {"X": "y z"})) == "X='y z' 'a b' c"


@pytest.mark.parametrize("name", servers.names())
def test_every_server_builds_a_command_for_each_capability_and_refuses_the_others(name: str) -> None:
    server = servers.get(name)
    can = server.capabilities
    asks = {
        "unix_socket": replace(HERE, bind=UNIX),
        "inherited_socket": replace(HERE, bind=Bind(fd=7)),
        "workers": replace(HERE, workers=2),
        "threads": replace(HERE, threads=5),
        "reload": replace(HERE, reload=True),
    }
    plain = server.command(HERE).argv
    for capability, launch in asks.items():
        if getattr(can, capability):
            assert server.command(launch).argv != plain, f"{name} says it can do {capability}"
        else:
            with pytest.raises(ConfigurationError, match=f"{name} cannot .*another server"):
                server.command(launch)
    assert "--extra" in server.command(replace(HERE, arguments=("--extra",))).argv


@pytest.mark.parametrize("name", servers.names())
def test_every_server_is_described_the_same_way(name: str) -> None:
    server = servers.get(name)
    assert server.name == name
    assert name.startswith(server.family)
    assert all(quirk.endswith(".") for quirk in server.quirks)
    module = importlib.import_module(
        servers.get(name).arguments.__module__ if hasattr(server.arguments, "__module__") else "gateway"
    )
    assert module is not None


@pytest.mark.parametrize("name", servers.names())
def test_an_installed_server_has_a_version(name: str) -> None:
    server = servers.get(name)
    if server.installed():
        assert server.version()[0].isdigit()
    else:
        assert any(words in str(server.missing()) for words in ("pip install", "POSIX", "cannot read Python"))


def test_the_standard_librarys_server_is_always_there() -> None:
    assert servers.get("wsgiref") in servers.installed()
    assert servers.get("wsgiref").version() == ".".join(map(str, sys.version_info[:3]))


ABSENT = Server(
    name="absent",
    family="absent",
    interface="wsgi",
    module="no_such_module",
    requirement="no-such-package",
    arguments=lambda launch: [launch.target],
    capabilities=Capabilities(),
)


def test_a_missing_package_is_named_with_what_to_run() -> None:
    assert ABSENT.missing() == "absent needs the package 'no_such_module'; run: pip install \"no-such-package\""
    assert replace(ABSENT, module="json", requires=("no_such.sub",)).installed() is False


def test_a_posix_server_is_not_there_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert servers.get("gunicorn-sync").missing() == "gunicorn-sync runs on POSIX systems only"


def test_an_unknown_server_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'waitress'"):
        servers.get("waitres")
    with pytest.raises(ConfigurationError, match="choose one of: uvicorn, "):
        servers.get("zzz")


@pytest.mark.parametrize(
    ("interface", "name", "expected"),
    [
        ("wsgi", None, "gunicorn-gthread"),
        ("asgi", None, "uvicorn"),
        ("asgi2", None, "uvicorn"),
        ("rsgi", None, "granian-rsgi"),
        ("wsgi", "gunicorn", "gunicorn-gthread"),
        ("asgi", "gunicorn", "gunicorn-asgi"),
        ("wsgi", "granian", "granian-wsgi"),
        ("asgi", "hypercorn", "hypercorn-asyncio"),
        ("wsgi", "hypercorn-trio", "hypercorn-trio"),
        ("asgi", "waitress", "waitress"),
    ],
)
def test_the_server_of_the_applications_own_interface_is_chosen(
    interface: servers.Interface, name: str | None, expected: str
) -> None:
    assert servers.choose(interface, HERE, name).name == expected


def test_a_server_that_cannot_do_what_is_asked_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_BUILTIN", {key: servers._BUILTIN[key] for key in ("waitress", "uvicorn")})
    assert servers.choose("wsgi", HERE).name == "waitress"
    assert servers.choose("wsgi", replace(HERE, reload=True)).name == "uvicorn"
    with pytest.raises(ConfigurationError, match="waitress cannot reload; choose another with --server: uvicorn"):
        servers.choose("wsgi", replace(HERE, reload=True), "waitress")
    with pytest.raises(
        ConfigurationError, match="no installed server can start several workers and set a number of threads; "
    ):
        servers.choose("wsgi", replace(HERE, threads=2, workers=2))


def test_a_named_server_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "missing", lambda self: f"{self.name} needs the package 'x'")
    with pytest.raises(ConfigurationError, match="cheroot needs the package 'x'"):
        servers.choose("wsgi", HERE, "cheroot")


PLUGIN = """
from dataclasses import replace
from gateway.servers import get

THEIRS = replace(get("wsgiref"), name="theirs", family="theirs")
WRONG = 7
"""


def test_a_distribution_adds_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sv_plugin.py").write_text(PLUGIN)
    metadata = tmp_path / "sv_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sv-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[gateway.servers]\ntheirs = sv_plugin:THEIRS\nwrong = sv_plugin:WRONG\nuvicorn = sv_plugin:WRONG\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "theirs" not in servers.names(), "it is chosen when it is named, and not else"
    assert servers.get("theirs").name == "theirs"
    assert servers.choose("asgi", HERE, "theirs").name == "theirs"
    assert servers.get("uvicorn").name == "uvicorn", "a built-in keeps its name"
    with pytest.raises(ConfigurationError, match=r"sv_plugin:WRONG must be a gateway\.servers\.Server, got 7"):
        servers.get("wrong")


def test_importing_the_servers_imports_none_of_them() -> None:
    code = (
        "import sys, gateway.servers as s; [s.get(n).missing() for n in s.names()]; "
        "print(sorted({'gunicorn.app', 'uvicorn', 'waitress', 'hypercorn', 'daphne', 'granian', 'gevent', 'cheroot', "
        "'werkzeug', 'twisted', 'click', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
